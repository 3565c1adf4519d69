"""The databases that durable channels support, each real: SQLite in a file, and a PostgreSQL server."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import dj_database_url
import pytest
from django.conf import settings
from django.db import connections
from django.test import override_settings

from hotclub.models import Ledger, Order, Stream
from tests.support.postgres import project_template, shared_cluster
from tests.support.processes import PROJECT, Server

ALIAS: Final = "streams"
VENDORS: Final = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """A database of this worker in the PostgreSQL of the run."""
    return shared_cluster().create(project_template())


@pytest.fixture(params=VENDORS)
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Empty tables of durable channels in a database of their own; yields its vendor.

    Nothing wraps the test in a transaction, and any thread or process may connect.
    """
    with another_database(request.param, request, tmp_path, monkeypatch):
        yield request.param


@contextlib.contextmanager
def another_database(
    vendor: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Have Hotclub's tables in a database of their own within the block; see `store`."""
    if vendor == "sqlite":
        Server(tmp_path, PROJECT).copy_tables()
    options = sqlite_options(tmp_path) if vendor == "sqlite" else postgres_options(request)
    monkeypatch.setitem(settings.DATABASES, ALIAS, options)
    connections.configure_settings(settings.DATABASES)
    with request.getfixturevalue("django_db_blocker").unblock(), override_settings(HOTCLUB={"DATABASE": ALIAS}):
        yield
        for model in (Stream, Order, Ledger):
            model.objects.using(ALIAS).all().delete()
        connections[ALIAS].close()
        del connections[ALIAS]


def sqlite_options(directory: Path) -> dict[str, Any]:
    """The settings that a site needs for SQLite."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(directory / "project.sqlite3"),
        "OPTIONS": {
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
        },
    }


def postgres_options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(dj_database_url.parse(request.getfixturevalue("postgres_url")))
