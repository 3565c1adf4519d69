"""Dependencies are exact versions and nothing else: no ranges, no addresses, nothing left to the day of the install."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LOCK: dict[str, Any] = json.loads((ROOT / "package-lock.json").read_text())["packages"]


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.name)
def test_requirements_are_plain_pins_in_alphabetical_order(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if not line.startswith(("#", "-r "))]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*", line)] == []
    assert lines == sorted(lines, key=lambda line: line.split("==")[0].lower())


def test_every_dependency_of_the_package_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {line.split("==")[0].lower() for line in (ROOT / "requirements" / "run.txt").read_text().splitlines()}
    needed = [*project["dependencies"], *project["optional-dependencies"]["clubhouse"]]
    assert [name for name in needed if re.split(r"[<>=\[;]", name)[0].lower() not in pinned] == []


def test_package_json_names_exact_versions() -> None:
    package = json.loads((ROOT / "package.json").read_text())
    versions = {**package["dependencies"], **package["devDependencies"]}
    assert {name: version for name, version in versions.items() if not re.fullmatch(r"\d+\.\d+\.\d+", version)} == {}


def test_the_lock_file_holds_no_download_address() -> None:
    assert [name for name, entry in LOCK.items() if "resolved" in entry] == []


def test_the_lock_file_is_complete_for_every_platform() -> None:
    assert [needed for name, entry in LOCK.items() for needed in missing(name, entry)] == []


def missing(name: str, entry: dict[str, Any]) -> list[str]:
    """What a locked package may need, on whatever system, that the lock file does not have."""
    return [
        needed
        for needed in {**entry.get("dependencies", {}), **entry.get("optionalDependencies", {})}
        if f"node_modules/{needed}" not in LOCK and f"{name}/node_modules/{needed}" not in LOCK
    ]
