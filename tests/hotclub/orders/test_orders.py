"""Orders between processes: each is performed once, after its commit, whoever holds which transaction open; and a node
that may have missed one says so."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Self

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError, connections, transaction
from msgspec import Raw

import hotclub
from hotclub.engine.broker.maps import MapMessage
from hotclub.engine.model import Position
from hotclub.engine.port import Overrides, PolledItem
from hotclub.engine.target import Target
from hotclub.models import Order as OrderRow
from hotclub.orders import read, table
from hotclub.orders.messages import (
    ChangeMap,
    ClearMap,
    EndConnections,
    EndSubscriptions,
    LookAtLogins,
    Order,
    Publish,
    PublishPolled,
    PublishUnkept,
    Refresh,
    Subscribe,
    TakeCommands,
    decode_order,
    encode_order,
)
from hotclub.orders.perform import _PERFORM
from hotclub.orders.read import OrderReader
from hotclub.orders.send import send
from hotclub.runtime.pool import HookPool
from tests.hotclub.conftest import Declare
from tests.support.stores import ALIAS, postgres_url, store

__all__ = ["postgres_url", "store"]

NEVER = 3600.0
TARGET = Target(user_id="7")

ORDERS: list[Order] = [
    EndConnections(TARGET, 3503, "force disconnect", ("c",)),
    EndSubscriptions(Target(client_id="c"), "room", 2000),
    Subscribe(TARGET, "room", Raw(b"1"), Raw(b"{}"), 5, Position("abcd", 3), Overrides(presence=True)),
    Refresh(Target(login_id="s"), -1, Raw(b'{"a":1}')),
    Publish("ticker", Raw(b'{"b": 1, "a": 2}'), {"k": "v"}, "x", 3, "e"),
    PublishUnkept("ticker", Raw(b'"\\u0000"'), {"k": "v"}, "x"),
    ChangeMap("board", MapMessage(key="k", data=Raw(b"1"), tags={"a": "b"})),
    ClearMap("board"),
    PublishPolled("poll", PolledItem(key="k", data=Raw(b"1"), version=2), "e"),
    LookAtLogins(),
    TakeCommands("node", "session", "7", b'{"id":1}\n\xff'),
]

postgresql_alone = pytest.mark.parametrize("store", ["postgresql"], indirect=True)
"""SQLite has one writer: there nobody can be overtaken, and who writes waits for whoever does."""


class Process:
    """A process of a site that reads orders; it can be cut off from its database."""

    def __init__(self, pool: HookPool, options: dict[str, Any]) -> None:
        self.pool = pool
        self.received: asyncio.Queue[Order] = asyncio.Queue()
        self.origins: list[str] = []
        self.doubts: asyncio.Queue[str] = asyncio.Queue()
        self.is_cut_off = False
        self.calls: list[str] = []
        self.before_call: Callable[[], object] = lambda: None
        self._called = asyncio.Event()
        self.reader = OrderReader(
            self, run=self._run, **{"interval": 0.02, "prune_interval": NEVER, "patience": NEVER, **options}
        )

    def receive(self, order: Order, origin: str, number: int) -> None:
        self.received.put_nowait(order)
        self.origins.append(origin)

    def missed(self, reason: str) -> None:
        self.doubts.put_nowait(reason)

    async def _run(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if self.is_cut_off:
            self._note("refused")
            raise OperationalError("no route to the database")
        self.before_call()
        result = await self.pool.run(func, *args, **kwargs)
        self._note(func.__name__)
        return result

    def _note(self, call: str) -> None:
        self.calls.append(call)
        self._called.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._called.clear()
                await self._called.wait()

    async def looks(self, times: int = 2, call: str = "read") -> None:
        """Return when the reader has done this once more, from the beginning."""
        goal = self.calls.count(call) + times
        await self.until(lambda: self.calls.count(call) >= goal)

    async def names(self, count: int) -> list[str]:
        """The channels of the next publications that were ordered."""
        async with asyncio.timeout(20):
            received = [await self.received.get() for _ in range(count)]
        return [order.channel for order in received if isinstance(order, Publish)]

    async def doubt(self) -> str:
        async with asyncio.timeout(20):
            return await self.doubts.get()


Start = Callable[..., contextlib.AbstractAsyncContextManager[Process]]


@pytest.fixture
def start(store: str) -> Start:
    """Give `start(**options)`, a process that reads orders as long as its block."""

    @contextlib.asynccontextmanager
    async def running(**options: Any) -> AsyncIterator[Process]:
        pool = HookPool(4)
        process = Process(pool, options)
        try:
            await process.reader.start()
            yield process
        finally:
            await process.reader.stop()
            await pool.close()

    return running


def publish(name: str) -> Publish:
    return Publish(name, Raw(b"1"))


class Held:
    """A transaction in another thread that does its work and stays open until it is let go."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._let_go = threading.Event()
        self._working = threading.Event()
        self.committed = False
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            with transaction.atomic(using=ALIAS):
                self._work()
                self._working.set()
                assert self._let_go.wait(60)
            self.committed = True
        finally:
            self._working.set()
            connections[ALIAS].close()

    async def __aenter__(self) -> Self:
        self._thread.start()
        assert await asyncio.to_thread(self._working.wait, 20)
        return self

    async def commit(self) -> None:
        self._let_go.set()
        await asyncio.to_thread(self._thread.join)
        assert self.committed

    async def __aexit__(self, *_error: object) -> None:
        await self.commit()


# What an order is


def test_every_order_has_one_function_that_performs_it() -> None:
    assert set(_PERFORM) == {type(order) for order in ORDERS} == set(Order.__args__)


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: type(order).__name__)
def test_an_order_is_text_and_back(order: Order) -> None:
    assert decode_order(encode_order(order)) == order


def test_an_order_that_could_not_be_performed_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="reason"):
        EndConnections(TARGET, 3503, "{}")


# The way through the table


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: type(order).__name__)
async def test_an_order_reaches_the_other_processes(start: Start, order: Order) -> None:
    async with start() as process:
        await process.pool.run(table.send, order, "node-1")
        assert await asyncio.wait_for(process.received.get(), 20) == order
        assert process.origins == ["node-1"]


async def test_orders_of_before_the_start_are_left_to_the_past(start: Start) -> None:
    async with start(interval=NEVER) as earlier:
        await earlier.pool.run(send, publish("before"))
        async with start() as process:
            await process.pool.run(send, publish("after"))
            assert await process.names(1) == ["after"]
    assert process.doubts.empty()


async def test_an_order_leaves_with_the_commit_or_not_at_all(start: Start) -> None:
    def work(name: str, rolls_back: bool) -> None:
        with transaction.atomic(using=ALIAS):
            send(publish(name))
            transaction.set_rollback(rolls_back, using=ALIAS)

    async with start() as process:
        await process.pool.run(work, "never", True)
        await process.pool.run(work, "committed", False)
        assert await process.names(1) == ["committed"]
        await process.looks()
        assert process.received.empty()
        assert process.doubts.empty(), "a number that was given back is no loss"


@postgresql_alone
async def test_orders_that_commit_in_another_order_than_their_ids_are_all_performed_once(start: Start) -> None:
    async with start() as process:
        async with Held(lambda: send(publish("first"))), Held(lambda: send(publish("second"))) as second:
            await process.pool.run(send, publish("third"))
            assert await process.names(1) == ["third"]
            await process.looks()
            await second.commit()
            assert await process.names(1) == ["second"]
            await process.pool.run(send, publish("fourth"))
            assert await process.names(1) == ["fourth"]
            await process.looks()
            assert process.received.empty()
        assert await process.names(1) == ["first"]
        await process.looks()
        assert process.received.empty()
    assert process.doubts.empty()


@postgresql_alone
async def test_an_order_in_a_transaction_older_than_the_reader_is_performed(start: Start) -> None:
    async with Held(lambda: send(publish("old"))) as held, start() as process:
        await process.pool.run(send, publish("new"))
        assert await process.names(1) == ["new"]
        await held.commit()
        assert await process.names(1) == ["old"]


@postgresql_alone
async def test_an_order_that_commits_after_orders_are_pruned_is_performed_before_it_goes(start: Start) -> None:
    """Its row is old when it appears. What counts is for how long it could be seen."""
    async with start(prune_interval=0.02, patience=0.2) as pruning, start() as process:
        async with Held(lambda: send(publish("late"))):
            await pruning.pool.run(send, publish("pruned"))
            while await pruning.pool.run(rows):
                await pruning.looks(1, "prune")
        assert await pruning.pool.run(rows) == ["late"]
        assert await process.names(2) == ["pruned", "late"]


def rows() -> list[str]:
    """The channels of the publications that the table holds orders for."""
    payloads = OrderRow.objects.using(ALIAS).order_by("pk").values_list("payload", flat=True)
    return [order.channel for order in map(decode_order, payloads) if isinstance(order, Publish)]


async def test_more_orders_than_one_query_reads_come_in_their_order(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "_ROWS_PER_QUERY", 3)

    def work() -> None:
        with transaction.atomic(using=ALIAS):
            for number in range(10):
                send(publish(str(number)))

    async with start() as process:
        await process.pool.run(work)
        assert await process.names(10) == [str(number) for number in range(10)]


async def test_an_order_that_comes_between_two_pages_is_performed_once(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "_ROWS_PER_QUERY", 2)
    async with start(interval=NEVER) as process:
        for name in "abcd":
            await process.pool.run(send, publish(name))
        late = list("hgfe")

        def interfere() -> None:
            if late:
                send_in_a_thread(late.pop())

        process.before_call = interfere
        await process.reader._look()
        assert process.received.qsize() == 8
        await process.reader._look()
        await process.reader._look()
        assert await process.names(process.received.qsize()) == list("abcdefgh")
    assert process.doubts.empty()


def send_in_a_thread(name: str) -> None:
    def work() -> None:
        send(publish(name))
        connections[ALIAS].close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


async def test_an_order_nobody_understands_is_dropped_and_reported(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    def dance() -> None:
        send(publish("dance"))
        OrderRow.objects.using(ALIAS).update(payload='{"type":"dance"}')

    async with start(interval=NEVER) as process:
        await process.pool.run(dance)
        await process.pool.run(send, publish("known"))
        await process.reader._look()
        assert await process.names(1) == ["known"]
    assert "An order that is none was dropped" in caplog.text


async def test_a_failing_order_does_not_stop_the_next_ones(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with start(interval=NEVER) as process:
        receive = process.receive

        def fail_first(order: Order, origin: str, number: int) -> None:
            receive(order, origin, number)
            if order == publish("bad"):
                raise LookupError("nothing there")

        monkeypatch.setattr(process, "receive", fail_first)
        await process.pool.run(send, publish("bad"))
        await process.pool.run(send, publish("good"))
        await process.reader._look()
        await process.reader._look()
        assert await process.names(process.received.qsize()) == ["bad", "good"]
    assert "An order of another process failed" in caplog.text


async def test_stopping_ends_every_task(start: Start) -> None:
    before = asyncio.all_tasks()
    async with start():
        assert asyncio.all_tasks() != before
    assert asyncio.all_tasks() == before


# Nobody waits for anybody


class Room(hotclub.Channel):
    pattern = "room:<int:number>"
    history = hotclub.History(size=10, ttl=timedelta(hours=1), durable=True)


@postgresql_alone
@pytest.mark.parametrize("end", ["unsubscribe", "disconnect"])
async def test_publishing_and_revoking_in_either_order_do_not_deadlock(
    start: Start, declare: Declare, end: str
) -> None:
    declare(Room)
    both = threading.Barrier(2, timeout=20)

    def revoke() -> None:
        if end == "unsubscribe":
            hotclub.unsubscribe("room:1", user=1)
        else:
            hotclub.disconnect(1)

    def publish_room() -> None:
        hotclub.publish("room:1", {})

    def in_order(*steps: Callable[[], None]) -> None:
        with transaction.atomic(using=ALIAS):
            steps[0]()
            both.wait()
            steps[1]()

    async with start() as process, asyncio.timeout(30):
        # Until the stream is there, its first publishers wait for each other longer.
        await process.pool.run(publish_room)
        run = process.pool.run
        await asyncio.gather(run(in_order, publish_room, revoke), run(in_order, revoke, publish_room))
        targets = [(await process.received.get()).target for _ in range(2)]  # type: ignore[union-attr]
        assert targets == [Target(user_id="1")] * 2


@postgresql_alone
async def test_an_open_transaction_with_an_order_in_it_delays_nobody_else(start: Start) -> None:
    commands = TakeCommands("node", "session", "7", b"{}")
    async with start() as process, Held(lambda: hotclub.disconnect(1)) as held:
        await process.pool.run(hotclub.disconnect, 42)
        await process.pool.run(send, commands)
        async with asyncio.timeout(20):
            first, second = await process.received.get(), await process.received.get()
        assert isinstance(first, EndConnections)
        assert (first.target, second) == (Target(user_id="42"), commands)
        assert process.received.empty()
        await held.commit()
        async with asyncio.timeout(20):
            last = await process.received.get()
        assert isinstance(last, EndConnections)
        assert last.target == Target(user_id="1")


# Nothing is missed without a word


async def test_a_short_outage_misses_nothing(start: Start) -> None:
    async with start() as process:
        process.is_cut_off = True
        await process.looks(2, "refused")
        await process.pool.run(send, publish("meanwhile"))
        process.is_cut_off = False
        assert await process.names(1) == ["meanwhile"]
        await process.looks()
    assert process.doubts.empty()


async def test_after_an_outage_of_twice_the_patience_everything_is_in_doubt(start: Start, store: str) -> None:
    """A second process, which was not cut off, has pruned what the first one could not read."""
    patience = 0.5
    async with start(patience=patience) as process, start(patience=patience, prune_interval=0.02) as other:
        process.is_cut_off = True
        await other.pool.run(send, publish("lost"))
        assert await other.names(1) == ["lost"]
        while await other.pool.run(rows):
            await other.looks(1, "prune")
        while not process.doubts.empty():
            process.doubts.get_nowait()
        process.is_cut_off = False
        expected = "the table is not what it was" if store == "sqlite" else "they could not be read for"
        assert expected in await process.doubt()
        assert process.received.empty()
        await process.pool.run(send, publish("next"))
        assert await process.names(1) == ["next"]


async def test_a_process_that_starts_without_a_database_doubts_what_it_granted_before_it_could_read(
    start: Start,
) -> None:
    def down(*_args: object) -> None:
        raise OperationalError("the database is gone")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "read", down)
        async with start() as process:
            patch.undo()
            assert await process.doubt() == "they could not be read from the start"
            await process.pool.run(send, publish("next"))
            assert await process.names(1) == ["next"]


async def test_a_table_that_was_emptied_and_begins_anew_is_noticed(start: Start, store: str) -> None:
    def empty() -> None:
        OrderRow.objects.using(ALIAS).all().delete()
        with connections[ALIAS].cursor() as cursor:
            if store == "sqlite":
                cursor.execute("DELETE FROM sqlite_sequence WHERE name = 'hotclub_order'")
            else:
                cursor.execute("TRUNCATE hotclub_order RESTART IDENTITY")

    async with start() as process:
        await process.pool.run(send, publish("before"))
        assert await process.names(1) == ["before"]
        await process.looks()
        await process.pool.run(empty)
        assert await process.doubt() == "the table is not what it was"
        await process.pool.run(send, publish("after"))
        assert await process.names(1) == ["after"]
    assert process.doubts.empty()


def remove_second() -> None:
    OrderRow.objects.using(ALIAS).order_by("pk")[1].delete()


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_rows_that_went_unread_are_noticed(start: Start) -> None:
    async with start(interval=NEVER) as process:
        for name in "abc":
            await process.pool.run(send, publish(name))
        await process.pool.run(remove_second)
        await process.reader._look()
        assert await process.doubt() == "the table is not what it was"
        assert await process.names(2) == ["a", "c"]


@postgresql_alone
async def test_rows_that_another_server_has_numbered_are_not_performed_and_go(start: Start) -> None:
    """They came with a backup; by its own count this server has not come to them yet."""
    async with start(interval=NEVER, patience=0) as process:

        def restore() -> None:
            send(publish("restored"))
            OrderRow.objects.using(ALIAS).update(transaction_id=2**50)

        await process.pool.run(restore)
        await process.pool.run(send, publish("own"))
        await process.reader._look()
        assert await process.names(process.received.qsize()) == ["own"]
        await process.reader._prune()
        await process.reader._prune()
        assert await process.pool.run(rows) == []


async def test_a_database_that_went_back_in_time_is_noticed(start: Start, store: str) -> None:
    async with start(interval=NEVER) as process:
        mark = process.reader._mark
        assert mark is not None
        seen = "100" if store == "sqlite" else f"{2**40 + 9}:{2**40 + 9}:"
        process.reader._mark = replace(mark, seen=seen)
        await process.reader._look()
        assert await process.doubt() == "the table is not what it was"


async def test_orders_are_kept_until_nobody_can_have_left_them_unread(start: Start) -> None:
    async with start(interval=NEVER, prune_interval=NEVER, patience=0.05) as hasty, start(interval=NEVER) as patient:
        for process in (hasty, patient):
            await process.pool.run(send, publish("old"))
            await process.reader._look()
            await process.reader._prune()
        assert await hasty.pool.run(rows) == ["old", "old"]
        await asyncio.to_thread(threading.Event().wait, 0.11)
        await hasty.pool.run(send, publish("new"))
        await patient.reader._prune()
        assert await hasty.pool.run(rows) == ["old", "old", "new"]
        await hasty.reader._prune()
        assert await hasty.pool.run(rows) == ["old", "new"]


async def test_pruning_takes_as_many_rows_at_a_time_as_is_good(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "_ROWS_PER_PRUNING", 2)
    async with start(interval=NEVER, patience=0) as process:
        for name in "abcde":
            await process.pool.run(send, publish(name))
        await process.reader._look()
        await process.reader._prune()
        await process.reader._prune()
        assert await process.pool.run(rows) == []
        assert process.calls.count("prune") == 3


# Revocation with users in another database


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_user_in_another_database_is_put_out_with_that_databases_commit(store: str) -> None:
    user = get_user_model()._default_manager.create_user(username="django", password="minor swing")

    def deactivate(rolls_back: bool) -> int:
        with transaction.atomic():
            user.is_active = False
            user.save()
            transaction.set_rollback(rolls_back)
            assert OrderRow.objects.using(ALIAS).count() == 0
        return OrderRow.objects.using(ALIAS).count()

    assert deactivate(rolls_back=True) == 0
    user.is_active = True
    assert deactivate(rolls_back=False) == 1


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_the_clock_of_a_process_on_sqlite_puts_nothing_in_doubt(store: str) -> None:
    """Ids show what is missing, and a wall clock that jumps by an hour looks like an hour of silence."""
    assert table.read(None, 0, 1).mark.now == 0
