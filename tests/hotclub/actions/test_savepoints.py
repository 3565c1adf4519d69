"""What a savepoint takes back is never seen, however the project's code rolls the savepoint back."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any

import pytest
from centrifuge import ReplyError
from django.db import connection, connections, transaction
from django.db.transaction import TransactionManagementError

import hotclub
from hotclub import Code
from hotclub.maps import MapChannel, MapEntry, amap_state, map_publish
from hotclub.models import Entry, Order, Stream
from tests.hotclub.conftest import Declare, Site, Watched, amake_person
from tests.support.wire import WireClient

pytestmark = pytest.mark.django_db(transaction=True)

Serve = Callable[..., Awaitable[Site]]
Savepoint = Callable[[], AbstractContextManager[None]]


class _Open(hotclub.Channel):
    async def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return True

    def can_publish(self, client: hotclub.Client, name: str) -> bool:
        return True


class Durable(_Open):
    pattern = "durable:<slug:name>"
    history = hotclub.History(size=100, ttl=timedelta(hours=1), durable=True)


class Taken(_Open):
    """The hook takes its own publication back, and returns its position all the same."""

    pattern = "taken:<slug:name>"
    history = hotclub.History(size=100, ttl=timedelta(hours=1), durable=True)

    def on_publish(self, client: hotclub.Client, data: Any, name: str) -> hotclub.Position | None:
        with by_sql():
            return hotclub.publish(f"taken:{name}", data)


class Memory(_Open):
    pattern = "memory:<slug:name>"
    history = hotclub.History(size=100, ttl=timedelta(hours=1))


class Board(MapChannel):
    pattern = "board:<slug:name>"

    async def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return True

    async def can_publish_key(self, client: hotclub.Client, key: str, name: str) -> bool:
        return True

    async def on_publish(self, client: hotclub.Client, data: Any, key: str, name: str) -> MapEntry:
        return MapEntry(key, data)


@pytest.fixture(autouse=True)
def _channels(declare: Declare) -> None:
    declare(Durable, Taken, Memory, Board)


def sql(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@contextmanager
def by_django() -> Iterator[None]:
    savepoint = connection.savepoint()
    yield
    connection.savepoint_rollback(str(savepoint))


@contextmanager
def by_atomic() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@contextmanager
def by_sql() -> Iterator[None]:
    sql("SAVEPOINT mine")
    yield
    sql("ROLLBACK TO mine", "RELEASE mine")


@contextmanager
def by_long_sql() -> Iterator[None]:
    sql('/* one */ savepoint "Mine"')
    yield
    sql('-- back\n  rollback transaction to savepoint "Mine"')


@contextmanager
def around_atomic() -> Iterator[None]:
    savepoint = connection.savepoint()
    with transaction.atomic():
        yield
    connection.savepoint_rollback(str(savepoint))


@contextmanager
def around_a_released_one() -> Iterator[None]:
    sql("SAVEPOINT around", "SAVEPOINT mine")
    yield
    sql("RELEASE SAVEPOINT mine", "ROLLBACK TO SAVEPOINT AROUND")


@contextmanager
def within_an_earlier_one() -> Iterator[None]:
    """The savepoint is made anew, and the later of the two is the one that is rolled back to."""
    sql("SAVEPOINT mine", "SAVEPOINT mine")
    yield
    sql("ROLLBACK TO mine", "RELEASE mine", "RELEASE mine")


SAVEPOINTS = [by_django, by_atomic, by_sql, by_long_sql, around_atomic, around_a_released_one, within_an_earlier_one]


@contextmanager
def kept_by_release() -> Iterator[None]:
    sql("SAVEPOINT mine")
    yield
    sql("RELEASE mine")


@contextmanager
def kept_by_a_later_one() -> Iterator[None]:
    yield
    savepoint = connection.savepoint()
    connection.savepoint_rollback(str(savepoint))


def in_a_thread(work: Callable[[], Any]) -> Awaitable[Any]:
    def run() -> Any:
        try:
            return work()
        finally:
            connections.close_all()

    return asyncio.to_thread(run)


@pytest.fixture
async def client(serve: Serve) -> Watched:
    site = await serve()
    return await site.open(await amake_person())


async def received(client: Watched, count: int) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    async with asyncio.timeout(5):
        for _ in range(count):
            channel, data = await client.publications.get()
            found.setdefault(channel, []).append(data)
    return found


async def test_nothing_of_a_savepoint_that_is_rolled_back_is_published(client: Watched) -> None:
    """The durable publication after the savepoint has the offset of the one within."""
    await client.join("durable:a")
    await client.join("memory:a")

    def work(savepoint: Savepoint) -> None:
        with transaction.atomic():
            hotclub.broadcast(["durable:a", "memory:a"], [savepoint.__name__, "before"])
            with savepoint():
                hotclub.broadcast(["durable:a", "memory:a"], "phantom")
            hotclub.broadcast(["durable:a", "memory:a"], [savepoint.__name__, "after"])

    for savepoint in SAVEPOINTS:
        await in_a_thread(lambda savepoint=savepoint: work(savepoint))  # type: ignore[misc]
    expected = [[savepoint.__name__, word] for savepoint in SAVEPOINTS for word in ("before", "after")]
    assert await received(client, 2 * len(expected)) == {"durable:a": expected, "memory:a": expected}


@pytest.mark.parametrize("savepoint", [kept_by_release, kept_by_a_later_one])
async def test_what_a_savepoint_keeps_is_published(client: Watched, savepoint: Savepoint) -> None:
    await client.join("durable:a")
    await client.join("memory:a")

    def work() -> None:
        with transaction.atomic(), savepoint():
            hotclub.broadcast(["durable:a", "memory:a"], 1)

    await in_a_thread(work)
    assert await received(client, 2) == {"durable:a": [1], "memory:a": [1]}


async def test_a_savepoint_of_a_transaction_that_was_rolled_back_means_nothing_in_the_next(client: Watched) -> None:
    await client.join("memory:a")

    def work() -> None:
        with transaction.atomic():
            hotclub.publish("memory:a", "never")
            sql("SAVEPOINT mine")
            transaction.set_rollback(True)
        with transaction.atomic():
            sql("SAVEPOINT mine")
            hotclub.publish("memory:a", "phantom")
            sql("ROLLBACK TO mine")
            hotclub.publish("memory:a", "real")

    await in_a_thread(work)
    assert await received(client, 1) == {"memory:a": ["real"]}


async def test_a_map_and_an_order_are_taken_back_with_their_savepoint(client: Watched) -> None:
    await client.join("memory:a")

    def work() -> None:
        with transaction.atomic():
            for savepoint in SAVEPOINTS:
                with savepoint():
                    map_publish("board:a", savepoint.__name__, 1)
                    hotclub.unsubscribe("memory:a")
            map_publish("board:a", "real", 1)
            hotclub.publish("memory:a", "still here")

    await in_a_thread(work)
    assert await received(client, 1) == {"memory:a": ["still here"]}
    assert [entry.key for entry in (await amap_state("board:a")).entries] == ["real"]


async def test_a_key_of_a_savepoint_that_was_rolled_back_is_free(client: Watched) -> None:
    await client.join("durable:a")

    def work() -> list[hotclub.Position | None]:
        with transaction.atomic():
            with by_sql():
                hotclub.publish("durable:a", 1, idempotency_key="k")
            return [hotclub.publish("durable:a", n, idempotency_key="k") for n in (2, 2)]

    first, again = await in_a_thread(work)
    assert first == again
    assert await received(client, 1) == {"durable:a": [2]}


async def test_a_commit_does_not_wait_for_a_busy_event_loop(client: Watched) -> None:
    await client.join("memory:a")
    committed = threading.Event()

    def work() -> None:
        with transaction.atomic():
            for number in range(3):
                hotclub.publish("memory:a", number)
        committed.set()

    working = asyncio.ensure_future(in_a_thread(work))
    await asyncio.sleep(0)
    assert committed.wait(4), "this call keeps the event loop busy"
    await working
    assert await received(client, 3) == {"memory:a": [0, 1, 2]}


async def test_a_null_of_a_client_is_published(client: Watched) -> None:
    for channel in ("durable:a", "memory:a"):
        await client.join(channel)
        await client.sdk.publish(channel, None)
    assert await received(client, 2) == {"durable:a": [None], "memory:a": [None]}


async def test_a_null_of_a_client_is_a_value_of_a_map(serve: Serve, hotclub_settings: Callable[..., None]) -> None:
    hotclub_settings(ALLOW_ANONYMOUS=True)
    async with await WireClient.connected((await serve()).port) as client:
        await client.call("subscribe", channel="board:a", type=1)
        await client.send({"id": 9, "publish": {"channel": "board:a", "type": 1, "key": "k", "data": None}})
        assert "publish" in await client.answer(9)
    assert [entry.raw for entry in (await amap_state("board:a")).entries] == [b"null"]


async def test_a_client_is_not_told_that_what_its_hook_has_taken_back_was_published(client: Watched) -> None:
    await client.join("taken:a")
    with pytest.raises(ReplyError) as error:
        await client.sdk.publish("taken:a", 1)
    assert error.value.code == Code.INTERNAL_ERROR


CALLS: list[Callable[[], object]] = [
    lambda: hotclub.publish("durable:a", 1),
    lambda: hotclub.publish("memory:a", 1),
    lambda: hotclub.broadcast(["durable:a", "durable:b"], 1),
    lambda: map_publish("board:a", "k", 1),
]


@pytest.mark.parametrize("within", [False, True])
def test_without_autocommit_every_call_is_refused_and_nothing_survives_the_rollback(within: bool) -> None:
    transaction.set_autocommit(False)
    try:
        for call in CALLS:
            with pytest.raises(TransactionManagementError, match=r"Leave autocommit on, and use transaction\.atomic"):
                _within_atomic(call) if within else call()
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)
    assert [model.objects.count() for model in (Stream, Entry, Order)] == [0, 0, 0]


def _within_atomic(call: Callable[[], object]) -> None:
    """With autocommit off, `atomic()` does not commit."""
    with transaction.atomic():
        call()
