"""Hotclub's own tables, found when they are first asked for.

A project imports `hotclub` before Django has loaded the apps, and models exist only after that. So no module that
`hotclub/__init__.py` imports may import `hotclub.models`; it asks here instead.
"""

from functools import cache
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import connections
from django.db.models import QuerySet

from hotclub.conf.config import get_config
from hotclub.engine.errors import HotclubError

if TYPE_CHECKING:
    from hotclub.models import ApiKey, Entry, NodeLease, Order, Revocation, Stream, StreamVersion, Ticket


class NotMigrated(HotclubError):
    """A table of Hotclub's is not in the database `database`: run `manage.py migrate`.

    It is raised before a statement is sent, so a transaction of the caller's remains usable.
    """

    def __init__(self, database: str, table: str) -> None:
        super().__init__(database, table)
        self.database = database
        self.table = table

    def __str__(self) -> str:
        option = "" if self.database == "default" else f" --database {self.database}"
        return f"The database {self.database!r} has no table {self.table!r}: run `manage.py migrate{option}`."


def database() -> str:
    """The alias of the database that holds the tables: `HOTCLUB["DATABASE"]`."""
    return get_config().database


def streams() -> "QuerySet[Stream]":
    """The logs of durable channels."""
    return _rows("Stream")


def entries() -> "QuerySet[Entry]":
    """The publications of durable channels."""
    return _rows("Entry")


def stream_versions() -> "QuerySet[StreamVersion]":
    """The newest version of each durable channel whose publisher numbers versions."""
    return _rows("StreamVersion")


def orders() -> "QuerySet[Order]":
    """What processes ask of each other."""
    return _rows("Order")


def tickets() -> "QuerySet[Ticket]":
    """The one-time tickets."""
    return _rows("Ticket")


def revocations() -> "QuerySet[Revocation]":
    """The logins whose tokens open nothing any more."""
    return _rows("Revocation")


def api_keys() -> "QuerySet[ApiKey]":
    """The keys of the HTTP API that are kept in the database."""
    return _rows("ApiKey")


def node_leases() -> "QuerySet[NodeLease]":
    """The server processes of the site."""
    return _rows("NodeLease")


def look_anew(alias: str) -> None:
    """A migration has run: ask this database again which tables it has."""
    _tables.cache_clear()
    _tables(alias)


def _rows(model: str) -> "QuerySet[Any]":
    alias, found = database(), apps.get_model("hotclub", model)
    _require(alias, found._meta.db_table)  # noqa: SLF001 - public, by its documentation
    rows: QuerySet[Any] = found._default_manager.using(alias)  # noqa: SLF001 - the same
    return rows


def _require(alias: str, table: str) -> None:
    """Raises NotMigrated: the database has no such table. Asks it once, and again only while a table is missing."""
    if table in _tables(alias):
        return
    _tables.cache_clear()
    if table not in _tables(alias):
        raise NotMigrated(alias, table)


@cache
def _tables(alias: str) -> frozenset[str]:
    return frozenset(connections[alias].introspection.table_names())
