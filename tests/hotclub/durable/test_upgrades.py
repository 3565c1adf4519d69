"""Logs of a former version are read on, and its processes may publish until they are restarted."""

import asyncio
from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connections
from msgspec import Raw

from hotclub.durable import sql
from hotclub.durable.broker import DatabaseBroker
from hotclub.durable.ledger import rotate_now
from hotclub.engine.broker.base import HistoryQuery, Message, Retention
from hotclub.models import Ledger
from hotclub.runtime.pool import HookPool
from tests.support.stores import ALIAS, postgres_url, store

__all__ = ["postgres_url", "store"]

KEEP = Retention(size=100, ttl=3600)


def migrate(*target: str) -> None:
    call_command("migrate", "hotclub", *target, database=ALIAS, verbosity=0)


def run(statement: str, *values: str) -> list[tuple[object, ...]]:
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def publish_as_before(data: str) -> None:
    """Publish with the statements of a version that knows no stamps."""
    run("INSERT INTO hotclub_stream (channel, epoch, top, pruned) VALUES ('room', 'f00d', 0, 0) ON CONFLICT DO NOTHING")
    run("UPDATE hotclub_stream SET top = top + 1 WHERE channel = 'room'")
    columns = 'stream_id, "offset", data, key, tags, publisher, created'
    run(
        f"INSERT INTO hotclub_entry ({columns}) "
        "SELECT id, top, %s, '', '', '', CURRENT_TIMESTAMP FROM hotclub_stream WHERE channel = 'room'",
        data,
    )


def append(data: str) -> tuple[str, int]:
    position = sql.append("room", Message(data=Raw(data.encode())), KEEP)[0]
    return position.epoch, position.offset


def history() -> tuple[str, list[bytes]]:
    page = sql.read_history("room", HistoryQuery(limit=-1), KEEP)
    return page.top.epoch, [bytes(item.data) for item in page.publications]


@pytest.fixture
def former(store: str) -> Iterator[str]:
    """The tables of the former version, with a log of two publications; yields the vendor of the database."""
    migrate("0004")
    try:
        publish_as_before("1")
        publish_as_before("2")
        yield store
    finally:
        migrate()


def test_a_log_of_the_former_version_is_read_on_after_the_upgrade(former: str) -> None:
    migrate()
    epoch, kept = history()
    assert kept == [b"1", b"2"]
    assert append("3") == (epoch, 3)
    assert history() == (epoch, [b"1", b"2", b"3"])
    # On PostgreSQL the epoch also names the cluster from now on.
    assert (epoch == "f00d") == (former == "sqlite")


def test_the_way_back_keeps_the_publications_and_gives_every_log_a_new_epoch(former: str) -> None:
    migrate()
    append("3")
    shown = history()[0]
    migrate("0004")
    (kept,) = run("SELECT epoch, top FROM hotclub_stream")
    assert kept[1] == 3
    assert kept[0] not in ("f00d", shown)
    publish_as_before("4")
    migrate()
    assert history()[1] == [b"1", b"2", b"3", b"4"]
    assert append("5")[1] == 5


async def test_a_process_of_the_former_version_may_publish_beside_a_new_one(store: str) -> None:
    pool, delivered = HookPool(2), asyncio.Queue[bytes]()
    broker = DatabaseBroker(
        lambda _channel, publication, _epoch: delivered.put_nowait(bytes(publication.data)),
        run=pool.run,
        retention_of=lambda _channel: KEEP,
        relay_interval=0.02,
    )
    await pool.run(publish_as_before, "1")
    await broker.start()
    await broker.subscribe("room")

    def rotations() -> int:
        return Ledger.objects.using(ALIAS).filter(key="rotation").count()

    for work, data in [(append, "2"), (publish_as_before, "3"), (append, "4"), (publish_as_before, "5"), (append, "6")]:
        await pool.run(work, data)
        assert await asyncio.wait_for(delivered.get(), 10) == data.encode()
    assert await pool.run(rotations) == 0
    await broker.stop()
    await pool.close()


def test_the_way_back_after_a_rotation_brings_no_former_epoch_back(former: str) -> None:
    migrate()
    before = history()[0]
    rotate_now()
    after = history()[0]
    migrate("0004")
    migrate()
    assert history()[0] not in (before, after, "f00d")
