"""The durable broker: every commit is delivered once and in order, whoever committed it and whatever became of its
signal."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError, connections, transaction
from msgspec import Raw

from hotclub.durable import broker, prune, sql
from hotclub.durable.broker import DatabaseBroker
from hotclub.durable.sql import Row
from hotclub.engine.broker.base import HistoryQuery, Message, Retention
from hotclub.engine.errors import IdempotencyConflict
from hotclub.engine.model import Position, Publication
from hotclub.models import Entry, Stream
from hotclub.runtime import trying
from hotclub.runtime.pool import HookPool
from tests.support.stores import ALIAS, postgres_url, store

__all__ = ["postgres_url", "store"]

RETENTION = Retention(size=100, ttl=3600)
REPOSITORY = Path(__file__).resolve().parents[3]
NEVER = 3600.0
"""A relay with this interval takes no part in the test."""


class Site:
    """A broker and what it has handed over."""

    def __init__(self, pool: HookPool, **options: Any) -> None:
        self.pool = pool
        self.delivered: asyncio.Queue[tuple[str, int, str]] = asyncio.Queue()
        self.queries: list[tuple[str, Any]] = []
        self._queried = asyncio.Event()
        self.broker = DatabaseBroker(
            self._handle,
            **{
                "run": self._run,
                "retention_of": lambda _channel: RETENTION,
                "relay_interval": 0.02,
                "prune_interval": NEVER,
                **options,
            },
        )

    def _handle(self, channel: str, publication: Publication, epoch: str) -> None:
        self.delivered.put_nowait((channel, publication.offset, epoch))

    async def _run(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        self.queries.append((func.__name__, args[0] if args else None))
        self._queried.set()
        return await self.pool.run(func, *args, **kwargs)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what the broker has asked of the database fulfils the condition."""
        async with asyncio.timeout(10):
            while not condition():
                self._queried.clear()
                await self._queried.wait()

    async def commit(self, channel: str = "room", count: int = 1) -> list[tuple[str, Row]]:
        """What another process does: rows, and no signal to this one."""
        return [await self.pool.run(_append, channel) for _ in range(count)]

    async def offsets(self, count: int) -> list[int]:
        async with asyncio.timeout(10):
            return [(await self.delivered.get())[1] for _ in range(count)]


def _append(channel: str, data: bytes = b"1") -> tuple[str, Row]:
    position, row, _duplicate = sql.append(channel, Message(data=Raw(data)), RETENTION)
    return position.epoch, row


@pytest.fixture
def site(store: str) -> Callable[..., Any]:
    """Give `site(**options)`, a broker that runs over the store as long as its block."""

    @contextlib.asynccontextmanager
    async def running(**options: Any) -> AsyncIterator[Site]:
        pool = HookPool(4)
        started = Site(pool, **options)
        try:
            await started.broker.start()
            yield started
        finally:
            await started.broker.stop()
            await pool.close()

    return running


Running = Callable[..., Any]


# Signals


async def test_publishing_delivers_at_once_and_returns_the_position(site: Running) -> None:
    async with site(relay_interval=NEVER) as running:
        await running.broker.subscribe("room")
        position = await running.broker.publish("room", Message(data=Raw(b"1")), RETENTION)
        assert running.delivered.get_nowait() == ("room", 1, position.epoch)
        assert position.offset == 1


async def test_a_repeated_key_is_answered_and_not_delivered_again(site: Running) -> None:
    async with site(relay_interval=NEVER) as running:
        await running.broker.subscribe("room")
        message = Message(data=Raw(b"1"), idempotency_key="k")
        assert await running.broker.publish("room", message, RETENTION) == await running.broker.publish(
            "room", message, RETENTION
        )
        with pytest.raises(IdempotencyConflict):
            await running.broker.publish("room", Message(data=Raw(b"2"), idempotency_key="k"), RETENTION)
        assert running.delivered.qsize() == 1


async def test_signals_in_the_wrong_order_are_delivered_in_the_right_one(
    site: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "_GRACE", NEVER)
    async with site(relay_interval=NEVER) as running:
        await running.broker.subscribe("room")
        committed = await running.commit(count=3)
        for epoch, publication in reversed(committed):
            running.broker.signal("room", epoch, publication)
            await asyncio.sleep(0)
        assert await running.offsets(3) == [1, 2, 3]
        assert ("read_after", "room") not in running.queries, "the gap had closed by itself"


async def test_a_lost_signal_is_made_good_by_the_next_one(site: Running) -> None:
    async with site(relay_interval=NEVER) as running:
        await running.broker.subscribe("room")
        committed = await running.commit(count=3)
        running.broker.signal("room", *committed[2])
        assert await running.offsets(3) == [1, 2, 3]


async def test_a_signal_is_ignored_when_it_comes_again_or_after_the_subscription_saw_it(site: Running) -> None:
    async with site(relay_interval=NEVER) as running:
        ((epoch, first),) = await running.commit()
        await running.broker.subscribe("room")
        running.broker.signal("room", epoch, first)
        position = await running.broker.publish("room", Message(data=Raw(b"1")), RETENTION)
        running.broker.signal("room", epoch, first)
        assert running.delivered.get_nowait() == ("room", 2, position.epoch)
        assert running.delivered.empty()


async def test_a_commit_while_the_subscription_is_being_made_is_not_missed(site: Running) -> None:
    async with site(relay_interval=NEVER) as running:
        subscribing = asyncio.create_task(running.broker.subscribe("room"))
        await asyncio.sleep(0)
        await running.broker.publish("room", Message(data=Raw(b"1")), RETENTION)
        await subscribing
        after = await running.broker.publish("room", Message(data=Raw(b"2")), RETENTION)
        history = await running.broker.history("room", HistoryQuery(), RETENTION)
        delivered = await running.offsets(1)
        while delivered[-1] < after.offset:
            delivered += await running.offsets(1)
        assert delivered in ([1, 2], [2]), "either it was there before the top was read, or it is delivered"
        assert history.top == after


async def test_nothing_is_delivered_after_unsubscribing(site: Running) -> None:
    async with site() as running:
        await running.broker.subscribe("room")
        await running.broker.subscribe("other")
        await running.broker.unsubscribe("room")
        await running.broker.unsubscribe("room")
        ((epoch, publication),) = await running.commit("room")
        running.broker.signal("room", epoch, publication)
        await running.commit("other")
        assert (await asyncio.wait_for(running.delivered.get(), 10))[0] == "other"
        assert running.delivered.empty()


async def test_reads_of_clients_that_hang_delay_no_publication_of_another_process(store: str) -> None:
    pool, hanging = HookPool(4), asyncio.Event()

    async def hang(func: Callable[..., Any], /, *args: Any) -> Any:
        if hanging.is_set():
            await asyncio.Event().wait()
        return await pool.run(func, *args)

    running = Site(pool, run=hang, relay=pool.run)
    await running.broker.start()
    await running.broker.subscribe("room")
    hanging.set()
    reading = asyncio.create_task(running.broker.history("room", HistoryQuery(limit=10), RETENTION))
    await running.commit(count=3)
    assert await running.offsets(3) == [1, 2, 3]
    assert not reading.done()
    reading.cancel()
    await running.broker.stop()
    await pool.close()


async def test_two_subscriptions_at_once_open_the_stream_once(site: Running) -> None:
    async with site(relay_interval=NEVER) as running:
        await asyncio.gather(running.broker.subscribe("room"), running.broker.subscribe("room"))
        assert running.queries.count(("read_top", "room")) == 1


async def test_an_error_while_subscribing_is_raised_and_the_next_attempt_is_a_new_one(site: Running) -> None:
    async with site(relay_interval=NEVER) as running:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sql, "read_top", _broken)
            with pytest.raises(OperationalError):
                await running.broker.subscribe("room")
        await running.broker.subscribe("room")
        await running.broker.publish("room", Message(data=Raw(b"1")), RETENTION)
        assert running.delivered.qsize() == 1


def _broken(*_args: Any) -> Any:
    raise OperationalError("the database is gone")


# The relay


async def test_another_process_reaches_subscribers_without_any_signal(site: Running) -> None:
    async with site() as running:
        await running.broker.subscribe("room")
        await running.commit(count=3)
        assert await running.offsets(3) == [1, 2, 3]


async def test_another_process_is_heard_within_half_a_second_at_the_default_interval(site: Running) -> None:
    loop = asyncio.get_running_loop()
    async with site(relay_interval=0.25) as running:
        await running.broker.subscribe("room")
        await running.commit()
        began = loop.time()
        await running.offsets(1)
        assert loop.time() - began < 0.5


async def test_a_transaction_that_commits_late_is_delivered_in_order(site: Running) -> None:
    """T1 takes its offset and sleeps, T2 comes later and is quick: the relay must not run ahead of T1."""
    async with site() as running:
        await running.broker.subscribe("room")
        loop, taken, release = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

        def slow() -> None:
            with transaction.atomic(using=ALIAS):
                _append("room", b'"slow"')
                loop.call_soon_threadsafe(taken.set)
                asyncio.run_coroutine_threadsafe(release.wait(), loop).result(10)

        first = asyncio.create_task(running.pool.run(slow))
        await taken.wait()
        second = asyncio.create_task(running.pool.run(_append, "room", b'"quick"'))
        looked = len(running.queries)
        await running.until(lambda: len(running.queries) > looked + 3)
        assert running.delivered.empty()
        release.set()
        await asyncio.gather(first, second)
        assert await running.offsets(2) == [1, 2]


async def test_tops_are_asked_for_subscribed_channels_only_and_in_chunks(
    site: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "_TOPS_PER_QUERY", 2)
    async with site() as running:
        await running.commit("nobody")
        names = [f"room:{number}" for number in range(5)]
        for name in names:
            await running.broker.subscribe(name)
        running.queries.clear()
        for name in names:
            await running.commit(name)
        async with asyncio.timeout(10):
            delivered = {(await running.delivered.get())[0] for _ in names}
        assert delivered == set(names)
        assert all(len(asked) <= 2 and "nobody" not in asked for what, asked in running.queries if what == "read_tops")


async def test_more_rows_than_one_query_reads_arrive_in_order(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "_ROWS_PER_QUERY", 3)
    async with site(relay_interval=NEVER) as running:
        await running.broker.subscribe("room")
        committed = await running.commit(count=10)
        running.broker.signal("room", *committed[-1])
        assert await running.offsets(10) == list(range(1, 11))


async def test_a_log_that_began_anew_is_reported_with_its_new_epoch(site: Running) -> None:
    async with site() as running:
        await running.broker.subscribe("room")
        ((before, _publication),) = await running.commit()
        assert await asyncio.wait_for(running.delivered.get(), 10) == ("room", 1, before)

        def begin_anew() -> None:
            Stream.objects.using(ALIAS).filter(channel="room").delete()

        await running.pool.run(begin_anew)
        await running.commit()
        channel, offset, after = await asyncio.wait_for(running.delivered.get(), 10)
        assert (channel, offset) == ("room", 1)
        assert after == (await running.pool.run(sql.read_top, "room")).position.epoch
        assert after != before


async def test_a_database_that_fails_is_reported_once_and_tried_until_it_answers(
    site: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "hotclub.durable")
    monkeypatch.setattr(trying, "_LONGEST_PAUSE", 0.05)
    async with site() as running:
        await running.broker.subscribe("room")
        failures = asyncio.Semaphore(0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sql, "read_tops", _counted(failures, asyncio.get_running_loop()))
            async with asyncio.timeout(10):
                for _ in range(3):
                    await failures.acquire()
            assert [record.message for record in caplog.records] == [
                "The relay of durable channels fails and is tried again: the database is gone"
            ]
        await running.commit()
        assert await running.offsets(1) == [1]
        assert caplog.records[-1].message == "The relay of durable channels works again"
        assert len(caplog.records) == 2


def _counted(failures: asyncio.Semaphore, loop: asyncio.AbstractEventLoop) -> Callable[..., Any]:
    def read_tops(*_args: Any) -> Any:
        loop.call_soon_threadsafe(failures.release)
        raise OperationalError("the database is gone")

    return read_tops


async def test_a_gap_that_could_not_be_read_is_read_later(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    read_after = sql.read_after
    attempts: list[str] = []

    def flaky(channel: str, offset: int, limit: int) -> Any:
        attempts.append(channel)
        if len(attempts) == 1:
            raise OperationalError("database is locked")
        return read_after(channel, offset, limit)

    monkeypatch.setattr(sql, "read_after", flaky)
    async with site() as running:
        await running.broker.subscribe("room")
        committed = await running.commit(count=2)
        running.broker.signal("room", *committed[1])
        assert await running.offsets(2) == [1, 2]


async def test_stopping_ends_every_task(site: Running) -> None:
    before = asyncio.all_tasks()
    async with site() as running:
        await running.broker.subscribe("room")
        running.broker.signal("room", "other epoch", Row(Publication(offset=9), 0, 1))
        assert asyncio.all_tasks() != before
    assert asyncio.all_tasks() == before


# Pruning


async def test_the_broker_prunes_what_its_channels_do_not_keep(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune, "KEY_LIFETIME", -1.0)
    pruned = asyncio.Event()
    loop = asyncio.get_running_loop()
    real = prune.prune

    def observed(*args: Any) -> Any:
        result = real(*args)
        loop.call_soon_threadsafe(pruned.set)
        return result

    monkeypatch.setattr(prune, "prune", observed)
    async with site(relay_interval=NEVER) as running:
        await running.commit(count=5)
        quick = Site(running.pool, prune_interval=0.01, retention_of=lambda _channel: Retention(size=2, ttl=60))
        await quick.broker.start()
        async with asyncio.timeout(10):
            await pruned.wait()
        await quick.broker.stop()
        rows = await running.pool.run(lambda: list(Entry.objects.using(ALIAS).values_list("stream__channel", "offset")))
    assert sorted(rows) == [("room", 4), ("room", 5)]


async def test_a_crowd_that_comes_back_reads_the_log_once(site: Running) -> None:
    async with site() as running:
        await running.commit(count=3)
        since = Position("", 1)
        asked = (running.broker.history("room", HistoryQuery(limit=100, since=since), RETENTION) for _ in range(200))
        pages = await asyncio.gather(*asked)
        assert {tuple(publication.offset for publication in page.publications) for page in pages} == {(2, 3)}
        assert running.queries.count(("read_history", "room")) == 1


async def test_history_is_forgotten_on_request(site: Running) -> None:
    async with site(relay_interval=NEVER) as running:
        await running.commit(count=2)
        await running.broker.remove_history("room")
        page = await running.broker.history("room", HistoryQuery(limit=-1), RETENTION)
        assert (page.publications, page.top.offset) == ((), 2)


# A crash between the commit and the signal

CRASH = """
import os, signal, django
from django.conf import settings
settings.configure(**__import__("json").loads(os.environ["CRASH_SETTINGS"]))
django.setup()
from django.db import transaction
from msgspec import Raw
from hotclub.durable import broker, prune, sql
from hotclub.engine.broker.base import Message, Retention
with transaction.atomic():
    sql.append("room", Message(data=Raw(b'"survivor"')), Retention(size=10, ttl=60))
    transaction.on_commit(lambda: os.kill(os.getpid(), signal.SIGKILL))
raise AssertionError("still alive")
"""


def crash() -> int:
    """Commit a publication in another process, which dies before it can signal; returns its exit status."""
    configuration = {
        "DATABASES": {"default": {**settings.DATABASES[ALIAS], "TEST": {}}},
        "INSTALLED_APPS": ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "hotclub"],
        "USE_TZ": True,
    }
    done = subprocess.run(
        [sys.executable, "-c", CRASH],
        env={**os.environ, "CRASH_SETTINGS": json.dumps(configuration, default=str), "PYTHONPATH": "src:."},
        cwd=REPOSITORY,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    return done.returncode


async def test_a_process_killed_between_commit_and_signal_still_delivers(site: Running) -> None:
    async with site(relay_interval=0.25) as running:
        await running.broker.subscribe("room")
        await asyncio.to_thread(crash)
        assert await running.offsets(1) == [1]


async def test_after_a_restart_the_publication_is_in_the_history(site: Running) -> None:
    async with site(relay_interval=NEVER) as before:
        await before.broker.subscribe("room")
        page = await before.broker.history("room", HistoryQuery(), RETENTION)
    await asyncio.to_thread(crash)
    async with site(relay_interval=NEVER) as after:
        await after.broker.subscribe("room")
        page = await after.broker.history("room", HistoryQuery(limit=-1, since=page.top), RETENTION)
    assert [bytes(publication.data) for publication in page.publications] == [b'"survivor"']


async def test_concurrent_publishers_and_the_relay_deliver_each_offset_once(site: Running) -> None:
    async with site() as running:
        await running.broker.subscribe("room")
        loop = asyncio.get_running_loop()

        def publish() -> None:
            with transaction.atomic(using=ALIAS):
                position, publication, _duplicate = sql.append("room", Message(data=Raw(b"1")), RETENTION)
                signal_later = partial(running.broker.signal, "room", position.epoch, publication)
                transaction.on_commit(lambda: loop.call_soon_threadsafe(signal_later), using=ALIAS)

        await asyncio.gather(*(running.pool.run(publish) for _ in range(60)))
        assert await running.offsets(60) == list(range(1, 61))
        assert await running.broker.publish("room", Message(data=Raw(b"1")), RETENTION) == Position(
            (await running.broker.history("room", HistoryQuery(), RETENTION)).top.epoch, 61
        )
        assert await running.offsets(1) == [61]
        assert running.delivered.empty()


def test_the_store_is_what_it_says(store: str) -> None:
    assert connections[ALIAS].vendor == store
