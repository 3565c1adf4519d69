"""Committed means sent, rolled back means never seen, from wherever it is published."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.db import connection, connections, transaction

import hotclub
from hotclub.models import Entry
from tests.hotclub.conftest import Site, Watched, amake_person

pytestmark = pytest.mark.django_db(transaction=True)

Serve = Callable[..., Awaitable[Site]]
Declare = Callable[..., None]


class Room(hotclub.Channel):
    pattern = "room:<int:room_id>"
    history = hotclub.History(size=100, ttl=timedelta(hours=1), durable=True)

    async def can_subscribe(self, client: hotclub.Client, room_id: int) -> bool:
        return True


class Ticker(hotclub.Channel):
    pattern = "ticker:<str:name>"
    history = hotclub.History(size=100, ttl=timedelta(hours=1))

    async def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return True


@pytest.fixture(autouse=True)
def _channels(declare: Declare) -> None:
    declare(Room, Ticker)


async def listener(serve: Serve, *channels: str) -> Watched:
    site = await serve()
    client = await site.open(await amake_person())
    for channel in channels:
        await client.join(channel)
    return client


async def received(client: Watched, count: int) -> list[Any]:
    async with asyncio.timeout(5):
        return [(await client.publications.get())[1] for _ in range(count)]


def closing(function: Callable[..., Any], *args: Any) -> Any:
    """Call it in a thread of its own, and leave no database connection behind."""
    try:
        return function(*args)
    finally:
        connections.close_all()


@pytest.mark.parametrize("channel", ["room:1", "ticker:a"])
async def test_a_publication_reaches_the_subscriber_and_has_a_position(serve: Serve, channel: str) -> None:
    client = await listener(serve, channel)

    first = await sync_to_async(hotclub.publish)(channel, {"n": 1})
    second = await hotclub.apublish(channel, {"n": 2})

    assert first is not None
    assert second is not None
    assert (first.offset, second.offset) == (1, 2)
    assert first.epoch == second.epoch
    assert await received(client, 2) == [{"n": 1}, {"n": 2}]


async def test_a_transaction_s_publications_leave_with_its_commit_and_in_order(serve: Serve) -> None:
    client = await listener(serve, "room:1", "ticker:a")
    entered, commit = threading.Event(), threading.Event()

    def work() -> list[hotclub.Position | None]:
        with transaction.atomic():
            positions = [hotclub.publish(name, n) for n, name in enumerate(["room:1", "ticker:a", "room:1"])]
            entered.set()
            assert commit.wait(5)
            return positions

    working = asyncio.create_task(asyncio.to_thread(closing, work))
    await asyncio.to_thread(entered.wait, 5)
    # A round trip through the server: had anything been sent, it would be here now.
    await client.sdk.history("ticker:a", limit=0)
    assert client.publications.empty()
    commit.set()
    positions = await working

    assert [position and position.offset for position in positions] == [1, None, 2]
    assert await received(client, 3) == [0, 1, 2]


@transaction.atomic
def publish_and_fail() -> None:
    """A transaction, or a savepoint within one."""
    hotclub.publish("room:1", "rolled back")
    hotclub.publish("ticker:a", "rolled back")
    raise ZeroDivisionError


async def test_what_is_rolled_back_is_never_seen(serve: Serve) -> None:
    client = await listener(serve, "room:1", "ticker:a")

    def work() -> None:
        with pytest.raises(ZeroDivisionError):
            publish_and_fail()
        hotclub.publish("room:1", "kept")
        hotclub.publish("ticker:a", "kept")

    await sync_to_async(work)()

    assert await received(client, 2) == ["kept", "kept"]
    assert await Entry.objects.filter(stream__channel="room:1").acount() == 1


async def test_a_savepoint_that_is_rolled_back_in_a_commit_is_never_seen(serve: Serve) -> None:
    client = await listener(serve, "room:1", "ticker:a")

    def work() -> None:
        with transaction.atomic():
            hotclub.publish("room:1", "before")
            with pytest.raises(ZeroDivisionError):
                publish_and_fail()
            hotclub.publish("room:1", "after")
            hotclub.publish("ticker:a", "after")

    await sync_to_async(work)()

    assert await received(client, 3) == ["before", "after", "after"]


async def test_a_savepoint_that_the_project_rolls_back_is_never_seen_in_a_durable_channel(serve: Serve) -> None:
    client = await listener(serve, "room:1")

    def work() -> None:
        with transaction.atomic():
            savepoint = str(connection.savepoint())
            hotclub.publish("room:1", "rolled back")
            connection.savepoint_rollback(savepoint)
        hotclub.publish("room:1", "kept")

    await sync_to_async(work)()

    assert await received(client, 1) == ["kept"]


async def test_an_idempotency_key_publishes_once(serve: Serve) -> None:
    client = await listener(serve, "room:1")

    first = await hotclub.apublish("room:1", "a", idempotency_key="k")
    again = await hotclub.apublish("room:1", "a", idempotency_key="k")
    with pytest.raises(hotclub.IdempotencyConflict):
        await hotclub.apublish("room:1", "b", idempotency_key="k")
    await hotclub.apublish("room:1", "end")

    assert first == again
    assert await received(client, 2) == ["a", "end"]


async def test_a_process_without_a_node_reaches_the_site_through_the_table(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await listener(serve, "room:1", "ticker:a")
    for module in ("actions.publish", "orders.send"):
        monkeypatch.setattr(f"hotclub.{module}.current_node", lambda: None)

    durable = await hotclub.apublish("room:1", 1)
    passing = await hotclub.apublish("ticker:a", 2, tags={"from": "afar"})

    assert durable is not None
    assert passing is None
    assert sorted(await received(client, 2)) == [1, 2]


async def test_a_broadcast_answers_in_the_order_asked_and_writes_all_or_nothing(serve: Serve) -> None:
    await listener(serve)
    channels = ["room:2", "ticker:a", "room:1"]

    positions = await hotclub.abroadcast(channels, "x")
    again = await sync_to_async(hotclub.broadcast)(channels, "y", idempotency_key="k")

    assert [position and position.offset for position in positions] == [1, 1, 1]
    assert [position and position.offset for position in again] == [2, 2, 2]
    with pytest.raises(hotclub.IdempotencyConflict):
        await hotclub.abroadcast(["room:3", "room:1"], "z", idempotency_key="k")
    assert not await Entry.objects.filter(stream__channel="room:3").aexists()


async def test_a_personal_publication_reaches_every_connection_of_that_user_alone(serve: Serve) -> None:
    site = await serve()
    django, stephane = await amake_person("django"), await amake_person("stephane")
    tabs = [await site.open(django), await site.open(django)]
    other = await site.open(stephane)

    await hotclub.apublish_to_user(django.user, "for django")
    await sync_to_async(hotclub.publish_to_user)(stephane.user.pk, "for stephane")

    assert [await received(tab, 1) for tab in tabs] == [["for django"]] * 2
    assert await received(other, 1) == ["for stephane"]


async def test_an_unknown_channel_is_error_102() -> None:
    with pytest.raises(hotclub.Refused) as refused:
        await hotclub.apublish("nowhere", 1)

    assert refused.value.code == 102


async def test_the_synchronous_names_say_what_to_await_instead() -> None:
    for call, twin in (
        (lambda: hotclub.publish("room:1", 1), "apublish"),
        (lambda: hotclub.broadcast(["room:1"], 1), "abroadcast"),
        (lambda: hotclub.publish_to_user(1, 1), "apublish_to_user"),
        (lambda: hotclub.disconnect(1), "adisconnect"),
        (lambda: hotclub.unsubscribe("room:1"), "aunsubscribe"),
        (lambda: hotclub.presence("room:1"), "apresence"),
        (lambda: hotclub.presence_stats("room:1"), "apresence_stats"),
        (lambda: hotclub.history("room:1"), "ahistory"),
    ):
        with pytest.raises(SynchronousOnlyOperation, match=f"await {twin}"):
            call()


def test_nobody_cannot_be_addressed() -> None:
    from django.contrib.auth.models import AnonymousUser

    with pytest.raises(ValueError, match="no primary key"):
        hotclub.publish_to_user(AnonymousUser(), 1)  # type: ignore[arg-type]


async def test_one_publication_in_many_threads_keeps_the_log_gapless(serve: Serve) -> None:
    client = await listener(serve, "room:1")

    await asyncio.gather(*(asyncio.to_thread(closing, hotclub.publish, "room:1", number) for number in range(40)))

    assert sorted(await received(client, 40)) == list(range(40))
    entries = Entry.objects.filter(stream__channel="room:1").order_by("offset")
    offsets = [offset async for offset in entries.values_list("offset", flat=True)]
    assert offsets == list(range(1, 41))
