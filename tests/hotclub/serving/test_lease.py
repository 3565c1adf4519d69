"""Several server processes on one database: what the log, READY_PATH and a check say of them."""

import asyncio
import contextlib
import functools
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.core.asgi import get_asgi_application
from django.core.checks import run_checks
from django.db.models.functions import Now

from hotclub.asgi import application
from hotclub.checks import nodes
from hotclub.conf.config import Config
from hotclub.runtime import tables
from hotclub.runtime.pool import HookPool
from hotclub.runtime.tables import node_leases
from hotclub.serving import lease as leases
from hotclub.serving.lease import LIFETIME, Held, Lease, Neighbours, held, remove, renew
from tests.hotclub.conftest import Site
from tests.support.stores import postgres_url, store

__all__ = ["postgres_url", "store"]

Serve = Callable[..., Awaitable[Site]]
Configure = Callable[..., None]

NOW = datetime(2026, 11, 27, tzinfo=UTC)


def age(node: str, by: timedelta) -> None:
    node_leases().filter(node=node).update(renewed=Now() - by)


def nodes_of(found: list[Held]) -> list[str]:
    return [item.node for item in found]


def make(node: str, seconds: float = 0, engine: str = "memory") -> Held:
    return Held(node, f"host, process {node}", engine, NOW + timedelta(seconds=seconds))


def seen(neighbours: Neighbours, *others: Held) -> list[str]:
    return nodes_of(neighbours.look(others))


class TestRows:
    """The rows themselves, on every database."""

    @pytest.fixture(autouse=True)
    def _empty(self, store: str) -> Iterator[None]:
        yield
        node_leases().all().delete()

    def test_a_renewal_finds_the_leases_of_the_others(self) -> None:
        assert renew("a", "host, process 1", "memory") == []
        assert renew("a", "host, process 1", "memory") == []
        assert nodes_of(renew("b", "host, process 2", "memory")) == ["a"]
        assert nodes_of(held()) == ["a", "b"]

    def test_a_lease_that_is_not_renewed_is_ignored_and_then_deleted(self) -> None:
        renew("a", "host, process 1", "memory")
        age("a", LIFETIME + timedelta(seconds=1))

        assert held() == []
        assert renew("b", "host, process 2", "memory") == []
        assert [row.node for row in node_leases()] == ["b"]

    def test_a_lease_of_a_clock_that_was_ahead_is_ignored_and_then_deleted(self) -> None:
        renew("a", "host, process 1", "memory")
        age("a", timedelta(hours=-1))

        assert held() == []
        assert renew("b", "host, process 2", "memory") == []
        assert [row.node for row in node_leases()] == ["b"]
        assert nodes_of(renew("a", "host, process 1", "memory")) == ["b"]

    def test_a_renewal_revives_what_was_late(self) -> None:
        renew("a", "host, process 1", "memory")
        age("a", LIFETIME + timedelta(seconds=1))
        renew("a", "host, process 1", "memory")

        assert nodes_of(held()) == ["a"]

    def test_a_removed_lease_is_gone(self) -> None:
        renew("a", "host, process 1", "memory")
        remove("a")

        assert held() == []


def test_a_lease_that_was_there_before_counts_only_once_it_is_renewed() -> None:
    neighbours = Neighbours()

    assert seen(neighbours, make("dead"), make("alive")) == []
    assert seen(neighbours, make("dead"), make("alive", 5)) == ["alive"]
    assert seen(neighbours, make("dead"), make("alive", 5)) == ["alive"]
    assert list(neighbours.doubtful) == ["dead"]
    assert seen(neighbours, make("alive", 10)) == ["alive"]
    assert list(neighbours.doubtful) == []


def test_a_lease_that_comes_later_is_that_of_a_living_process() -> None:
    neighbours = Neighbours()

    assert seen(neighbours) == []
    assert seen(neighbours, make("new")) == ["new"]
    assert seen(neighbours) == []


@pytest.mark.parametrize(
    ("mine", "other", "split"),
    [("memory", "memory", True), ("redis", "redis", False), ("redis", "postgres", True), ("redis", "memory", True)],
)
def test_only_processes_with_a_shared_engine_are_one_site(mine: str, other: str, split: bool) -> None:
    assert leases.splits(mine, other) is split


def test_a_lease_names_the_kind_of_the_engine_and_no_password() -> None:
    assert leases.engine_kind(Config(engine="redis://:secret@host/0")) == "redis"
    assert leases.engine_kind(Config(engine="own://host", backend="shop.live.Backend")) == "shop.live.Backend"


@contextlib.asynccontextmanager
async def keeping(node: str, engine: str = "memory") -> AsyncIterator[Lease]:
    """A node's lease, renewed in quick succession."""
    pool = HookPool(1)
    lease = Lease(node, engine, pool, interval=0.02)
    lease.start()
    try:
        yield lease
    finally:
        await lease.stop()
        await pool.close()


async def until(condition: Callable[[], Any]) -> Any:
    """Wait for what the leases find; they send no event. The condition may be a coroutine function."""
    async with asyncio.timeout(20):
        while True:
            found = condition()
            found = await found if inspect.isawaitable(found) else found
            if found:
                return found
            await asyncio.sleep(0.01)


async def renewals(node: str) -> Any:
    """When the lease was renewed, by the database."""
    row = await sync_to_async(lambda: node_leases().filter(node=node).first())()
    return None if row is None else row.renewed


async def renewed_since(node: str, before: object) -> bool:
    return bool(await renewals(node) != before)


aheld = sync_to_async(held)


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


@pytest.mark.django_db(transaction=True)
class TestProcesses:
    """Processes, as far as their leases go."""

    async def test_each_of_two_processes_says_once_that_they_split_the_site(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with keeping("first") as first, keeping("second") as second:
            await until(lambda: first.trouble and second.trouble)
            before = [await renewals("first"), await renewals("second")]
            await until(lambda: renewed_since("first", before[0]))
            await until(lambda: renewed_since("second", before[1]))
            assert len(errors(caplog)) == 2
            assert all("hotclub_serve" in text and "memory" in text for text in errors(caplog))
        assert await aheld() == []

    async def test_a_process_alone_is_ready_again_when_the_other_stops(self) -> None:
        async with keeping("first") as first:
            async with keeping("second"):
                await until(lambda: first.trouble)
            await until(lambda: not first.trouble)

    async def test_a_restart_after_a_crash_is_no_alarm(self, caplog: pytest.LogCaptureFixture) -> None:
        await sync_to_async(renew)("killed", "host, process 1", "memory")
        async with keeping("restarted") as lease:
            first = await aheld()
            await until(lambda: lease._neighbours.doubtful)
            await sync_to_async(age)("killed", LIFETIME + timedelta(seconds=1))
            await until(lambda: not lease._neighbours.doubtful)
            assert ("killed" in nodes_of(first), lease.trouble, errors(caplog)) == (True, "", [])

    async def test_processes_that_share_an_engine_are_one_site(self, caplog: pytest.LogCaptureFixture) -> None:
        async with keeping("first", "redis") as first, keeping("second", "redis") as second:
            await until(lambda: len(first._neighbours._alive) + len(second._neighbours._alive) == 2)
            assert (first.trouble, second.trouble, errors(caplog)) == ("", "", [])

    async def test_without_the_table_one_warning_says_to_migrate(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        without_table(monkeypatch)
        async with keeping("first") as lease:
            await until(lambda: lease.trouble)
            assert "migrate" in lease.trouble
            monkeypatch.undo()
            await until(lambda: not lease.trouble)
        warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert len(warnings) == 1
        assert "run `manage.py migrate`" in warnings[0]

    async def test_the_path_says_whether_the_process_is_ready(self, serve: Serve, hotclub_settings: Configure) -> None:
        hotclub_settings(READY_PATH="/readyz")
        site = await serve()
        async with httpx.AsyncClient(trust_env=False, base_url=site.url) as monitor:
            ready = await monitor.get("/readyz")
            assert (ready.status_code, ready.json()) == (200, {"ready": True})
            assert (await monitor.head("/readyz")).status_code == 200
            assert (await monitor.post("/readyz")).status_code == 405
            async with keeping("second"):
                refused = await answered(monitor, 503)
                assert (refused["ready"], "process 1" in str(refused)) == (False, False)
                assert "another process" in refused["reason"]
            await answered(monitor, 200)

    async def test_the_path_is_the_project_s_own_unless_it_is_set(
        self, serve: Serve, hotclub_settings: Configure
    ) -> None:
        hotclub_settings(READY_PATH="")

        async def pages(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"mine"})

        site = await serve(application(pages))
        async with httpx.AsyncClient(trust_env=False) as monitor:
            assert (await monitor.get(f"{site.url}/readyz")).text == "mine"

    async def test_asking_writes_no_lease_and_starts_nothing(self, serve: Serve, hotclub_settings: Configure) -> None:
        hotclub_settings(READY_PATH="readyz")
        site = await serve(lifespan="off")
        async with httpx.AsyncClient(trust_env=False, base_url=site.url) as monitor:
            assert (await monitor.get("/readyz")).status_code == 200
            await monitor.get("/")
        assert await aheld() == []

    async def test_a_clean_stop_removes_the_lease(self) -> None:
        events: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        sent: asyncio.Queue[Any] = asyncio.Queue()
        events.put_nowait({"type": "lifespan.startup"})
        serving: Any = application(get_asgi_application())({"type": "lifespan"}, events.get, sent.put)
        running = asyncio.create_task(serving)
        assert (await sent.get())["type"] == "lifespan.startup.complete"
        await until(aheld)

        events.put_nowait({"type": "lifespan.shutdown"})
        await running

        assert await aheld() == []


async def answered(monitor: httpx.AsyncClient, status: int) -> Any:
    async def answer() -> Any:
        given = await monitor.get("/readyz")
        return given.status_code == status and given.json()

    return await until(answer)


def without_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the database seem to hold no tables of ours."""

    @functools.cache
    def nothing(alias: str) -> frozenset[str]:
        return frozenset()

    monkeypatch.setattr(tables, "_tables", nothing)


@pytest.mark.django_db
class TestCheck:
    """`manage.py check --deploy`."""

    def test_two_processes_are_an_error(self) -> None:
        renew("first", "host, process 1", "memory")
        assert nodes.check_nodes() == []
        renew("second", "host, process 2", "memory")

        found = [message for message in run_checks(include_deployment_checks=True) if message.id == "hotclub.E026"]

        assert ["process 1" in message.msg and "process 2" in message.msg for message in found] == [True]
        assert "hotclub_serve" in str(found[0].hint)
        assert [message for message in run_checks() if message.id == "hotclub.E026"] == []

    def test_without_the_table_nothing_is_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        without_table(monkeypatch)

        assert nodes.check_nodes() == []
