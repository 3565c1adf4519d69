"""The thread pool of hooks: bounded, and tidy with database connections."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator
from typing import Any

import django.db
import pytest
import pytest_asyncio
from django.contrib.sessions.models import Session
from django.db import DatabaseError, connection, transaction
from django.db import connections as every_connection

from hotclub.runtime.pool import HookPool

pytestmark = pytest.mark.django_db(transaction=True)


@pytest_asyncio.fixture
async def pool() -> AsyncIterator[HookPool]:
    """One thread, so that each call sees what the one before it left."""
    made = HookPool(threads=1)
    yield made
    await made.close()


def driver() -> Any:
    """This thread's connection to the database, in use."""
    Session.objects.count()
    return connection.connection


async def test_calls_run_in_other_threads_with_the_caller_s_context(pool: HookPool) -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("set")

    def look(a: int, *, b: int) -> tuple[str, bool, int]:
        return variable.get(), threading.current_thread() is threading.main_thread(), a + b

    assert await pool.run(look, 1, b=2) == ("set", False, 3)


async def test_no_more_threads_run_than_were_allowed() -> None:
    pool = HookPool(threads=3)
    inside = threading.Barrier(3)

    def work() -> int:
        inside.wait(5)
        return threading.get_ident()

    assert len({*await asyncio.gather(*(pool.run(work) for _ in range(9)))}) == 3
    await pool.close()


async def test_an_exception_comes_back(pool: HookPool) -> None:
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda: 1 // 0)


async def test_a_connection_is_kept_between_calls(pool: HookPool) -> None:
    assert await pool.run(driver) is await pool.run(driver)


@pytest.mark.parametrize(
    ("max_age", "seconds", "kept"), [(0, 59, True), (0, 60, False), (30, 29, True), (30, 30, False), (None, 1e6, True)]
)
async def test_a_connection_is_kept_as_long_as_the_database_says_or_a_minute(
    pool: HookPool, monkeypatch: pytest.MonkeyPatch, max_age: float | None, seconds: float, kept: bool
) -> None:
    now = 0.0
    monkeypatch.setattr("hotclub.runtime.pool.monotonic", lambda: now)
    monkeypatch.setitem(every_connection.settings["default"], "CONN_MAX_AGE", max_age)
    opened = await pool.run(driver)

    now = seconds
    await pool.run(driver)

    assert (await pool.run(lambda: connection.connection) is opened) is kept


async def test_a_transaction_that_a_hook_left_open_is_rolled_back(
    pool: HookPool, caplog: pytest.LogCaptureFixture
) -> None:
    def leave_open() -> None:
        transaction.atomic().__enter__()
        Session.objects.create(session_key="left", session_data="", expire_date="2026-01-01T00:00:00Z")

    await pool.run(leave_open)

    assert not await Session.objects.filter(pk="left").aexists()
    assert not await pool.run(lambda: connection.in_atomic_block)
    assert await pool.run(Session.objects.count) == 0
    assert "left a transaction open" in caplog.text


async def test_a_connection_without_autocommit_is_closed(pool: HookPool) -> None:
    def switch_off() -> None:
        Session.objects.count()
        transaction.set_autocommit(False)

    await pool.run(switch_off)

    assert await pool.run(lambda: (Session.objects.count(), transaction.get_autocommit())) == (0, True)


async def test_a_connection_that_an_error_has_broken_is_closed(pool: HookPool, broken: None) -> None:
    def fail() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT nonsense")

    with pytest.raises(DatabaseError):
        await pool.run(fail)

    assert await pool.run(lambda: connection.connection) is None


async def test_a_connection_that_was_cut_while_idle_is_replaced(
    pool: HookPool, broken: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await pool.run(driver)
    assert await pool.run(driver) is first

    monkeypatch.setattr("hotclub.runtime.pool._TRUSTED_IDLE", -1.0)

    assert await pool.run(driver) is not first


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite believes in its connections; PostgreSQL asks the server, which may be gone."""
    monkeypatch.setattr("django.db.backends.sqlite3.base.DatabaseWrapper.is_usable", lambda self: False)


async def test_an_error_that_leaves_the_connection_sound_keeps_it(pool: HookPool) -> None:
    first = await pool.run(driver)

    def fail() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT nonsense")

    with pytest.raises(DatabaseError):
        await pool.run(fail)

    assert await pool.run(driver) is first


async def test_closing_closes_the_connections_and_takes_no_more_calls(pool: HookPool) -> None:
    connections = [await pool.run(lambda: django.db.connections["default"])]
    await pool.run(driver)
    assert connections[0].connection is not None

    await pool.close()

    assert connections[0].connection is None
    with pytest.raises(RuntimeError):
        await pool.run(driver)


async def test_closing_waits_for_what_runs_and_drops_what_waits() -> None:
    pool = HookPool(threads=1)
    started, release = threading.Event(), threading.Event()

    def work() -> str:
        started.set()
        assert release.wait(5)
        return "done"

    running = asyncio.create_task(pool.run(work))
    await asyncio.to_thread(started.wait, 5)
    waiting = asyncio.create_task(pool.run(lambda: "never"))
    await asyncio.sleep(0)
    closing = asyncio.create_task(pool.close())
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not closing.done()
    release.set()
    await closing

    assert await running == "done"
