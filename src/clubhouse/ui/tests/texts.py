"""Finds every text that is shown through gettext: in Python by its syntax tree, in templates by Django's own
extraction, in TypeScript by the calls of `frontend/src/i18n/gettext.ts`."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

from django.utils.translation.template import templatize

PACKAGE = Path(__file__).parents[2]
FRONT_END = PACKAGE.parents[1] / "frontend" / "src"

_FUNCTIONS = {"_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy", "pgettext", "pgettext_lazy"}
_STRING = r'"((?:[^"\\]|\\.)*)"'
_CALL = re.compile(rf"(?<![\w.])(_|ngettext|pgettext)\(\s*{_STRING}(?:\s*,\s*{_STRING})?", re.DOTALL)

Text = tuple[str, str]
"""Context ("" for none) and message id."""


def python_texts(path: Path) -> Iterator[Text]:
    """The texts of a Python file."""
    yield from _texts_of(path.read_text(encoding="utf-8"))


def template_texts(path: Path) -> Iterator[Text]:
    """The texts of a template: Django turns it into lines of Python for the extraction tools."""
    for line in templatize(path.read_text(encoding="utf-8"), origin=str(path)).splitlines():
        for call in re.findall(r"(?:gettext|ngettext|pgettext|npgettext)\(u?(?:'.*?'|\".*?\").*?\)(?=\s|$)", line):
            yield from _texts_of(call)


def script_texts(path: Path) -> Iterator[Text]:
    """The texts of a TypeScript file."""
    for function, *literals in _CALL.findall(path.read_text(encoding="utf-8")):
        first, second = (json.loads(f'"{literal}"') for literal in literals)
        yield (first, second) if function == "pgettext" else ("", first)


def server_texts() -> set[Text]:
    """All texts of the site's Python and templates."""
    sources = [path for path in PACKAGE.rglob("*.py") if not {"tests", "migrations"} & set(path.parts)]
    templates = list(PACKAGE.glob("*/templates/**/*.html"))
    assert sources
    assert templates
    return {text for path in sources for text in python_texts(path)} | {
        text for path in templates for text in template_texts(path)
    }


def browser_texts() -> set[Text]:
    """All texts of the front end."""
    sources = [path for path in FRONT_END.rglob("*.ts") if not path.name.endswith(".test.ts")]
    return {text for path in sources if path.name != "gettext.ts" for text in script_texts(path)}


def _texts_of(source: str) -> Iterator[Text]:
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in _FUNCTIONS:
            continue
        values = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        strings = [value for value in values if isinstance(value, str)]
        if strings:
            yield (strings[0], strings[1]) if node.func.id.startswith("pgettext") else ("", strings[0])
