"""The databases that durable channels support, each real: SQLite in a file, and a PostgreSQL server."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import dj_database_url
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import override_settings

from hotclub.models import Order, Stream
from tests.support.postgres import postgres

ALIAS: Final = "streams"
VENDORS: Final = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A database in a PostgreSQL server that runs until the last test."""
    # Not below pytest's own directory: every pytest that starts closes that to all users but its own.
    with tempfile.TemporaryDirectory(prefix="hotclub-postgres-") as directory, postgres(Path(directory)) as cluster:
        yield cluster.create()


@pytest.fixture(params=VENDORS)
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, django_db_blocker: Any
) -> Iterator[str]:
    """Empty tables of durable channels in a database of their own; yields its vendor.

    Nothing wraps the test in a transaction, and any thread or process may connect.
    """
    vendor: str = request.param
    options = sqlite_options(tmp_path) if vendor == "sqlite" else postgres_options(request)
    monkeypatch.setitem(settings.DATABASES, ALIAS, options)
    connections.configure_settings(settings.DATABASES)
    with django_db_blocker.unblock(), override_settings(HOTCLUB={"DATABASE": ALIAS}):
        call_command("migrate", "hotclub", database=ALIAS, verbosity=0)
        yield vendor
        Stream.objects.using(ALIAS).all().delete()
        Order.objects.using(ALIAS).all().delete()
        connections[ALIAS].close()
        del connections[ALIAS]


def sqlite_options(directory: Path) -> dict[str, Any]:
    """How a site is to set up SQLite."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(directory / "streams.sqlite3"),
        "OPTIONS": {
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
        },
    }


def postgres_options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(dj_database_url.parse(request.getfixturevalue("postgres_url")))
