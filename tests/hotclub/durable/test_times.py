"""Ages are judged by one clock that cannot jump, so a wrong wall clock deletes nothing."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from msgspec import Raw

from hotclub.durable import ledger, prune, sql
from hotclub.durable.broker import DatabaseBroker
from hotclub.engine.broker.base import HistoryQuery, Message, Retention
from hotclub.models import Entry, Ledger, Stream, StreamVersion
from hotclub.runtime.pool import HookPool
from tests.support.stores import ALIAS, postgres_url, store

__all__ = ["postgres_url", "store"]

RETENTION = Retention(size=100, ttl=900)
HOUR = timedelta(hours=1)
pytestmark = pytest.mark.usefixtures("store")


def append(channel: str = "room", key: str = "", **fields: Any) -> int:
    return sql.append(channel, Message(data=Raw(b"1"), idempotency_key=key, **fields), RETENTION)[0].offset


def history() -> list[int]:
    page = sql.read_history("room", HistoryQuery(limit=-1), RETENTION)
    return [publication.offset for publication in page.publications]


@contextmanager
def clock(ahead: timedelta) -> Iterator[None]:
    """The wall clock of this process is ahead, and so is the database's."""
    now, read_clock = timezone.now, ledger._read_clock

    def read(*args: Any) -> tuple[datetime, datetime | None]:
        actual, stored = read_clock(*args)
        return now() + ahead if actual - now() < ahead / 2 else actual, stored

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timezone, "now", lambda: now() + ahead)
        patch.setattr(ledger, "_read_clock", read)
        yield


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_clock_that_jumps_for_a_moment_deletes_nothing(hours: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "TICK", 0.02)
    pool, pruned, loop = HookPool(2), asyncio.Semaphore(0), asyncio.get_running_loop()

    async def run(function: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        result = await pool.run(function, *args, **options)
        if function is ledger.tick:
            loop.call_soon(pruned.release)
        return result

    broker = DatabaseBroker(lambda *_: None, run=run, retention_of=lambda _: RETENTION, prune_interval=0.02)
    for number in range(3):
        await pool.run(append, "room", str(number))
    await broker.start()
    with clock(hours * HOUR):
        for _ in range(6):
            async with asyncio.timeout(20):
                await pruned.acquire()
        assert await pool.run(history) == [1, 2, 3]
        assert await pool.run(append, "room", "0") == 1, "a retry finds what it has published"
    assert await pool.run(append, "room", "1") == 2
    await broker.stop()
    await pool.close()


def test_a_publication_of_a_clock_that_is_behind_is_as_young_as_the_one_before_it() -> None:
    append()
    with clock(-HOUR):
        append()
    append()
    prune.prune(0, 100, lambda _: RETENTION, timezone.now())
    assert history() == [1, 2, 3]
    assert Entry.objects.using(ALIAS).count() == 3


def test_a_publication_is_never_older_than_the_one_before_it() -> None:
    append()
    Entry.objects.using(ALIAS).update(created=timezone.now() + HOUR)
    append()
    first, second = Entry.objects.using(ALIAS).order_by("offset").values_list("created", flat=True)
    assert second >= first


def test_the_first_publication_of_a_clock_that_is_behind_is_as_young_as_the_clock_of_the_ledger() -> None:
    time = ledger.tick(None, 0)
    with clock(-HOUR):
        append()
    assert Entry.objects.using(ALIAS).get().created >= time.now - timedelta(milliseconds=1)


def test_a_node_s_time_runs_at_most_twice_as_fast_and_never_back() -> None:
    first = ledger.tick(None, 0)
    with clock(HOUR):
        ahead = ledger.tick(first, 5)
    behind = ledger.tick(ahead, 5)
    with clock(-HOUR):
        back = ledger.tick(behind, 5)
    assert ahead.now - first.now == timedelta(seconds=10)
    assert ahead.now == behind.now == back.now
    assert [time.back for time in (ahead, behind, back)] == [False, False, False]


def test_a_restarted_process_does_not_believe_a_clock_that_has_jumped() -> None:
    before = ledger.tick(None, 0)
    with clock(HOUR):
        after = ledger.tick(None, 0)
    assert after.now - before.now < timedelta(minutes=5)


def test_after_a_boot_the_time_of_the_database_counts() -> None:
    before = ledger.tick(None, 0)
    Ledger.objects.using(ALIAS).filter(key="boot").update(value="another boot 5")
    with clock(HOUR):
        after = ledger.tick(None, 0)
    assert after.now - before.now >= HOUR


def test_a_clock_that_went_back_in_the_ledger_is_that_of_an_older_copy() -> None:
    time = ledger.tick(None, 0)
    Ledger.objects.using(ALIAS).filter(key="clock").update(value=str(timezone.now().replace(tzinfo=None) - HOUR))
    assert ledger.tick(time, 1).back


# Streams without entries


def forget(after: timedelta, *spared: str) -> list[str]:
    """Prune as a node does that long from now, and return the channels whose rows are left."""
    now = timezone.now() + after
    prune.prune(0, 100, lambda _: Retention(size=1, ttl=0), now)
    prune.forget_empty(0, 100, spared, now)
    return sorted(Stream.objects.using(ALIAS).values_list("channel", flat=True))


def test_the_row_of_an_empty_log_is_deleted_after_a_day_and_the_next_log_has_another_epoch() -> None:
    ledger.plant()
    append(version=3)
    before = sql.read_top("room").position
    lifetime = timedelta(seconds=prune.EMPTY_LIFETIME)
    assert forget(HOUR) == ["room"]
    assert sql.read_top("room").position == before
    assert forget(HOUR + lifetime / 2) == ["room"]
    assert forget(2 * HOUR + lifetime, "room") == ["room"], "it has subscribers"
    assert forget(2 * HOUR + lifetime) == []
    assert not StreamVersion.objects.using(ALIAS).exists()
    after = sql.read_top("room").position
    assert after.epoch != before.epoch
    assert append() == 1
    assert sql.read_top("room").position.epoch == after.epoch


def test_a_log_that_is_published_to_again_is_kept_and_counts_on() -> None:
    append()
    lifetime = timedelta(seconds=prune.EMPTY_LIFETIME)
    forget(HOUR)
    assert append() == 2
    assert forget(2 * HOUR + lifetime) == ["room"], "it has just become empty"
    assert append() == 3


async def test_a_subscription_writes_no_row() -> None:
    pool = HookPool(2)
    broker = DatabaseBroker(lambda *_: None, run=pool.run, retention_of=lambda _: RETENTION)
    await broker.start()
    await broker.subscribe("room")
    await broker.history("room", HistoryQuery(limit=10), RETENTION)
    assert await pool.run(Stream.objects.using(ALIAS).count) == 0
    await broker.stop()
    await pool.close()
