"""Signing out, in whatever way, ends sockets within a second."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import centrifuge
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model, update_session_auth_hash
from django.contrib.auth.models import update_last_login
from django.contrib.auth.signals import user_logged_out
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.http import HttpRequest
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from hotclub.access.session import session_store
from hotclub.channels.client import Client
from hotclub.engine.target import Target
from hotclub.models import Order
from hotclub.orders.messages import EndConnections
from hotclub.orders.send import send
from hotclub.revocation.watch import SessionWatch
from tests.hotclub.conftest import Person, Site, Watched, amake_person, asign_in, make_person

pytestmark = pytest.mark.django_db(transaction=True)

Serve = Callable[..., Awaitable[Site]]
Configure = Callable[..., None]

SIGNED_OUT = (3503, "signed out")


async def outcome(client: Watched) -> tuple[int, str]:
    """How the connection ended, within a second."""
    async with asyncio.timeout(1):
        return await client.gone


async def is_cut_and_refused(client: Watched) -> bool:
    """The connection is cut within a second, and what comes back with the old cookie is refused for good."""
    async with asyncio.timeout(1):
        await client.reconnecting.wait()
    async with asyncio.timeout(5):
        return (await client.gone)[0] == 3501


async def is_alive(client: Watched) -> bool:
    """The first connection still answers."""
    with pytest.raises(centrifuge.ReplyError):
        await client.sdk.rpc("nothing", {}, timeout=5)
    return client.connects == 1 and not client.gone.done()


async def test_a_logout_ends_all_tabs_of_that_browser_for_good_and_no_other(serve: Serve) -> None:
    site = await serve()
    person = await amake_person()
    phone = Person(person.user, await asign_in(person.user))
    tabs = [await site.open(person) for _ in range(3)]
    elsewhere = await site.open(phone)

    await sync_to_async(log_out_like_the_view)(person)

    assert [await outcome(tab) for tab in tabs] == [SIGNED_OUT] * 3
    assert await is_alive(elsewhere)


def log_out_like_the_view(person: Person) -> None:
    """What LogoutView does: the signal first, while the session is still there, then the flush."""
    request = HttpRequest()
    request.session = session_store(person.session_key)
    user_logged_out.send(sender=type(person.user), request=request, user=person.user)
    request.session.flush()


async def test_a_logout_that_is_rolled_back_ends_nothing(serve: Serve) -> None:
    site = await serve()
    person = await amake_person()
    tab = await site.open(person)

    def roll_back() -> None:
        with transaction.atomic():
            log_out_like_the_view(person)
            transaction.set_rollback(True)

    await sync_to_async(roll_back)()

    assert await is_alive(tab)


async def test_a_new_password_ends_the_connections_of_every_browser(serve: Serve) -> None:
    site = await serve()
    person = await amake_person()
    phone = Person(person.user, await asign_in(person.user))
    tabs = [await site.open(person), await site.open(phone)]

    def change() -> None:
        person.user.set_password("nuages")
        person.user.save()

    await sync_to_async(change)()

    assert [await is_cut_and_refused(tab) for tab in tabs] == [True, True]


async def test_the_browser_that_changed_its_password_comes_back_with_its_new_cookie(serve: Serve) -> None:
    site = await serve()
    person = await amake_person()
    tab = await site.open(person)

    def change() -> str:
        request = HttpRequest()
        request.session = session_store(person.session_key)
        request.user = person.user
        person.user.set_password("nuages")
        person.user.save()
        update_session_auth_hash(request, person.user)
        request.session.save()
        return request.session.session_key or ""

    new_key = await sync_to_async(change)()

    assert new_key != person.session_key
    assert await is_cut_and_refused(tab)
    assert await is_alive(await site.open(cookie=person.cookie.replace(person.session_key, new_key)))


async def test_deactivating_a_user_is_final(serve: Serve) -> None:
    site = await serve()
    person = await amake_person()
    tab = await site.open(person)
    person.user.is_active = False

    await person.user.asave()

    assert await outcome(tab) == SIGNED_OUT


async def test_deleting_a_user_is_final(serve: Serve) -> None:
    site = await serve()
    person = await amake_person()
    tab = await site.open(person)

    await person.user.adelete()

    assert await outcome(tab) == SIGNED_OUT


async def test_deleting_all_sessions_ends_all_connections(serve: Serve) -> None:
    site = await serve()
    tabs = [await site.open(await amake_person(name)) for name in ("django", "stephane")]

    await Session.objects.all().adelete()

    assert [await is_cut_and_refused(tab) for tab in tabs] == [True, True]


async def test_other_changes_of_a_user_end_nothing_and_a_login_costs_no_query_more(serve: Serve) -> None:
    site = await serve()
    person = await amake_person()
    tab = await site.open(person)

    def change() -> int:
        with CaptureQueriesContext(connection) as queries:
            update_last_login(type(person.user), person.user)
        person.user.save()
        return len(queries)

    assert await sync_to_async(change)() == 1
    assert await is_alive(tab)


async def test_a_database_that_cannot_tell_the_others_ends_nothing_but_that(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    site = await serve()
    person = await amake_person()
    tab = await site.open(person)

    def fail(*_args: Any) -> None:
        raise DatabaseError("no such table")

    monkeypatch.setattr("hotclub.orders.table.send", fail)
    await sync_to_async(log_out_like_the_view)(person)

    assert await outcome(tab) == SIGNED_OUT
    assert not await Session.objects.filter(pk=person.session_key).aexists()
    assert "no such table" in caplog.text


async def test_another_process_can_end_a_connection(serve: Serve) -> None:
    site = await serve()
    person = await amake_person()
    tab = await site.open(person)
    target = Target(login_id=await sync_to_async(lambda: person.login_id)())

    await sync_to_async(send)(EndConnections(target, 3503, "signed out"))

    assert await outcome(tab) == SIGNED_OUT


async def test_what_no_signal_tells_is_found_by_the_regular_look(serve: Serve, hotclub_settings: Configure) -> None:
    hotclub_settings(LOGIN_CHECK=0.1)
    site = await serve()
    inactive, expired, fine = [await amake_person(name) for name in ("inactive", "expired", "fine")]
    tabs = [await site.open(person) for person in (inactive, expired, fine)]

    await get_user_model()._default_manager.filter(pk=inactive.user.pk).aupdate(is_active=False)
    await Session.objects.filter(pk=expired.session_key).aupdate(expire_date=timezone.now() - timedelta(seconds=1))

    assert await outcome(tabs[0]) == SIGNED_OUT
    assert await is_cut_and_refused(tabs[1])
    assert await is_alive(tabs[2])


def test_logging_in_and_clearing_expired_sessions_tell_nobody() -> None:
    before = Order.objects.count()
    person = make_person()
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))

    call_command("clearsessions")

    assert not Session.objects.filter(pk=person.session_key).exists()
    assert Order.objects.count() == before


def watched(person: Person, **changes: Any) -> Client:
    auth_hash = person.user.get_session_auth_hash()
    values = {"id": "one", "user": person.user, "session_key": person.session_key, "auth_hash": auth_hash}
    return Client(**{**values, **changes})


def test_the_look_costs_two_queries_however_many_connections_there_are() -> None:
    people = [make_person(f"guitar{number}") for number in range(5)]
    clients = [watched(person) for person in people for _ in range(4)]

    with CaptureQueriesContext(connection) as queries:
        assert SessionWatch.check(clients).gone == []

    assert len(queries) == 2


def test_the_look_renews_the_user() -> None:
    person = make_person()
    client = watched(person)
    get_user_model()._default_manager.filter(pk=person.user.pk).update(is_superuser=True)

    assert SessionWatch.check([client]).gone == []

    assert client.user.is_superuser


def test_a_session_of_an_older_password_has_to_come_back() -> None:
    person = make_person()

    [(_, reason)] = SessionWatch.check([watched(person, auth_hash="older")]).gone

    assert reason.code == 3011


@pytest.mark.parametrize("engine", ["cache", "file", "signed_cookies"])
def test_the_look_works_with_every_session_store(engine: str, settings: Any) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    person = make_person()
    alive, gone = watched(person), watched(person, session_key="0" * 32)

    assert [client for client, _ in SessionWatch.check([alive, gone]).gone] == [gone]


def test_a_connection_that_was_dropped_is_forgotten() -> None:
    watch = SessionWatch()
    person = make_person()
    client = watched(person)
    watch.add(client)
    assert watch.clients() == [client]

    del client

    assert watch.clients() == []


def test_a_session_that_vanished_is_looked_at_once_more_and_one_that_is_over_is_not() -> None:
    """Who signed out elsewhere is about to be told so, which says more than to come back."""
    person, other = make_person(), make_person("stephane")
    watch, vanishing, expiring = SessionWatch(), watched(person), watched(other)

    def look() -> list[Client]:
        due = watch.due()
        return [client for client, _ in watch.judge(due, watch.check(due))]

    watch.add(vanishing)
    watch.add(expiring)
    assert look() == []
    assert watch.due() == []

    Session.objects.filter(pk=person.session_key).delete()
    assert watch.judge([vanishing], watch.check([vanishing])) == []
    assert watch.due() == [vanishing]
    assert look() == [vanishing]
    watch.remove(vanishing)

    Session.objects.filter(pk=other.session_key).update(expire_date=timezone.now() + timedelta(seconds=0.2))
    assert watch.judge([expiring], watch.check([expiring])) == []
    assert watch.due() == []
    while not watch.due():
        pass
    assert look() == [expiring]


def test_a_doubt_has_every_connection_looked_at_once_and_the_gone_ones_end_at_that_look() -> None:
    vanished, fine = make_person(), make_person("stephane")
    watch, clients = SessionWatch(), [watched(vanished), watched(fine)]
    for client in clients:
        watch.add(client, timezone.now() + timedelta(days=1))
    assert watch.due() == []
    Session.objects.filter(pk=vanished.session_key).delete()

    watch.doubt()

    assert set(watch.due()) == set(clients)
    assert watch.due() == [], "the next tick looks at nobody"
    assert [client for client, _ in watch.judge(clients, watch.check(clients))] == clients[:1]
    latecomer = watched(vanished)
    watch.add(latecomer, timezone.now() + timedelta(days=1))
    assert watch.judge([latecomer], watch.check([latecomer])) == [], "it came after the doubt"


def test_a_doubt_while_a_connection_is_decided_on_has_the_connection_looked_at_once() -> None:
    person = make_person()
    watch, client = SessionWatch(), watched(person)
    doubts = watch.doubts
    Session.objects.filter(pk=person.session_key).delete()
    watch.doubt()
    watch.due()

    watch.add(client, timezone.now() + timedelta(days=1), doubts=doubts)

    assert watch.due() == [client]
    assert [gone for gone, _ in watch.judge([client], watch.check([client]))] == [client]


def test_a_session_that_ends_soon_is_asked_for_at_its_moment_and_a_later_one_at_the_regular_look() -> None:
    watch, soon, later = SessionWatch(), watched(make_person()), watched(make_person("stephane"))
    watch.add(soon, timezone.now() + timedelta(seconds=0.1))
    watch.add(later, timezone.now() + timedelta(days=14))
    assert list(watch._soon) == [soon]
    while not watch.due():
        pass
    assert watch.due() == [soon]
    watch.remove(soon)
    assert watch.due() == []
