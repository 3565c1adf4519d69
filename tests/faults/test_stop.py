"""A server that is told to stop answers what it has begun, tells its clients to come back, and ends, whatever hangs."""

import asyncio
import contextlib
import json
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import PROJECT, Server, poll_until
from tests.support.wire import WireClient

DRAIN = 2.0
SPREAD = 0.8
LAST = 5.0
"""Seconds after the drain by which the process has ended, with some for a busy machine."""


@pytest.fixture
def server(tmp_path: Path) -> Server:
    settings = {"ALLOW_ANONYMOUS": True, "LIMITS": {"DRAIN_TIME": DRAIN, "DRAIN_SPREAD": SPREAD}}
    made = Server(tmp_path, PROJECT, {"PROJECT_HOTCLUB": json.dumps(settings)})
    made.copy_tables()
    return made


async def exit_status(server: Server, seconds: float) -> int:
    assert server.process is not None
    return await asyncio.to_thread(server.process.wait, seconds)


def tell(server: Server, number: signal.Signals = signal.SIGTERM) -> None:
    assert server.process is not None
    server.process.send_signal(number)


async def test_commands_that_have_begun_are_answered_and_then_everybody_is_told_to_come_back(server: Server) -> None:
    async with server, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(await WireClient.connected(server.port)) for _ in range(13)]
        busy, idle = clients[:3], clients[3:]
        commands = [await client.start("rpc", method="slow", data={"seconds": 1.2}) for client in busy]
        # The commands of a connection run in order: the answer tells that the one before it has begun.
        await asyncio.gather(*(client.call("rpc", method="slow", data={"seconds": 0}) for client in idle))
        tell(server)
        ends: list[float] = []

        async def end(client: WireClient) -> int:
            code = (await client.ended(DRAIN + LAST)).code
            ends.append(time.monotonic())
            return code

        codes = await asyncio.gather(*map(end, clients))
        answers = [await client.answer(command) for client, command in zip(busy, commands, strict=True)]
        assert [answer["rpc"]["data"] for answer in answers] == ["done"] * 3
        assert codes == [3001] * 13
        assert max(ends) - min(ends) > SPREAD / 5, "they were not told at once"
        assert await exit_status(server, DRAIN + LAST) == 0


@contextlib.contextmanager
def locked(server: Server) -> Iterator[None]:
    """Keep the lock of the server's database."""
    database = sqlite3.connect(server.data_dir / "project.sqlite3", isolation_level=None)
    with contextlib.closing(database):
        database.execute("BEGIN EXCLUSIVE")
        yield


async def test_the_process_ends_when_its_database_and_much_else_hang(server: Server) -> None:
    async with server, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(await WireClient.connected(server.port)) for _ in range(5)]
        stack.enter_context(locked(server))
        for client, method in zip(clients, ["write", "hang", "stubborn", "thread"], strict=False):
            await client.start("rpc", method=method)
        await clients[-1].call("rpc", method="slow", data={"seconds": 0})
        tell(server)
        assert await exit_status(server, DRAIN + LAST) == 0


async def test_the_process_ends_when_the_loop_is_blocked_where_no_signal_is_seen(server: Server) -> None:
    async with server, await WireClient.connected(server.port) as client:
        with locked(server):
            await client.start("rpc", method="locked")
            await poll_until(lambda: "waits for the lock" in server.tail(), "the loop is blocked")
            tell(server)
            assert await exit_status(server, DRAIN + LAST) == 0


@pytest.mark.parametrize("method", ["hang", "stubborn", "thread", "block"])
async def test_the_process_ends_whatever_hangs(server: Server, method: str) -> None:
    async with (
        server,
        await WireClient.connected(server.port) as client,
        await WireClient.connected(server.port) as idle,
    ):
        begun = time.monotonic()
        await client.start("rpc", method=method)
        if method != "block":
            await idle.call("rpc", method="slow", data={"seconds": 0})
        tell(server)
        assert await exit_status(server, DRAIN + LAST) == 0
        assert time.monotonic() - begun < DRAIN + LAST


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_the_process_at_once(server: Server, number: signal.Signals) -> None:
    async with (
        server,
        await WireClient.connected(server.port) as client,
        await WireClient.connected(server.port) as idle,
    ):
        await client.start("rpc", method="hang")
        tell(server)
        await idle.ended(DRAIN + LAST)
        tell(server, number)
        assert await exit_status(server, DRAIN - SPREAD) == 128 + number
