"""Settings that are read from environment variables."""

import stat
import threading
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from clubhouse import environment

NAME = "CLUBHOUSE_TEST_VALUE"


@pytest.mark.parametrize(("value", "expected"), [("", 7), ("3", 3), ("off", None), ("OFF", None), ("no", None)])
def test_a_limit_is_a_number_or_off(monkeypatch: pytest.MonkeyPatch, value: str, expected: int | None) -> None:
    monkeypatch.setenv(NAME, value)
    assert environment.limit(NAME, 7) == expected


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_limit_that_is_none_is_said(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(NAME, value)
    with pytest.raises(ImproperlyConfigured):
        environment.limit(NAME, 7)


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("Yes", True), ("0", False), ("off", False), ("", False)])
def test_flags_are_read(monkeypatch: pytest.MonkeyPatch, value: str, expected: bool) -> None:
    monkeypatch.setenv(NAME, value)
    assert environment.flag(NAME, default=not expected) is expected


@pytest.mark.parametrize("default", [True, False])
def test_a_flag_that_is_not_set_has_its_default(default: bool) -> None:
    assert environment.flag(NAME, default=default) is default


def test_a_flag_that_is_neither_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "maybe")
    with pytest.raises(ImproperlyConfigured, match=NAME):
        environment.flag(NAME, default=True)


def test_lists_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.words(NAME, ["a"]) == ["a"]
    monkeypatch.setenv(NAME, " a.example, b.example ,")
    assert environment.words(NAME, ["c"]) == ["a.example", "b.example"]


@pytest.mark.parametrize(("value", "expected"), [("10/5", (10, 5.0)), ("1/0.5", (1, 0.5)), ("off", None), ("0", None)])
def test_rates_are_read(monkeypatch: pytest.MonkeyPatch, value: str, expected: tuple[int, float] | None) -> None:
    monkeypatch.setenv(NAME, value)
    assert environment.rate(NAME, "3/3") == expected


@pytest.mark.parametrize("value", ["10", "a/b", "0/5", "5/0", "-1/5", "5/nan", "5/inf", "1/2/3"])
def test_a_rate_that_is_none_is_a_mistake(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(NAME, value)
    with pytest.raises(ImproperlyConfigured, match=NAME):
        environment.rate(NAME, "3/3")


def test_the_secret_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    key = environment.secret_key(NAME, directory)
    assert len(key) >= 50
    assert environment.secret_key(NAME, directory) == key
    (path,) = directory.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_workers_that_start_together_agree_on_the_key(tmp_path: Path) -> None:
    keys: list[str] = []
    (tmp_path / "data").mkdir()
    together = threading.Barrier(8)

    def start() -> None:
        together.wait(10)
        keys.append(environment.secret_key(NAME, tmp_path / "data"))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["secret_key"]


def test_a_given_secret_key_is_used_and_not_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(NAME, "given")
    assert environment.secret_key(NAME, tmp_path / "data") == "given"
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ("HTTP_X_FORWARDED_PROTO", "https")),
        ("Front-End-Https: on", ("HTTP_FRONT_END_HTTPS", "on")),
        ("X-Scheme:https", ("HTTP_X_SCHEME", "https")),
    ],
)
def test_headers_are_read(monkeypatch: pytest.MonkeyPatch, value: str | None, expected: tuple[str, str]) -> None:
    if value is not None:
        monkeypatch.setenv(NAME, value)
    assert environment.header(NAME, "X-Forwarded-Proto: https") == expected


@pytest.mark.parametrize("value", ["X-Scheme", "X Scheme: https", ": https", "X-Scheme: "])
def test_a_header_that_is_none_is_a_mistake(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(NAME, value)
    with pytest.raises(ImproperlyConfigured, match=NAME):
        environment.header(NAME, "X-Forwarded-Proto: https")


@pytest.mark.parametrize(("value", "expected"), [("", 3), ("1", 1), ("12", 12)])
def test_numbers_are_read(monkeypatch: pytest.MonkeyPatch, value: str, expected: int) -> None:
    monkeypatch.setenv(NAME, value)
    assert environment.number(NAME, 3) == expected


@pytest.mark.parametrize("value", ["0", "-1", "x", "1.5"])
def test_a_number_that_is_none_is_a_mistake(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(NAME, value)
    with pytest.raises(ImproperlyConfigured, match=NAME):
        environment.number(NAME, 3)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    assert mode(environment.private_folder(tmp_path / "srv" / "data")) == 0o700


def test_an_open_folder_is_closed_and_the_log_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tmp_path.chmod(0o755)
    environment.private_folder(tmp_path)
    environment.private_folder(tmp_path)
    assert mode(tmp_path) == 0o700
    assert caplog.messages == [f"{tmp_path} could be read by others; its mode is now 700"]


def test_a_folder_of_everybody_stays_open(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tmp_path.chmod(0o1777)
    environment.private_folder(tmp_path)
    assert mode(tmp_path) == 0o1777
    assert "a folder of its own" in caplog.text


def test_a_database_and_its_journals_are_for_their_owner_alone(tmp_path: Path) -> None:
    path = environment.private_folder(tmp_path / "data") / "a #1 50%.sqlite3"
    environment.private_database(path)
    assert mode(path) == 0o600
    for name in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + name).touch()
        path.with_name(path.name + name).chmod(0o644)
    environment.private_database(path)
    assert {mode(file) for file in path.parent.iterdir()} == {0o600}
    environment.private_database(tmp_path / "missing" / "db")


def test_a_secret_key_that_others_can_read_is_closed(tmp_path: Path) -> None:
    key = environment.secret_key(NAME, tmp_path)
    (tmp_path / "secret_key").chmod(0o644)
    assert environment.secret_key(NAME, tmp_path) == key
    assert mode(tmp_path / "secret_key") == 0o600
