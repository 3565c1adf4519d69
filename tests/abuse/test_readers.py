"""reliability.md §4 A10 and A11 on every transport: who says nothing, who reads nothing, and who is not there."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.abuse.conftest import LIMITS, Said, subscriber
from tests.support.emulated import CLIENTS
from tests.support.processes import Server
from tests.support.proxy import FaultProxy, Mode
from tests.support.rawws import RawWebSocket
from tests.support.requests import OPENINGS, answer, request
from tests.support.unidirectional import Listening
from tests.support.wire import WireClient

UNIDIRECTIONAL = ("uni_sse", "uni_http_stream", "uni_websocket")


@pytest.mark.parametrize(
    "path", ["/connection/websocket", "/connection/websocket?format=protobuf", "/connection/uni_websocket"]
)
async def test_a10_whoever_never_says_who_they_are_is_closed(server: Server, path: str) -> None:
    async with asyncio.timeout(LIMITS["CONNECT_TIMEOUT"] + 4), await RawWebSocket.connect(server.port, path) as silent:
        close = await silent.read_close()
    assert (close.close_code, close.close_reason) == (3502, "stale")


async def test_a10_silent_sockets_cannot_take_every_place(server: Server) -> None:
    """Whoever comes then is told to come back, on each transport; and soon there is room again."""
    sockets = [await RawWebSocket.connect(server.port) for _ in range(int(LIMITS["UNAUTHENTICATED_CONNECTIONS"]))]
    try:
        for endpoint in OPENINGS:
            refused = await answer(server.port, request(server.port, endpoint))
            assert (refused.status, endpoint) == (503, endpoint)
            assert 1 <= int(refused.headers["retry-after"]) <= 20
        for number in range(2, 5):
            found = await answer(server.port, request(server.port, "websocket"), source=f"127.0.10.{number}")
            assert found.status == 101, "another address gets its share of the places"
    finally:
        for silent in sockets:
            async with asyncio.timeout(5):
                await silent.read_eof()
            silent.abort()


Opened = Callable[[str, str], Awaitable[asyncio.StreamWriter]]


@pytest.fixture
async def opened(server: Server) -> AsyncIterator[Opened]:
    """Subscribes to a channel on a transport; gives the connection, which is reset at the end."""
    async with contextlib.AsyncExitStack() as stack:

        async def open_one(transport: str, channel: str) -> asyncio.StreamWriter:
            if transport in CLIENTS:
                client = await stack.enter_async_context(await subscriber(CLIENTS[transport], server, channel))
                return client.socket.writer
            wish = json.dumps({"subs": {channel: {}}}).encode()
            listening = await stack.enter_async_context(Listening.open(server.port, transport, wish))
            await listening.first()
            return listening.writer

        yield open_one


def stall(writer: asyncio.StreamWriter) -> None:
    """Read nothing more, and leave the kernel little room to do so instead."""
    assert isinstance(writer.transport, asyncio.Transport)
    writer.transport.pause_reading()
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)


def count(client: WireClient, kind: str) -> int:
    return sum(kind in item.get("push", {}) for item in client.inbox)


async def test_a11_readers_that_stop_are_closed_and_cost_little(server: Server, opened: Opened) -> None:
    said, transports = Said(server), [*CLIENTS, *UNIDIRECTIONAL]
    async with await subscriber(WireClient, server, "open:a11") as writer:
        for transport in transports:
            stall(await opened(transport, "open:a11"))
        await writer.wait(lambda: count(writer, "join") == len(transports) + 1)
        memory = server.memory
        for _ in range(110):
            await writer.publish("open:a11", "x" * 60_000)
        await writer.wait(lambda: count(writer, "leave") == len(transports), timeout=20)
        assert (await writer.call("presence_stats", channel="open:a11"))["num_clients"] == 1
        assert server.memory - memory < len(transports) * 1.5 * 2**20 + 2**20
    told = [line for line in said.lines if line.startswith("Ended a connection: code=3008 reason='slow'")]
    assert sorted(line.split("transport=")[1].split()[0] for line in told) == sorted(
        repr(transport.partition("-")[0]) for transport in transports
    )


async def test_a11_readers_that_leave_less_unread_are_given_up_too(server: Server, opened: Opened) -> None:
    """They cannot answer a ping, so that they take nothing has to be enough."""
    limit = LIMITS["PING_INTERVAL"] + LIMITS["PONG_TIMEOUT"]
    async with await subscriber(WireClient, server, "memory:a11-little") as writer:
        for transport in UNIDIRECTIONAL:
            stall(await opened(transport, "memory:a11-little"))
        for _ in range(10):
            await writer.publish("memory:a11-little", "x" * 60_000)
        started = time.monotonic()
        await writer.wait(lambda: count(writer, "leave") == len(UNIDIRECTIONAL), timeout=limit + 5)
        assert time.monotonic() - started > 1, "they got the time that a slow reader needs"


async def test_a11_half_open_peers_are_noticed(server: Server) -> None:
    """Nothing comes through any more and nobody says so: the pings find out, on whatever takes answers to them."""
    async with (
        FaultProxy(server.port) as proxy,
        await subscriber(WireClient, server, "memory:half-open") as witness,
        contextlib.AsyncExitStack() as stack,
    ):
        for kind in CLIENTS.values():
            lost = await stack.enter_async_context(await kind.connected(proxy.port))
            await lost.subscribe("memory:half-open")
        proxy.set_mode(Mode.BLACK_HOLE)
        await witness.wait(lambda: count(witness, "leave") == len(CLIENTS), timeout=10)
