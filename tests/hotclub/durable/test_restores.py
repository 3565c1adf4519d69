"""After a failover or a restore, no client is told that it has recovered from a log that is another one."""

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import dj_database_url
import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, OperationalError, ProgrammingError, connections, transaction
from django.test import override_settings
from msgspec import Raw

from hotclub.durable import ledger, sql
from hotclub.durable.broker import DatabaseBroker
from hotclub.engine.broker.base import Message, Retention
from hotclub.engine.model import Position
from hotclub.models import Ledger
from hotclub.runtime.pool import HookPool
from tests.support.postgres import Pair
from tests.support.stores import ALIAS, postgres_url, store

__all__ = ["postgres_url", "store"]

RETENTION = Retention(size=100, ttl=3600)
on_sqlite = pytest.mark.parametrize("store", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("store", ["postgresql"], indirect=True)


def append(data: str = "1", channel: str = "room") -> Position:
    return sql.append(channel, Message(data=Raw(data.encode())), RETENTION)[0]


def top(channel: str = "room") -> Position:
    return sql.read_top(channel).position


class Follower:
    """A node that follows the channel `room`, and what it has delivered."""

    def __init__(self) -> None:
        self.pool = HookPool(2)
        self.delivered: asyncio.Queue[tuple[str, int, bytes]] = asyncio.Queue()
        self.broker = DatabaseBroker(
            lambda _, publication, epoch: self.delivered.put_nowait(
                (epoch, publication.offset, bytes(publication.data))
            ),
            run=self.pool.run,
            retention_of=lambda _: RETENTION,
            relay_interval=0.02,
        )

    async def take(self, count: int) -> list[tuple[str, int, bytes]]:
        async with asyncio.timeout(30):
            return [await self.delivered.get() for _ in range(count)]


@asynccontextmanager
async def following() -> AsyncIterator[Follower]:
    follower = Follower()
    await follower.broker.start()
    await follower.broker.subscribe("room")
    try:
        yield follower
    finally:
        await follower.broker.stop()
        await follower.pool.close()


# SQLite


def backup(target: Path) -> None:
    source = connections[ALIAS].settings_dict["NAME"]
    with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(target)) as copy:
        live.backup(copy)


def restore(source: Path) -> None:
    """What `sqlite3 site.sqlite3 ".restore copy"` does while the site runs."""
    target = connections[ALIAS].settings_dict["NAME"]
    with closing(sqlite3.connect(source)) as copy, closing(sqlite3.connect(target)) as live:
        copy.backup(live)


@on_sqlite
@pytest.mark.parametrize("published", [0, 1, 2, 5])
async def test_a_node_finds_that_its_database_was_set_back_below_at_and_above_what_it_has_delivered(
    store: str, tmp_path: Path, published: int
) -> None:
    """The copy lacks two of five publications, and `published` others come after the restore."""
    async with following() as follower:
        for number in range(3):
            await follower.pool.run(append, str(number))
        await follower.pool.run(backup, tmp_path / "copy")
        for number in range(3, 5):
            await follower.pool.run(append, str(number))
        before = (await follower.take(5))[0][0]

        def set_back() -> None:
            restore(tmp_path / "copy")
            for number in range(published):
                append(f"10{number}")

        await follower.pool.run(set_back)
        (epoch, offset, data), *_ = await follower.take(1)
        assert epoch != before
        assert (offset, data) == (3 + published, f"10{published - 1}".encode() if published else b"2")
        assert await follower.pool.run(top) == Position(epoch, offset)


@on_sqlite
async def test_all_channels_get_new_epochs_when_one_was_set_back(store: str, tmp_path: Path) -> None:
    """Nobody here follows the other channel, whose clients may come back later."""
    async with following() as follower:
        await follower.pool.run(append, "1", "other")
        await follower.pool.run(backup, tmp_path / "copy")
        before = await follower.pool.run(top, "other")
        await follower.pool.run(append)
        await follower.take(1)
        await follower.pool.run(restore, tmp_path / "copy")
        async with asyncio.timeout(20):
            while (await follower.pool.run(top, "other")).epoch == before.epoch:
                continue


@on_sqlite
async def test_a_file_that_was_replaced_is_opened_anew(store: str, tmp_path: Path) -> None:
    path = Path(connections[ALIAS].settings_dict["NAME"])
    pool = HookPool(1)
    await pool.run(append)
    await pool.run(backup, tmp_path / "copy")
    await pool.run(append)
    assert (await pool.run(top)).offset == 2
    await pool.run(lambda: connections[ALIAS].cursor().execute("PRAGMA journal_mode=DELETE"))
    shutil.move(tmp_path / "copy", path)
    assert (await pool.run(top)).offset == 1
    await pool.close()


# Both


def test_the_command_gives_every_channel_a_new_epoch_and_keeps_the_offsets(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    append()
    ledger.plant()
    before = [top("room"), top("never written")]
    for _ in range(2):
        call_command("hotclub_rotate_epochs")
        after = [top("room"), top("never written")]
        assert [position.offset for position in after] == [1, 0]
        assert not {position.epoch for position in before} & {position.epoch for position in after}
        before = after
    assert append().epoch == before[0].epoch
    assert "new epochs" in capsys.readouterr().out


def test_nodes_that_find_the_same_restore_rotate_once(store: str) -> None:
    append()
    known = sql.read_top("room").era
    ledger.rotate(known)
    once = top()
    ledger.rotate(known)
    assert top() == once


# PostgreSQL


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="hotclub-pair-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def pair(folder: Path, monkeypatch: pytest.MonkeyPatch, django_db_blocker: Any) -> Iterator[Pair]:
    """A server and its copy, which `HOTCLUB["DATABASE"]` leads to."""
    pair = Pair(folder)
    monkeypatch.setitem(settings.DATABASES, ALIAS, dict(dj_database_url.parse(pair.url)))
    connections.configure_settings(settings.DATABASES)
    with django_db_blocker.unblock(), override_settings(HOTCLUB={"DATABASE": ALIAS}):
        yield pair
        connections[ALIAS].close()
        del connections[ALIAS]
    pair.end()


async def test_an_asynchronous_failover_changes_every_epoch_and_a_restart_does_not(pair: Pair) -> None:
    async with following() as follower:
        for number in range(3):
            await follower.pool.run(append, str(number))
        kept = await follower.pool.run(top)
        await asyncio.to_thread(pair.restart)
        await follower.pool.run(_until_it_answers)
        assert await follower.pool.run(top) == kept
        await asyncio.to_thread(pair.copy)
        for number in range(3, 5):
            await follower.pool.run(append, str(number))
        assert {epoch for epoch, _, _ in await follower.take(5)} == {kept.epoch}
        await asyncio.to_thread(pair.fail_over)
        epoch, offset, data = (await follower.take(1))[0]
        assert epoch != kept.epoch
        assert (offset, data) == (3, b"2")
        await follower.pool.run(_until_it_answers)
        assert await follower.pool.run(append, "new") == Position(epoch, 4)
        rotations = Ledger.objects.using(ALIAS).filter(key="rotation")
        assert await follower.pool.run(rotations.count) == 0, "the timeline told it, and not what was delivered"


def _until_it_answers() -> None:
    while True:
        try:
            top()
        except OperationalError:
            connections[ALIAS].close()
        else:
            return


@on_postgresql
def test_the_era_is_read_by_an_ordinary_role(store: str, postgres_url: str) -> None:
    append()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS ordinary")
        connection.execute("CREATE ROLE ordinary LOGIN")
        connection.execute("SET ROLE ordinary")
        row = connection.execute(f"SELECT {ledger._PLACES[0]}").fetchone()
        connection.execute("RESET ROLE; DROP ROLE ordinary")
    assert row is not None
    assert len(row[0].split("/")) == 4


@on_postgresql
def test_a_server_that_does_not_tell_its_timeline_still_serves(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_PLACES", ("pg_no_such_function()", "'place'"))
    ledger._place.cache_clear()
    try:
        assert append().offset == 1
        assert sql.read_top("room").era.endswith("place")
    finally:
        ledger._place.cache_clear()


@on_postgresql
def test_a_first_publish_in_a_broken_transaction_learns_nothing_of_the_database(store: str) -> None:
    epoch = append().epoch
    ledger._place.cache_clear()

    def publish_in_a_broken_transaction() -> None:
        with transaction.atomic(using=ALIAS):
            with pytest.raises(ProgrammingError), connections[ALIAS].cursor() as cursor:
                cursor.execute("SELECT nothing")
            append()

    with pytest.raises(DatabaseError):
        publish_in_a_broken_transaction()
    assert append() == Position(epoch, 2)
