"""ARCHITECTURE.md is true of the code: the files that it names exist, and so does each name that it finds in them."""

import re
from pathlib import Path

import pytest

from tests.test_layers import ENGINE, FACE, PLANNED

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "ARCHITECTURE.md").read_text()
MENTION = re.compile(r"`((?:[a-z_]+/\s*)*[a-z_]+\.py)(?::\s+([A-Za-z_.]+))?`", re.DOTALL)
PLACES = ("", "tests", "src", "src/hotclub", "src/hotclub/engine")


def mentions() -> set[tuple[str, str]]:
    """(file, name in it) of every mention in the text; the name is "" where a file stands alone."""
    return {(re.sub(r"\s", "", file), name) for file, name in MENTION.findall(TEXT)}


def find(file: str) -> Path | None:
    return next((ROOT / place / file for place in PLACES if (ROOT / place / file).is_file()), None)


def layers(heading: str) -> list[set[str]]:
    """The modules and packages of each row of the table under a heading."""
    table = TEXT.split(heading, 1)[1].split("\n\n", 2)[1]
    rows = [row for row in table.splitlines() if "`" in row]
    return [set(re.findall(r"`([a-z_]+)/?`", row.split("|")[2])) for row in rows]


@pytest.mark.parametrize(("file", "name"), sorted(mentions()))
def test_a_file_of_the_architecture_exists_and_holds_the_name(file: str, name: str) -> None:
    path = find(file)
    assert path is not None
    for part in filter(None, name.split(".")):
        assert re.search(rf"\b(class|def) {part}\b|^{part}\b", path.read_text(), re.MULTILINE), part


def test_the_text_names_files() -> None:
    assert len(mentions()) > 30


def test_the_tables_are_those_that_the_layer_test_enforces() -> None:
    assert layers("### The engine, `hotclub/engine`") == [set(names) for names in ENGINE]
    top = {"admin", "apps", "pytest_plugin", "urls"}
    assert layers("### The face, `hotclub`") == [set(names) - PLANNED for names in FACE if set(names) != top]
