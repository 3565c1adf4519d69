"""Translations are compiled without the gettext tools, and none is missing."""

import gettext
import os
from pathlib import Path
from types import ModuleType

import pytest
from babel.messages.catalog import Message
from babel.messages.pofile import PoFileError, read_po

from tests.packaging.scripts import load_script

ROOT = Path(__file__).parents[2]
CATALOG = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\nmsgid "Send"\nmsgstr "发送"\n'


@pytest.fixture(scope="module")
def messages() -> ModuleType:
    return load_script("messages")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A catalog where a Django app would have it."""
    path = tmp_path / "src" / "app" / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"
    path.parent.mkdir(parents=True)
    path.write_text(CATALOG)
    return path


def test_gettext_reads_what_was_compiled(messages: ModuleType, source: Path, tmp_path: Path) -> None:
    assert messages.compile_all(tmp_path) == 1
    with source.with_suffix(".mo").open("rb") as stream:
        assert gettext.GNUTranslations(stream).gettext("Send") == "发送"


def test_only_what_has_changed_is_compiled_again(messages: ModuleType, source: Path, tmp_path: Path) -> None:
    messages.compile_all(tmp_path)
    assert messages.compile_all(tmp_path) == 0
    compiled = source.with_suffix(".mo").stat().st_mtime
    os.utime(source, (compiled + 1, compiled + 1))
    assert messages.compile_all(tmp_path) == 1


def test_a_broken_catalog_is_refused(messages: ModuleType, source: Path, tmp_path: Path) -> None:
    source.write_text(CATALOG + 'msgid "unfinished\n')
    with pytest.raises(PoFileError):
        messages.compile_all(tmp_path)


def test_every_text_is_translated() -> None:
    catalogs = sorted((ROOT / "src").glob("**/locale/zh_Hans/LC_MESSAGES/*.po"))
    assert catalogs
    for path in catalogs:
        with path.open("rb") as stream:
            missing = [entry.id for entry in read_po(stream) if entry.id and (entry.fuzzy or not translated(entry))]
        assert missing == [], path


def translated(entry: Message) -> bool:
    """Whether every form of the text has a translation."""
    forms = [entry.string] if isinstance(entry.string, str) else list(entry.string or ())
    return bool(forms) and all(forms)
