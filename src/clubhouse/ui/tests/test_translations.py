"""Every text of the site has a Chinese translation."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from clubhouse.ui.tests.texts import PACKAGE, Text, browser_texts, script_texts, server_texts, template_texts


def _translated(domain: str) -> dict[Text, str]:
    found: dict[Text, str] = {}
    for path in PACKAGE.glob(f"*/locale/zh_Hans/LC_MESSAGES/{domain}.po"):
        with path.open("rb") as stream:
            for message in read_po(stream, locale="zh_Hans"):
                singular, text = _first(message.id), _first(message.string)
                if singular and text and not message.fuzzy:
                    found[message.context or "", singular] = text
    return found


def _first(forms: str | Sequence[str] | None) -> str:
    return forms if isinstance(forms, str) else forms[0] if forms else ""


@pytest.mark.parametrize(("domain", "texts"), [("django", server_texts), ("djangojs", browser_texts)])
def test_every_text_has_its_translation_and_no_translation_is_left_over(domain: str, texts: object) -> None:
    assert callable(texts)
    wanted = texts()
    assert wanted
    translated = _translated(domain)
    assert wanted - translated.keys() == set()
    assert translated.keys() - wanted == set()


@pytest.mark.parametrize("domain", ["django", "djangojs"])
def test_translations_keep_the_placeholders(domain: str) -> None:
    for (_context, text), translation in _translated(domain).items():
        assert sorted(re.findall(r"%\(\w+\)[sd]", text)) == sorted(re.findall(r"%\(\w+\)[sd]", translation)), text


def test_the_search_for_texts_finds_all_kinds(tmp_path: Path) -> None:
    template = tmp_path / "page.html"
    template.write_text(
        '{% load i18n %}{% translate "One" %} {% translate \'Two\' context "c" %}'
        "{% blocktranslate count n=n %}{{ n }} three{% plural %}{{ n }} threes{% endblocktranslate %}"
    )
    assert set(template_texts(template)) == {("", "One"), ("c", "Two"), ("", "%(n)s three")}
    script = tmp_path / "page.ts"
    script.write_text('_("a \\"b\\"", {}) + this._("no") + ngettext(\n  "c",\n  "d",\n  1) + pgettext("e", "f")')
    assert set(script_texts(script)) == {("", 'a "b"'), ("", "c"), ("e", "f")}
