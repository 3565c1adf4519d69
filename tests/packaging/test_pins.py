"""Dependencies are exact versions whose files have hashes: no ranges, no addresses, nothing left to the day of the
install."""

import json
import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK: dict[str, Any] = json.loads((ROOT / "package-lock.json").read_text())["packages"]


REQUIREMENTS = sorted((ROOT / "requirements").glob("*.txt"))


def pins(path: Path) -> set[str]:
    """The versions that a file of requirements names, itself or through another one."""
    found: set[str] = set()
    for line in path.read_text().splitlines():
        if line.startswith("-r "):
            found |= pins(path.parent / line.removeprefix("-r "))
        elif not line.startswith("#"):
            found.add(line)
    return found


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.name)
def test_requirements_are_plain_pins_in_alphabetical_order(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if not line.startswith(("#", "-r "))]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*", line)] == []
    assert lines == sorted(lines, key=lambda line: line.split("==")[0].lower())


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.name)
def test_the_locked_versions_are_those_of_the_requirements_with_a_hash_for_each(path: Path) -> None:
    text = (path.parent / "locked" / path.name).read_text()
    comment, *entries = re.split(r"\n(?=\S)", text.strip())
    assert comment.startswith("#")
    entry = re.compile(r"([A-Za-z0-9_.-]+==[0-9][0-9a-z.]*)(?: \\\n    --hash=sha256:[0-9a-f]{64})+")
    assert [text for text in entries if not entry.fullmatch(text)] == [], "run scripts/lock"
    locked = {text.split(" ")[0] for text in entries}
    assert locked == {pin.lower().replace("_", "-") for pin in pins(path)}, "run scripts/lock"


@pytest.mark.parametrize("name", ["run", "dev"])
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_requirements_name_whatever_their_packages_need(name: str, python: str) -> None:
    """An installation with hashes fails otherwise, on a machine where the package is not there already."""
    named = {canonicalize_name(pin.split("==")[0]) for pin in pins(ROOT / "requirements" / f"{name}.txt")}
    surroundings = [
        {
            "python_version": python,
            "python_full_version": f"{python}.0",
            "sys_platform": system,
            "platform_system": title,
        }
        for system, title in (("linux", "Linux"), ("darwin", "Darwin"))
    ]
    needed = {
        canonicalize_name(requirement.name)
        for package in named
        for requirement in map(Requirement, distribution(package).requires or [])
        if requirement.marker is None or any(requirement.marker.evaluate({**one, "extra": ""}) for one in surroundings)
    }
    assert needed - named == set()


def test_the_scripts_install_locked_versions_only() -> None:
    commands = re.findall(r"pip install (.*)", (ROOT / "scripts" / "common.sh").read_text())
    installs = [command for command in commands if "--requirement" in command]
    assert installs
    assert [command for command in installs if "--require-hashes" not in command] == []
    assert [command for command in commands if "--require-hashes" not in command and "--no-deps" not in command] == []


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


def test_every_package_of_the_lock_file_has_its_integrity() -> None:
    lacking = [
        name
        for name, entry in LOCK.items()
        if name and not re.fullmatch(r"sha512-[A-Za-z0-9+/]{86}==", entry.get("integrity", ""))
    ]
    assert lacking == [], "run scripts/lock"


def test_the_lock_file_is_complete_for_every_platform() -> None:
    assert [needed for name, entry in LOCK.items() for needed in missing(name, entry)] == []


def missing(name: str, entry: dict[str, Any]) -> list[str]:
    """What a locked package may need, on whatever system, that the lock file does not have."""
    return [
        needed
        for needed in {**entry.get("dependencies", {}), **entry.get("optionalDependencies", {})}
        if f"node_modules/{needed}" not in LOCK and f"{name}/node_modules/{needed}" not in LOCK
    ]
