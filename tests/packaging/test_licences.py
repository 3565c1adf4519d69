"""No dependency, not even a development tool, brings a licence that reaches what is built with it."""

import json
import re
from importlib.metadata import PathDistribution, distribution
from pathlib import Path

import pytest

from tests.packaging.test_pins import LOCK, ROOT, pins
from tests.support.licences import is_allowed, licence_of


def test_the_licences_of_all_python_packages_are_allowed() -> None:
    names = {pin.split("==")[0] for name in ("run", "dev") for pin in pins(ROOT / "requirements" / f"{name}.txt")}
    licences = {name: licence_of(distribution(name)) for name in names}
    assert licences["psycopg"] == "LGPL-3.0-only", "imported, never changed: allowed"
    assert {name: licence for name, licence in licences.items() if not is_allowed(licence)} == {}


def test_the_licences_of_all_javascript_packages_are_allowed() -> None:
    licences = {name: str(entry.get("license", "")) for name, entry in LOCK.items() if name}
    assert {name: licence for name, licence in licences.items() if not is_allowed(licence)} == {}


def test_installed_javascript_packages_name_the_licence_of_the_lock_file() -> None:
    for name, entry in LOCK.items():
        package = ROOT / name / "package.json"
        if name and package.is_file():
            assert json.loads(package.read_text(encoding="utf-8")).get("license") == entry["license"], name


@pytest.mark.parametrize(
    "licence",
    [
        "GPL-3.0-or-later",
        "GPL-2.0",
        "AGPL-3.0-only",
        "MIT AND GPL-3.0-only",
        "(MIT OR Apache-2.0) AND AGPL-3.0-only",
        "GNU General Public License v3 (GPLv3)",
        "SSPL-1.0",
        "BUSL-1.1",
        "CC-BY-NC-4.0",
        "Proprietary",
        "UNKNOWN",
        "MIT OR",
        "(MIT",
        "MIT Apache-2.0",
        "",
    ],
)
def test_other_licences_are_refused(licence: str) -> None:
    assert not is_allowed(licence)


@pytest.mark.parametrize(
    "licence",
    ["MIT", "mit license", "BSD", "MIT OR GPL-3.0-only", "(MIT OR GPL-2.0) AND Apache-2.0", "LGPL-3.0-only", "MPL-2.0"],
)
def test_permissive_and_weak_licences_are_allowed(licence: str) -> None:
    assert is_allowed(licence)


@pytest.mark.parametrize(
    ("metadata", "file", "licence"),
    [
        ("License-Expression: GPL-3.0-only", "MIT License", "GPL-3.0-only"),
        ("License: MIT", "", "MIT"),
        ("Classifier: License :: OSI Approved :: MIT License", "", "mit"),
        ("Classifier: License :: OSI Approved :: GNU Affero General Public License v3", "MIT License", None),
        ("Summary: none is named", "MIT License\n\nCopyright", "MIT License"),
        ("Summary: none is named", "GNU GENERAL PUBLIC LICENSE", None),
        ("Summary: none is named", "", None),
    ],
)
def test_a_package_tells_its_licence(tmp_path: Path, metadata: str, file: str, licence: str | None) -> None:
    folder = tmp_path / "some-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: some\nVersion: 1.0\n{metadata}\n")
    (folder / "LICENSE").write_text(file)
    (folder / "RECORD").write_text("some-1.0.dist-info/LICENSE,,\n")
    found = licence_of(PathDistribution(folder))
    assert is_allowed(found) is (licence is not None and not re.match("GPL", licence))
    if licence is not None:
        assert found == licence
