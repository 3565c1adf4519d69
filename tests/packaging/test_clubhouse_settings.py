"""docs/reference/clubhouse.md names every variable that the site reads, with its default and an example that works."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.packaging.server import clean_environment
from tests.support.processes import Server

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "clubhouse.md").read_text()
ROWS = {
    name: (default, example)
    for name, default, example in re.findall(r"^\| `(CLUBHOUSE_\w+)` \| (.*?) \| `(.*?)` \|", PAGE, re.MULTILINE)
}

READ = """
import importlib, json, os, sys

def read(changes):
    os.environ.update(changes)
    sys.modules.pop("clubhouse.settings", None)
    settings = importlib.import_module("clubhouse.settings")
    for name in changes:
        del os.environ[name]
    return {name: repr(getattr(settings, name)) for name in dir(settings) if name.isupper()}

print(json.dumps([read(changes) for changes in json.loads(sys.argv[1])]))
"""


def read_settings(folder: Path, *environments: dict[str, str]) -> list[dict[str, Any]]:
    """The site's settings in each of these environments, all from one interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", READ, json.dumps(environments)],
        cwd=folder,
        env=clean_environment(PYTHONPATH=str(ROOT / "src")),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def defaults_and_examples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """Variable → the settings without it, with the documented default, and with the documented example."""
    folder = tmp_path_factory.mktemp("site")
    rows = {}
    for name, (default, example) in ROWS.items():
        given = re.match(r"`(.*?)`", default)
        rows[name] = [{}, {name: given[1]} if given else {}, {name: example.replace("/srv", str(folder))}]
    found = read_settings(folder, *(environment for row in rows.values() for environment in row))
    return {name: found[3 * index : 3 * index + 3] for index, name in enumerate(rows)}


def test_the_page_has_every_variable_that_the_site_reads() -> None:
    source = "".join(path.read_text() for path in (ROOT / "src" / "clubhouse").glob("*.py"))
    assert set(ROWS) == set(re.findall(r'"(CLUBHOUSE_\w+)"', source))


@pytest.mark.parametrize("name", ROWS)
def test_a_documented_default_is_what_holds_without_the_variable(
    name: str, defaults_and_examples: dict[str, list[dict[str, Any]]]
) -> None:
    without, with_default, _ = defaults_and_examples[name]
    assert with_default == without


@pytest.mark.parametrize("name", ROWS)
def test_a_documented_example_changes_something(
    name: str, defaults_and_examples: dict[str, list[dict[str, Any]]]
) -> None:
    without, _, with_example = defaults_and_examples[name]
    assert with_example != without


def test_a_trusted_proxy_is_believed_about_addresses_and_https(tmp_path: Path) -> None:
    alone, none, behind = read_settings(
        tmp_path, {}, {"CLUBHOUSE_TRUSTED_PROXIES": ""}, {"CLUBHOUSE_TRUSTED_PROXIES": "10.0.0.0/8"}
    )
    assert "'TRUSTED_PROXIES': ['127.0.0.1', '::1']" in alone["HOTCLUB"]
    assert "SECURE_PROXY_SSL_HEADER" not in none
    assert "'TRUSTED_PROXIES': []" in none["HOTCLUB"]
    assert "HTTP_X_FORWARDED_PROTO" in behind["SECURE_PROXY_SSL_HEADER"]
    assert "'TRUSTED_PROXIES': ['10.0.0.0/8']" in behind["HOTCLUB"]


def test_trusted_origins_are_trusted_for_forms_and_for_connections(tmp_path: Path) -> None:
    (trusting,) = read_settings(tmp_path, {"CLUBHOUSE_TRUSTED_ORIGINS": "https://club.example"})
    assert trusting["CSRF_TRUSTED_ORIGINS"] == "['https://club.example']"
    assert "'ALLOWED_ORIGINS': ['https://club.example']" in trusting["HOTCLUB"]


def test_cookies_have_the_prefix_of_hosts_where_https_is_on(tmp_path: Path) -> None:
    on, off = read_settings(tmp_path, {}, {"CLUBHOUSE_HTTPS": "0"})
    for name in ("SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME", "BROWSER_COOKIE_NAME"):
        assert on[name].startswith("'__Host-")
        assert "__Host-" not in off[name]


@pytest.mark.parametrize("name", ["data", "a #1?x=1&%23 50%", "file:data?mode=memory", "周末 [1]"])
def test_the_data_folder_may_have_any_name_and_is_for_its_owner_alone(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    old_umask = os.umask(0o022)
    try:
        server = Server(folder, environment={"CLUBHOUSE_SECRET_KEY": ""})
        server.manage("migrate", "-v", "0")
        server.start_blocking()
        assert httpx.get(f"{server.url}/accounts/login/").status_code in (200, 503)
        files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir() if path != server.log}
        server.stop()
    finally:
        os.umask(old_umask)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert files.pop("static") >= 0o700
    assert set(files) >= {"clubhouse.sqlite3", "clubhouse.sqlite3-wal", "secret_key"}
    assert set(files.values()) == {0o600}
