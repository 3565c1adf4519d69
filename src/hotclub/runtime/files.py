"""Notices that the file of an SQLite database was replaced: an open connection goes on with the former file."""

from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

_opened: WeakKeyDictionary[BaseDatabaseWrapper, tuple[int, int] | None] = WeakKeyDictionary()
"""By connection, the file that it has opened."""


def watch_files() -> None:
    """Note the file of every SQLite connection that Django opens from now on. Idempotent."""
    connection_created.connect(_note, dispatch_uid="hotclub.database_file")


def is_replaced(connection: BaseDatabaseWrapper) -> bool:
    """Return whether the path of an SQLite database leads to another file than the connection has opened."""
    before = _opened.get(connection)
    return before is not None and before != _file(connection)


def _note(connection: BaseDatabaseWrapper, **_signal: Any) -> None:
    if connection.vendor == "sqlite":
        _opened[connection] = _file(connection)


def _file(connection: BaseDatabaseWrapper) -> tuple[int, int] | None:
    """Return the device and the number of the database's file, None for a database in memory or a missing file."""
    try:
        found = Path(connection.settings_dict["NAME"]).stat()
    except (OSError, ValueError, TypeError):
        return None
    return found.st_dev, found.st_ino
