"""Reads the values of settings from environment variables, and generates the secret key."""

import logging
import os
import re
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key

_logger: Final = logging.getLogger("clubhouse")

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"", "0", "false", "no", "off"}


def flag(name: str, default: bool) -> bool:
    """Return the variable as a boolean, or `default` when it is not set.

    Raises:
        ImproperlyConfigured: the value means neither yes nor no.
    """
    value = os.environ.get(name)
    if value is None:
        return default
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    raise ImproperlyConfigured(f"{name} is {value!r}: set it to 1 or 0")


def words(name: str, default: list[str]) -> list[str]:
    """Return the comma-separated words of the variable, or `default` when it is not set."""
    value = os.environ.get(name)
    return default if value is None else [word.strip() for word in value.split(",") if word.strip()]


def header(name: str, default: str) -> tuple[str, str]:
    """Return the variable "Header: value" as Django's name of the header and the value. `default` has the same form.

    Raises:
        ImproperlyConfigured: the value has another form.
    """
    text = os.environ.get(name) or default
    match = re.fullmatch(r"([A-Za-z0-9-]+):\s*(\S+)", text.strip())
    if match is None:
        raise ImproperlyConfigured(f"{name} is {text!r}: write it as {default!r}")
    return "HTTP_" + match[1].upper().replace("-", "_"), match[2]


def rate(name: str, default: str) -> tuple[int, float] | None:
    """Return the variable "count/seconds" as two numbers, or None when it is "off". `default` has the same form.

    Raises:
        ImproperlyConfigured: the value has another form, or a number that is not positive.
    """
    value = os.environ.get(name, default)
    if value.lower() in _FALSE:
        return None
    try:
        count, seconds = value.split("/")
        found = int(count), float(seconds)
    except ValueError:
        found = 0, 0.0
    if found[0] < 1 or not 0 < found[1] < float("inf"):
        raise ImproperlyConfigured(f'{name} is {value!r}: write count/seconds, for instance 10/5, or "off"')
    return found


def limit(name: str, default: int) -> int | None:
    """Return the variable as a whole number of at least 1, `default` when it is not set, or None when it is "off".

    Raises:
        ImproperlyConfigured: the value is neither.
    """
    value = os.environ.get(name, "")
    return None if value.lower() in _FALSE - {""} - {"0"} else number(name, default)


def number(name: str, default: int) -> int:
    """Return the variable as a whole number of at least 1, or `default` when it is not set.

    Raises:
        ImproperlyConfigured: the value is no such number.
    """
    value = os.environ.get(name, "")
    if not value:
        return default
    if not value.isdecimal() or int(value) < 1:
        raise ImproperlyConfigured(f"{name} is {value!r}: write a whole number of at least 1")
    return int(value)


def processors_to_spare() -> int:
    """Return the number of processors of this process less one, which pages keep, and at least 1."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, count - 1)


def private_folder(path: Path) -> Path:
    """Return the folder, which is made if it is missing, and kept for its owner alone."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    _keep_private(path, 0o700)
    return path


def private_database(path: Path) -> None:
    """Keep the SQLite database and its journals for their owner alone; a missing database is made, empty.

    SQLite gives a new journal the mode of its database.
    """
    if path.parent.is_dir():
        with suppress(OSError):
            os.close(os.open(path, os.O_CREAT | os.O_RDONLY, 0o600))
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm", f"{path.name}-journal"):
        _keep_private(path.with_name(name), 0o600)


def _keep_private(path: Path, mode: int) -> None:
    """Take all rights on the file or folder from everybody but its owner. Folders that many people share stay."""
    try:
        found = path.stat()
        if not found.st_mode & 0o077:
            return
        if found.st_mode & stat.S_ISVTX:
            _logger.warning("%s is a folder of everybody: keep the site's data in a folder of its own", path)
            return
        path.chmod(mode)
        _logger.warning("%s could be read by others; its mode is now %o", path, mode)
    except FileNotFoundError:
        return
    except PermissionError:
        _logger.warning("%s can be read by others, and its mode is not this user's to change", path)


def secret_key(name: str, directory: Path) -> str:
    """Return the variable, or else the key stored in `directory`.

    The first call generates and stores the key, in a file that only its owner may read. Processes that call at the same
    time get the same key.
    """
    given = os.environ.get(name)
    if given:
        return given
    path = directory / "secret_key"
    _write_once(path, get_random_secret_key())
    _keep_private(path, 0o600)
    return path.read_text(encoding="ascii")


def _write_once(path: Path, text: str) -> None:
    # Several workers may start at once. Each writes a file of its own, and the first to link its file to the real name
    # wins, so nobody reads half a key. mkstemp makes files that only their owner may read.
    if path.exists():
        return
    private_folder(path.parent)
    descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
        with suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()
