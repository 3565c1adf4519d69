"""Everything that a person may read comes in Chinese as well."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from babel.messages.pofile import read_po

SOURCE = Path(__file__).parents[2] / "src" / "hotclub"
CATALOG = SOURCE / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"


def messages() -> Iterator[str]:
    """Every text that the source marks as translatable."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_":
                text = ast.literal_eval(node.args[0])
                assert isinstance(text, str)
                yield text


def placeholders(text: str) -> list[str]:
    return sorted(re.findall(r"%\(\w+\)\w", text))


def test_every_message_has_a_translation_with_the_same_placeholders() -> None:
    with CATALOG.open("rb") as stream:
        catalog = {message.id: message.string for message in read_po(stream, locale="zh_Hans", abort_invalid=True)}

    for text in messages():
        assert catalog.get(text), f"not translated: {text!r}"
        assert placeholders(str(catalog[text])) == placeholders(text)


def test_the_catalog_holds_nothing_that_is_not_used() -> None:
    with CATALOG.open("rb") as stream:
        used = {message.id for message in read_po(stream, locale="zh_Hans") if message.id}

    assert used <= {*messages()}
