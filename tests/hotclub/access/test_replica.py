"""A project whose reads go to a replica that lags: it has no row of anybody yet, or still all rows of yesterday."""

import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.db import connection, connections
from django.db.models import Model
from django.test import override_settings

import hotclub
import hotclub.tokens
from hotclub.access.emulated import user_of
from hotclub.access.session import authenticate
from hotclub.revocation.watch import SessionWatch
from hotclub.runtime.primary import primary
from tests.hotclub.access.test_admission import request_of, who
from tests.hotclub.conftest import Declare, Person, Site, amake_person, make_person
from tests.hotclub.revocation.test_signals_and_watch import watched
from tests.support.wire import WireClient

pytestmark = pytest.mark.django_db(transaction=True)

Serve = Callable[..., Awaitable[Site]]
Configure = Callable[..., None]

REPLICA = "replica"


class ReadsFromReplica:
    """The router of such a project."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        return REPLICA

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        return "default"

    def allow_relation(self, one: Model, other: Model, **hints: Any) -> bool:
        return True


@pytest.fixture
def replica(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, django_db_blocker: Any) -> Iterator[Callable[[], None]]:
    """A replica with empty tables. The function copies the rows of users and sessions to it."""
    path = tmp_path / "replica.sqlite3"
    tables = [f'"{model._meta.db_table}"' for model in (get_user_model(), Session)]
    with sqlite3.connect(path) as replica, connection.cursor() as cursor:
        cursor.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%%'")
        for (statement,) in cursor.fetchall():
            replica.execute(statement)
    monkeypatch.setitem(settings.DATABASES, REPLICA, {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)})
    connections.configure_settings(settings.DATABASES)

    def copy() -> None:
        with sqlite3.connect(path) as replica, connection.cursor() as cursor:
            for table in tables:
                cursor.execute(f"SELECT * FROM {table}")
                rows = cursor.fetchall()
                replica.execute(f"DELETE FROM {table}")
                replica.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(rows[0]))})", rows)

    with django_db_blocker.unblock():
        yield copy
        connections[REPLICA].close()
        del connections[REPLICA]


ROUTED = override_settings(DATABASE_ROUTERS=[ReadsFromReplica()])


async def opened_by(site: Site, person: Person | None, token: str = "") -> Any:
    """Who the hooks of a new connection see."""
    client = await WireClient.open(site.port, headers=site.headers(person))
    await client.connect(**({"token": token} if token else {}))
    answer = (await client.call("rpc", method="who"))["data"]
    client.abort()
    return answer


@pytest.mark.usefixtures("replica")
async def test_who_has_just_signed_in_is_let_in_by_cookie_ticket_and_token(
    serve: Serve, declare: Declare, hotclub_settings: Configure
) -> None:
    declare(who)
    hotclub_settings(TOKENS={"HMAC_SECRET": "a secret of more than thirty-two bytes"}, ON_CONNECT=None)
    person = await amake_person()
    request = await sync_to_async(request_of)(person)
    ticket = await hotclub.tokens.aticket(request)
    token = await sync_to_async(lambda: hotclub.tokens.connection_token(person.user, request=request))()
    known = {"user": str(person.user.pk), "known": True, "meta": None}
    with ROUTED:
        site = await serve()
        assert await opened_by(site, person) == known
        assert await opened_by(site, None, ticket) == known
        assert await opened_by(site, None, token) == known


@pytest.mark.usefixtures("replica")
def test_a_connection_is_not_ended_for_rows_that_the_replica_does_not_have_yet() -> None:
    person = make_person()
    with ROUTED:
        assert SessionWatch.check([watched(person)]).gone == []
        assert user_of(person.session_key) == str(person.user.pk)


def test_rows_that_only_the_replica_still_has_let_nobody_in(replica: Callable[[], None]) -> None:
    signed_out, inactive, renewed = people = [make_person(name) for name in ("out", "inactive", "renewed")]
    clients = [watched(person) for person in people]
    replica()
    Session.objects.filter(pk=signed_out.session_key).delete()
    users = get_user_model()._default_manager
    users.filter(pk=inactive.user.pk).update(is_active=False)
    users.filter(pk=renewed.user.pk).update(password="another")
    with ROUTED:
        assert [authenticate(person.session_key) for person in people] == [None, None, None]
        assert [client for client, _ in SessionWatch.check(clients).gone] == clients


@pytest.mark.parametrize("engine", ["db", "cached_db"])
def test_every_session_store_with_rows_is_read_from_the_primary(
    engine: str, replica: Callable[[], None], settings: Any
) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    person = make_person()
    with ROUTED:
        login = authenticate(person.session_key)
        assert login is not None
        assert login.user == person.user
    replica()
    Session.objects.filter(pk=person.session_key).delete()
    with ROUTED:
        assert authenticate(person.session_key) is None


@pytest.mark.usefixtures("replica")
def test_only_reads_of_the_block_go_to_the_primary() -> None:
    person = make_person()
    with ROUTED:
        users = get_user_model()._default_manager
        with primary():
            assert users.get(pk=person.user.pk) == person.user
        assert not users.filter(pk=person.user.pk).exists()
