"""Every way in which a login ends, as `docs/explanation/revocation.md` lists them: with which code, and how soon."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, cast

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection, connections, models
from django.test.utils import CaptureQueriesContext, isolate_apps
from django.utils import timezone

from hotclub.access.session import session_store
from hotclub.hooks.connect import ConnectHooks
from hotclub.models import Order
from hotclub.runtime.node import require_node
from tests.hotclub.conftest import Person, Site, amake_person, make_person
from tests.hotclub.revocation.test_signals_and_watch import log_out_like_the_view
from tests.support.processes import poll_until
from tests.support.wire import WireClient

pytestmark = pytest.mark.django_db(transaction=True)

Serve = Callable[..., Awaitable[Site]]
Configure = Callable[..., None]
Way = Callable[[Person], Any]

SIGNED_OUT, COME_BACK = 3503, 3011


def users(person: Person) -> Any:
    return get_user_model()._default_manager.filter(pk=person.user.pk)


def save(user: Any, **changes: Any) -> None:
    for name, value in changes.items():
        setattr(user, name, value)
    user.save()


def new_password(person: Person) -> None:
    person.user.set_password("nuages")
    person.user.save(update_fields=["password"])


def bulk_update(person: Person) -> None:
    person.user.is_active = False
    get_user_model()._default_manager.bulk_update([person.user], ["is_active"])


def delete_some_sessions(person: Person) -> None:
    Session.objects.filter(pk__in=[person.session_key, "another"]).delete()


def sql(statement: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def by_another_program(statement: str, value: Any) -> None:
    """A statement past Django, such as from `psql`."""
    with sqlite3.connect(connections["default"].settings_dict["NAME"], timeout=20) as database:
        database.execute(statement, [value])
    database.close()


def through_a_proxy(person: Person) -> None:
    with isolate_apps("clubhouse.accounts"):

        class Member(get_user_model()):  # type: ignore[misc] # a function gives the base class
            class Meta:
                app_label = "accounts"
                proxy = True

        save(Member.objects.get(pk=person.user.pk), is_active=False)


def through_a_child(person: Person) -> None:
    with isolate_apps("clubhouse.accounts"):

        class Guitarist(get_user_model()):  # type: ignore[misc] # the same
            number = models.AutoField(primary_key=True)
            person = models.OneToOneField(get_user_model(), models.CASCADE, parent_link=True, related_name="+")

            class Meta:
                app_label = "accounts"

        with connection.schema_editor() as editor:
            editor.create_model(Guitarist)
        try:
            child = Guitarist(number=987_654, person=person.user)
            child.__dict__.update({name: value for name, value in person.user.__dict__.items() if name != "_state"})
            # The site's own `save()` would take the child for somebody else of the same name.
            models.Model.save(child)
            save(Guitarist.objects.get(number=987_654), is_active=False)
        finally:
            with connection.schema_editor() as editor:
                editor.delete_model(Guitarist)


TABLE = Session._meta.db_table
USERS = get_user_model()._meta.db_table

AT_ONCE: dict[str, tuple[Way, int]] = {
    "logout()": (log_out_like_the_view, SIGNED_OUT),
    "a new password": (new_password, COME_BACK),
    "is_active and save()": (lambda person: save(person.user, is_active=False), SIGNED_OUT),
    "save() of a proxy": (through_a_proxy, SIGNED_OUT),
    "save() of a child": (through_a_child, SIGNED_OUT),
    "delete() of the user": (lambda person: person.user.delete(), SIGNED_OUT),
    "delete() of users": (lambda person: users(person).delete(), SIGNED_OUT),
    "flush() of the session": (lambda person: session_store(person.session_key).flush(), COME_BACK),
    "delete() of a session": (lambda person: Session.objects.get(pk=person.session_key).delete(), COME_BACK),
    "delete() of some sessions": (delete_some_sessions, COME_BACK),
    "delete() of all sessions": (lambda _person: Session.objects.all().delete(), COME_BACK),
    "SQL of the site that deletes sessions": (
        lambda person: sql(f"DELETE FROM {TABLE} WHERE session_key = %s", person.session_key),
        COME_BACK,
    ),
}

BY_THE_LOOK: dict[str, tuple[Way, int]] = {
    "update() of users": (lambda person: users(person).update(is_active=False), SIGNED_OUT),
    "update() of passwords": (lambda person: users(person).update(password="another"), COME_BACK),
    "bulk_update() of users": (bulk_update, SIGNED_OUT),
    "SQL that changes users": (
        lambda person: sql(f"UPDATE {USERS} SET is_active = FALSE WHERE id = %s", person.user.pk),
        SIGNED_OUT,
    ),
    "another program that deletes sessions": (
        lambda person: by_another_program(f"DELETE FROM {TABLE} WHERE session_key = ?", person.session_key),
        COME_BACK,
    ),
}


async def end(site: Site, person: Person, way: Way) -> int:
    """The code that a connection ends with, within three seconds, when a login ends in this way."""
    async with await WireClient.open(site.port, headers=site.headers(person)) as client:
        await client.connect()
        watch = cast("ConnectHooks", require_node().application.connects)._watch
        await poll_until(lambda: not watch.due(), "no look is due soon")
        await sync_to_async(way)(person)
        async with asyncio.timeout(3):
            return (await client.ended()).code


@pytest.mark.parametrize(
    ("way", "login_check"), [*((way, 3600) for way in AT_ONCE), *((way, 0.1) for way in BY_THE_LOOK)]
)
async def test_a_login_that_ends_in_this_way_ends_its_connections(
    serve: Serve, hotclub_settings: Configure, way: str, login_check: float
) -> None:
    """At once, without the regular look; or by the regular look."""
    hotclub_settings(LOGIN_CHECK=login_check)
    change, code = {**AT_ONCE, **BY_THE_LOOK}[way]

    assert await end(await serve(), await amake_person(), change) == code


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        ("DELETE FROM {table} WHERE session_key = %(key)s", {"key": "x" * 32}),
        ("\n  delete from {table} where expire_date > %s", ["2000-01-01"]),
        ("DELETE FROM {table} WHERE 1 = 0;", None),
    ],
)
def test_statements_of_every_form_run_and_have_the_logins_looked_at(statement: str, values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement.format(table=TABLE), values)

    assert [order.payload for order in Order.objects.all()] == ['{"type":"look_at_logins"}']


@pytest.fixture
def many_sessions() -> Iterator[None]:
    now = timezone.now()
    Session.objects.bulk_create(
        Session(session_key=f"key{number:029}", session_data="", expire_date=now) for number in range(500)
    )
    yield
    Session.objects.all().delete()


@pytest.mark.usefixtures("many_sessions")
def test_sessions_are_deleted_in_one_statement_and_none_is_loaded() -> None:
    living = make_person()
    with CaptureQueriesContext(connection) as cleared:
        call_command("clearsessions")
    with CaptureQueriesContext(connection) as deleted:
        Session.objects.all().delete()

    for queries in (cleared, deleted):
        statements = [query["sql"] for query in queries if TABLE in query["sql"]]
        assert [statement.split()[0] for statement in statements] == ["DELETE"], living
    assert len(cleared) <= 3


HELD: dict[str, asyncio.Event] = {}


async def hold(_client: Any) -> None:
    """An ON_CONNECT hook that lets the test do something meanwhile."""
    HELD["begun"].set()
    await HELD["free"].wait()


@pytest.mark.parametrize(
    "way",
    [
        "logout()",
        "is_active and save()",
        "flush() of the session",
        "delete() of some sessions",
        "delete() of all sessions",
        "update() of users",
        "another program that deletes sessions",
    ],
)
async def test_a_login_that_ends_while_its_connection_is_decided_on_ends_the_connection(
    serve: Serve, hotclub_settings: Configure, way: str
) -> None:
    hotclub_settings(LOGIN_CHECK=3600 if way in AT_ONCE else 0.5, ON_CONNECT=f"{__name__}.hold")
    HELD.update(begun=asyncio.Event(), free=asyncio.Event())
    person, site = await amake_person(), await serve()
    async with await WireClient.open(site.port, headers=site.headers(person)) as client:
        connecting = asyncio.ensure_future(client.connect())
        await asyncio.wait_for(HELD["begun"].wait(), 10)
        await sync_to_async({**AT_ONCE, **BY_THE_LOOK}[way][0])(person)
        if way == "delete() of all sessions":
            watch = cast("ConnectHooks", require_node().application.connects)._watch
            await poll_until(lambda: watch.doubts > 0 and not watch._is_doubted, "the doubt has been looked into")
        HELD["free"].set()
        async with asyncio.timeout(5):
            ended = await client.ended()
            await asyncio.gather(connecting, return_exceptions=True)
    assert ended.code in (COME_BACK, SIGNED_OUT)
