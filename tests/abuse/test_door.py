"""reliability.md §4 A9 and A12 where they are about pages: bodies and connections that take what others need.

Whatever one address does, a page answers to the others meanwhile.
"""

import asyncio
import contextlib
import itertools
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.abuse.conftest import Said
from tests.support.processes import PROJECT, Server, poll_until
from tests.support.requests import Answer, answer, answered, request

FILES = 256
CONNECTIONS = FILES - 64
PER_ADDRESS = CONNECTIONS * 3 // 4
PROXY = "127.0.0.9"
BODIES = 20
SILENT = 50
MOST = 100_000
LIMITS = {
    "BODY_BYTES": MOST,
    "BODY_TIMEOUT": 1.0,
    "MIN_RATE": 40_000,
    "BODIES_PER_ADDRESS": BODIES,
    "BODIES_BYTES": 1_000_000,
    "SILENT_PER_ADDRESS": SILENT,
    "SEND_TIMEOUT": 1.0,
}
PAGE = b"GET /blank/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

_addresses = (f"127.1.{a}.{b}" for a, b in itertools.product(range(1, 99), range(1, 99)))


@pytest.fixture(scope="module")
def _guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"SERVER": LIMITS, "LIMITS": {"CONNECT_TIMEOUT": 3.0, "CLOSE_TIMEOUT": 1.0}, "TRUSTED_PROXIES": [PROXY]}
    environment = {"PROJECT_HOTCLUB": json.dumps(settings)}
    with Server.serving(tmp_path_factory.mktemp("guarded"), PROJECT, environment, files=FILES) as server:
        yield server


@pytest.fixture
async def guarded(_guarded: Server) -> AsyncIterator[Server]:
    """A server with few files and small bounds, which serves pages after the test as it did before."""
    memory, said = _guarded.memory, Said(_guarded)
    yield _guarded
    assert _guarded.alive, _guarded.tail()
    await unharmed(_guarded)
    assert _guarded.memory - memory < 16 * 2**20
    said.check()


async def unharmed(server: Server) -> None:
    """A page, and a form, of an address that did nothing wrong."""
    source = next(_addresses)
    assert (await answer(server.port, PAGE, source=source)).status == 200
    assert (await answer(server.port, post(b"a=b"), source=source)).status == 200


def post(body: bytes, *more: bytes, length: int | None = None, path: str = "/length/") -> bytes:
    """A POST with this body, or with its beginning if `length` is greater."""
    size = b"Content-Length: %d" % (len(body) if length is None else length)
    return b"\r\n".join([b"POST %b HTTP/1.1" % path.encode(), b"Host: 127.0.0.1", size, *more, b"", body])


async def all_answers(server: Server, sent: list[bytes], source: str) -> list[Answer]:
    return await asyncio.gather(*(answer(server.port, part, source=source) for part in sent))


def statuses(answers: list[Answer]) -> list[int]:
    """The statuses. Whoever is refused for the crowd is told when to come back."""
    assert all("retry-after" in found.headers for found in answers if found.status == 503)
    return sorted(found.status for found in answers)


@pytest.mark.parametrize(
    ("path", "more"),
    [("/length/", b""), ("/emulation", b"Content-Type: application/json"), ("/connection/http_stream", b"")],
)
async def test_silent_bodies_are_given_up_and_few_at_a_time(guarded: Server, path: str, more: bytes) -> None:
    sent = [post(b"", *([more] if more else []), length=100, path=path)] * 30
    waiting = asyncio.create_task(all_answers(guarded, sent, next(_addresses)))
    await unharmed(guarded)
    assert statuses(await waiting) == [408] * BODIES + [503] * 10


async def test_a_body_may_take_its_time_at_the_rate_that_is_asked_for(guarded: Server) -> None:
    for rate, status in ((60_000, 200), (6_000, 408)):
        async with _opened(guarded, next(_addresses)) as (reader, writer):
            sending = asyncio.create_task(_send_slowly(writer, rate))
            async with asyncio.timeout(20):
                assert int((await reader.readline()).split()[1]) == status
            sending.cancel()


async def _send_slowly(writer: asyncio.StreamWriter, rate: int) -> None:
    writer.write(post(b"", length=90_000))
    for _ in range(90_000 // (rate // 10)):
        writer.write(b"x" * (rate // 10))
        await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def _opened(server: Server, source: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, local_addr=(source, 0))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


CHUNKED = b"POST /length/ HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_a_body_that_is_too_large_is_413_however_it_comes(guarded: Server) -> None:
    source = next(_addresses)
    assert (await answer(guarded.port, post(b"x" * MOST), source=source)).status == 200
    for sent in (
        post(b"", length=MOST + 1),
        post(b"", b"Expect: 100-continue", length=MOST + 1),
        post(b"", b"Expect: 100-continue", length=10**15),
        post(b"x" * 8_000_000),
        post(b"x" * 8_000_000, b"Connection: close"),
        CHUNKED + b"8000\r\n" + b"x" * 0x8000 + b"\r\n" + (b"8000\r\n" + b"x" * 0x8000 + b"\r\n") * 200,
    ):
        found = await answer(guarded.port, sent, source=source)
        assert found.status == 413, sent[:120]
    async with answered(guarded.port, post(b"x" * 200_000) + PAGE, source=source) as (found, reader):
        assert found.status == 413
        async with asyncio.timeout(5):
            await reader.readuntil(b"HTTP/1.1 200")


async def test_a_refused_body_that_goes_on_without_end_is_cut_off(guarded: Server) -> None:
    async with _opened(guarded, next(_addresses)) as (_, writer):
        writer.write(post(b"", length=10**15))
        async with asyncio.timeout(20):
            with pytest.raises(ConnectionError):
                await _send_without_end(writer)


async def _send_without_end(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


async def test_bodies_that_wait_hold_little_and_leave_room_for_others(guarded: Server) -> None:
    memory = guarded.memory
    sent = [post(b"x" * 90_000, length=95_000)] * 20
    waiting = [asyncio.create_task(all_answers(guarded, sent, next(_addresses))) for _ in range(3)]
    source = next(_addresses)
    for _ in range(20):
        assert (await answer(guarded.port, post(b"x" * 90_000), source=source)).status == 200
    assert guarded.memory - memory < 12 * 2**20
    found = [status for answers in await asyncio.gather(*waiting) for status in statuses(answers)]
    assert set(found) == {408, 503}
    assert found.count(503) > 20


async def test_the_address_behind_a_trusted_proxy_is_the_one_that_counts(guarded: Server) -> None:
    for client in range(3):
        claim = b"X-Forwarded-For: 203.0.113.%d" % client
        answers = await all_answers(guarded, [post(b"", claim, length=9)] * 25, PROXY)
        assert statuses(answers) == [408] * BODIES + [503] * 5
    answers = await all_answers(guarded, [post(b"", b"X-Forwarded-For: 203.0.113.9", length=9)] * 25, next(_addresses))
    assert statuses(answers) == [408] * BODIES + [503] * 5


async def test_of_too_many_silent_connections_the_oldest_is_given_up(guarded: Server) -> None:
    source = next(_addresses)
    async with contextlib.AsyncExitStack() as stack, asyncio.timeout(10):
        first, _ = await stack.enter_async_context(_opened(guarded, source))
        gone = asyncio.create_task(first.read())
        for _ in range(SILENT - 1):
            await stack.enter_async_context(_opened(guarded, source))
        started = time.monotonic()
        while not gone.done():
            async with _opened(guarded, source):
                await asyncio.wait((gone,), timeout=0.1)
        assert time.monotonic() - started < 3, "before the deadline of its request head"
        assert re.match(rb"HTTP/1.1 503 .*\r\nretry-after: 5\r\n", gone.result())
        await unharmed(guarded)


async def test_silent_connections_of_many_addresses_leave_room_for_others(guarded: Server) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for source in [next(_addresses) for _ in range(4)]:
            for _ in range(100):
                with contextlib.suppress(ConnectionResetError):
                    await stack.enter_async_context(_opened(guarded, source))
        await unharmed(guarded)
        assert _open_files(guarded) < FILES
        assert "Too many open files" not in guarded.tail()


def _open_files(server: Server) -> int:
    return len(list(Path(f"/proc/{server.pid}/fd").iterdir()))


async def test_open_connections_of_one_address_leave_room_for_others(guarded: Server) -> None:
    source, sent = next(_addresses), request(guarded.port, "uni_sse")
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(PER_ADDRESS):
            found, _reader = await stack.enter_async_context(answered(guarded.port, sent, source=source))
            assert found.status == 200
        for refused in [request(guarded.port, "websocket"), PAGE, post(b"a=b")]:
            found = await answer(guarded.port, refused, source=source)
            assert (found.status, int(found.headers["retry-after"])) == (503, 5)
        await unharmed(guarded)
    await poll_until(lambda: _open_files(guarded) < PER_ADDRESS, "their files are closed")
    assert (await answer(guarded.port, PAGE, source=source)).status == 200


async def test_a_flood_of_pipelined_requests_is_cut_off(guarded: Server) -> None:
    memory = guarded.memory
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(10):
            reader, writer = await stack.enter_async_context(_opened(guarded, next(_addresses)))
            writer.write(PAGE * 20_000)
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(10):
                    answers = re.findall(rb"HTTP/1.1 (\d+)", await reader.read())
                    assert set(answers) == {b"200"}
                    assert len(answers) < 40
        await unharmed(guarded)
    assert guarded.memory - memory < 8 * 2**20


async def test_a_few_pipelined_requests_are_answered_in_turn(guarded: Server) -> None:
    async with _opened(guarded, next(_addresses)) as (reader, writer), asyncio.timeout(5):
        writer.write(post(b"a") + post(b"ab") + post(b"abc", b"Connection: close"))
        assert re.findall(rb"\r\n\r\n1\r\n(\d+)", await reader.read()) == [b"1", b"2", b"3"]


async def test_readers_who_stop_are_reset(guarded: Server) -> None:
    async with _opened(guarded, next(_addresses)) as (reader, writer):
        transport = writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        writer.write(b"GET /big/?bytes=8000000 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await unharmed(guarded)
        await poll_until(lambda: "the peer reads too slowly" in guarded.tail(), "it is given up")
        transport.resume_reading()
        with pytest.raises(ConnectionResetError):
            await reader.read()
