"""Reading the site's settings from environment variables, and the secret key that it makes for itself."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"", "0", "false", "no", "off"}


def flag(name: str, default: bool) -> bool:
    """The variable as a boolean; `default` when it is not set.

    Raises:
        ImproperlyConfigured: the value is neither a yes nor a no.
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
    """The variable as a list of comma-separated words; `default` when it is not set."""
    value = os.environ.get(name)
    return default if value is None else [word.strip() for word in value.split(",") if word.strip()]


def message_rate(name: str, default: str) -> tuple[int, float] | None:
    """The variable as `messages/seconds`, or None for "off".

    Raises:
        ImproperlyConfigured: the value is not of that form.
    """
    value = os.environ.get(name, default)
    if value.lower() in _FALSE:
        return None
    try:
        messages, seconds = value.split("/")
        rate = int(messages), float(seconds)
    except ValueError:
        rate = 0, 0.0
    if rate[0] < 1 or not 0 < rate[1] < float("inf"):
        raise ImproperlyConfigured(f'{name} is {value!r}: write messages/seconds, for instance 10/5, or "off"')
    return rate


def secret_key(name: str, directory: Path) -> str:
    """The variable, or else the key kept in `directory`, made at the first call and readable by its owner only."""
    given = os.environ.get(name)
    if given:
        return given
    path = directory / "secret_key"
    _write_once(path, get_random_secret_key())
    return path.read_text(encoding="ascii")


def _write_once(path: Path, text: str) -> None:
    # Several workers start at once: each writes a file of its own (which mkstemp makes readable by its owner only), and
    # the first link to the real name wins, whole.
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
        with suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()
