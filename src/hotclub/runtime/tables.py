"""Hotclub's own tables, found when they are first asked for.

A project imports `hotclub` before Django has loaded the apps, and models exist only after that. So no module that
`hotclub/__init__.py` imports may import `hotclub.models`; it asks here instead.
"""

from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db.models import QuerySet

from hotclub.conf.config import get_config

if TYPE_CHECKING:
    from hotclub.models import ApiKey, Entry, Order, Revocation, Stream, StreamVersion, Ticket


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
    """The logins and token ids that open nothing any more."""
    return _rows("Revocation")


def api_keys() -> "QuerySet[ApiKey]":
    """The keys of the HTTP API that are kept in the database."""
    return _rows("ApiKey")


def _rows(model: str) -> "QuerySet[Any]":
    rows: QuerySet[Any] = apps.get_model("hotclub", model)._default_manager.using(database())  # noqa: SLF001 - public, by its documentation
    return rows
