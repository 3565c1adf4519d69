"""Finds Hotclub's own tables when a function first needs them.

A project imports `hotclub` before Django has loaded the apps, and models exist only afterwards. So the modules that
`hotclub/__init__.py` imports use these functions and do not import `hotclub.models`. The functions raise `NotMigrated`.
"""

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet

from hotclub.conf.config import get_config
from hotclub.engine.errors import HotclubError

if TYPE_CHECKING:
    from hotclub.models import ApiKey, Entry, Ledger, NodeLease, Order, Revocation, Stream, StreamVersion, Ticket

VENDORS: Final = ("sqlite", "postgresql")
"""The databases for which Hotclub has its own SQL."""


class NotMigrated(HotclubError):
    """The database `database` does not have Hotclub's table `table`: run `manage.py migrate`.

    The error comes before any statement on the table, so the caller's transaction remains usable.
    """

    def __init__(self, database: str, table: str) -> None:
        super().__init__(database, table)
        self.database = database
        self.table = table

    def __str__(self) -> str:
        option = "" if self.database == "default" else f" --database {self.database}"
        return f"The database {self.database!r} has no table {self.table!r}: run `manage.py migrate{option}`."


def database() -> str:
    """Return the alias of the database with Hotclub's tables: `HOTCLUB["DATABASE"]`."""
    return get_config().database


def connection_for(what: str, otherwise: str = "") -> BaseDatabaseWrapper:
    """Return the connection to the database with Hotclub's tables, for SQL that Hotclub writes itself.

    Args:
        what: the feature that needs the connection, for the error.
        otherwise: what a project can do that keeps its database, for the error.

    Raises:
        ImproperlyConfigured: the database is none of `VENDORS`.
    """
    connection = connections[database()]
    if connection.vendor not in VENDORS:
        raise ImproperlyConfigured(
            f"{what} need SQLite or PostgreSQL; the database {connection.alias!r} is {connection.vendor}. "
            f'Name another one in HOTCLUB["DATABASE"]{otherwise}.'
        )
    return connection


def streams() -> "QuerySet[Stream]":
    """The logs of durable channels."""
    return _rows("Stream")


def entries() -> "QuerySet[Entry]":
    """The publications of durable channels."""
    return _rows("Entry")


def ledger() -> "QuerySet[Ledger]":
    """The values that all logs of durable channels share."""
    return _rows("Ledger")


def stream_versions() -> "QuerySet[StreamVersion]":
    """The newest versions of durable channels whose publishers number versions."""
    return _rows("StreamVersion")


def orders() -> "QuerySet[Order]":
    """The orders between processes."""
    return _rows("Order")


def tickets() -> "QuerySet[Ticket]":
    """The one-time tickets."""
    return _rows("Ticket")


def revocations() -> "QuerySet[Revocation]":
    """The logins whose tokens were revoked."""
    return _rows("Revocation")


def api_keys() -> "QuerySet[ApiKey]":
    """The keys of the HTTP API that are kept in the database."""
    return _rows("ApiKey")


def node_leases() -> "QuerySet[NodeLease]":
    """The leases of the site's server processes."""
    return _rows("NodeLease")


def quoted(connection: BaseDatabaseWrapper, model: str) -> str:
    """Return the name of the table of the model `model`, for SQL that Hotclub writes itself. Raises `NotMigrated`."""
    table = _table(model)
    _require(connection.alias, table)
    return connection.ops.quote_name(table)


def look_anew(alias: str) -> None:
    """Ask the database for its tables again, because a migration has run."""
    _tables.cache_clear()
    _tables(alias)


def _rows(model: str) -> "QuerySet[Any]":
    alias, found = database(), apps.get_model("hotclub", model)
    _require(alias, _table(model))
    rows: QuerySet[Any] = found._default_manager.using(alias)  # noqa: SLF001 - the same
    return rows


@cache
def _table(model: str) -> str:
    table: str = apps.get_model("hotclub", model)._meta.db_table  # noqa: SLF001 - public, by its documentation
    return table


def _require(alias: str, table: str) -> None:
    """Raise NotMigrated when the database has no such table. The list of tables is read again while one is missing."""
    if table in _tables(alias):
        return
    _tables.cache_clear()
    if table not in _tables(alias):
        raise NotMigrated(alias, table)


@cache
def _tables(alias: str) -> frozenset[str]:
    return frozenset(connections[alias].introspection.table_names())
