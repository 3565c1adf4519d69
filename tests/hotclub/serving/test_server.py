"""The server before any application: hostile frames and request heads, slow peers, and the way it stops."""

import asyncio
import contextlib
import functools
import gc
import logging
import os
import socket
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn

from hotclub.engine.limits import Limits
from hotclub.engine.transports.framing import text_frame
from hotclub.serving.server import CannotListen, listen
from hotclub.serving.uvicorn import HttpProtocol
from hotclub.serving.websocket import WebSocketProtocol
from tests.support.processes import REPOSITORY, poll_until
from tests.support.prompt import PromptServer
from tests.support.rawws import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    HandshakeRefused,
    RawWebSocket,
    encode_frame,
)

LIMITS = Limits()
QUICK = Limits(connect_timeout=0.2, close_timeout=0.2)


@dataclass
class Echo:
    """Answers every message with its length, through the writer; does what its name says for a few words."""

    ended: "asyncio.Queue[dict[str, Any]]" = field(default_factory=asyncio.Queue)
    writers: list[Any] = field(default_factory=list)
    paused: asyncio.Event = field(default_factory=asyncio.Event)
    received: int = 0

    def __post_init__(self) -> None:
        self.paused.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await self._respond(scope, receive, send)
            return
        await receive()
        if scope["path"] == "/closed":
            await send({"type": "websocket.close"})
            return
        if scope["path"] == "/crowded":
            await send({"type": "websocket.http.response.start", "status": 503, "headers": [(b"retry-after", b"1")]})
            await send({"type": "websocket.http.response.body", "body": b"later"})
            return
        await send({"type": "websocket.accept"})
        writer = scope["extensions"]["hotclub.writer"]
        if scope["path"] != "/plain":
            writer.on_shutdown = lambda: writer.close(3001, "shutdown")
        self.writers.append(writer)
        await self._answer(receive, writer)

    async def _respond(self, scope: Any, receive: Any, send: Any) -> None:
        body = b"ok"
        if scope["path"] == "/fields":
            while (await receive()).get("more_body", False):
                pass
            body = b" ".join(name for name, _value in scope["headers"])
        await self.paused.wait()
        length = b"%d" % len(body)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, receive: Any, writer: Any) -> None:
        while True:
            await self.paused.wait()
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self.ended.put_nowait(message)
                return
            self.received += 1
            text = message.get("text") or message["bytes"].decode()
            if text == "bye":
                writer.close(4000, "bye")
            elif text == "flood":
                writer.write([text_frame(b"x" * 60_000)] * 100)
            else:
                writer.write([text_frame(b"got"), text_frame(str(len(text)).encode())])


@dataclass
class Served:
    app: Echo
    port: int
    server: PromptServer
    running: "asyncio.Task[None]"

    @contextlib.asynccontextmanager
    async def connected(self, path: str = "/", **options: Any) -> AsyncIterator[RawWebSocket]:
        async with await RawWebSocket.connect(self.port, path, **options) as connection:
            yield connection

    async def stop(self) -> None:
        self.server.end()
        async with asyncio.timeout(10):
            await asyncio.shield(self.running)

    async def exchange(self, request: bytes) -> bytes:
        """Send bytes on a fresh connection and read until the server ends it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        try:
            return await asyncio.wait_for(reader.read(), 5)
        finally:
            writer.close()


async def _answers(served: Served) -> None:
    """Whatever a test did, others are served."""
    served.app.paused.set()
    async with served.connected() as other:
        await other.send_text("still here")
        assert [(await other.read_frame()).payload for _ in range(2)] == [b"got", b"10"]


Serve = Callable[..., Any]


@pytest.fixture
def serve() -> Serve:
    @contextlib.asynccontextmanager
    async def started(limits: Limits = LIMITS) -> AsyncIterator[Served]:
        app = Echo()
        config = uvicorn.Config(
            app,
            http=functools.partial(HttpProtocol, limits=limits),  # type: ignore[arg-type]
            ws=functools.partial(WebSocketProtocol, limits=limits),  # type: ignore[arg-type]
            ws_per_message_deflate=False,
            lifespan="off",
            log_level="error",
            timeout_keep_alive=60,
        )
        server, listener = PromptServer(config), listen("127.0.0.1", 0)
        ready = asyncio.Event()
        startup = server.startup

        async def announce(sockets: Any = None) -> None:
            await startup(sockets)
            ready.set()

        server.startup = announce  # type: ignore[method-assign]
        running = asyncio.create_task(server.serve([listener]))
        await asyncio.wait_for(ready.wait(), 10)
        served = Served(app, listener.getsockname()[1], server, running)
        try:
            yield served
            if not server.should_exit:
                await _answers(served)
        finally:
            server.end()
            await running

    return started


# Frames


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        pytest.param([encode_frame(TEXT, b"hi", mask=False)], 1002, id="unmasked"),
        *(pytest.param([encode_frame(TEXT, b"hi", rsv=bit)], 1002, id=f"rsv{bit}") for bit in (1, 2, 4)),
        *(pytest.param([encode_frame(code, b"hi")], 1002, id=f"opcode{code}") for code in (3, 7, 11, 15)),
        pytest.param([encode_frame(PING, b"x" * 126)], 1002, id="long ping"),
        pytest.param([encode_frame(PING, b"x", fin=False)], 1002, id="fragmented ping"),
        pytest.param([encode_frame(CONTINUATION, b"x")], 1002, id="continuation of nothing"),
        pytest.param([encode_frame(TEXT, b"a", fin=False), encode_frame(TEXT, b"b")], 1002, id="message in a message"),
        pytest.param([encode_frame(TEXT, b"\xff")], 1007, id="no UTF-8"),
        pytest.param([encode_frame(TEXT, b"\xc0\xaf")], 1007, id="overlong"),
        pytest.param([encode_frame(TEXT, b"\xed\xa0\x80")], 1007, id="surrogate"),
        pytest.param([encode_frame(TEXT, b"\xe2\x82")], 1007, id="cut short"),
        pytest.param(
            [encode_frame(TEXT, b"\xe2\x82", fin=False), encode_frame(CONTINUATION, b"A")], 1007, id="cut by fragments"
        ),
        pytest.param([encode_frame(TEXT, length=2**63 - 1)], 1009, id="huge header"),
        pytest.param([encode_frame(TEXT, length=65_537)], 1009, id="header of 64 KiB + 1"),
        pytest.param([encode_frame(TEXT, b"a" * 65_537)], 1009, id="64 KiB + 1"),
        pytest.param(
            [encode_frame(TEXT, b"a" * 40_000, fin=False), encode_frame(CONTINUATION, length=40_000)],
            1009,
            id="64 KiB + 1 in fragments",
        ),
        pytest.param(
            [encode_frame(TEXT, b"a", fin=False)] + [encode_frame(CONTINUATION, b"a", fin=False)] * LIMITS.fragments,
            1009,
            id="too many fragments",
        ),
        pytest.param([encode_frame(PING, b"x")] * 300, 1008, id="ping flood"),
        pytest.param([encode_frame(PONG, b"x")] * 300, 1008, id="pong flood"),
    ],
)
async def test_hostile_frames_close_their_own_connection(serve: Serve, frames: list[bytes], code: int) -> None:
    async with serve() as served, served.connected() as connection:
        await connection.send_bytes(b"".join(frames))
        assert (await asyncio.wait_for(connection.read_close(), 5)).close_code == code
        await asyncio.wait_for(connection.read_eof(), 5)
        assert (await asyncio.wait_for(served.app.ended.get(), 5))["code"] == code
        assert served.app.received == 0


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        pytest.param(
            [encode_frame(TEXT, b"abc", fin=False)]
            + [encode_frame(CONTINUATION, b"abc", fin=False)] * LIMITS.fragments,
            "a message of more than 64 fragments",
            id="fragments",
        ),
        pytest.param(
            [encode_frame(TEXT, b"a" * 40_000, fin=False), encode_frame(CONTINUATION, length=40_000)],
            "frame with 40000 bytes after reading 40000 bytes exceeds limit of 65536 bytes",
            id="bytes",
        ),
    ],
)
async def test_the_reason_names_the_limit_that_was_passed(serve: Serve, frames: list[bytes], reason: str) -> None:
    async with serve() as served, served.connected() as connection:
        await connection.send_bytes(b"".join(frames))
        assert (await asyncio.wait_for(connection.read_close(), 5)).close_reason == reason


async def test_a_peer_that_goes_on_sending_is_told_why_and_not_reset(serve: Serve) -> None:
    async with serve() as served, served.connected() as connection:
        await connection.send_frame(TEXT, length=10_000_000)
        for _ in range(100):
            await connection.send_bytes(b"a" * 100_000)
        assert (await asyncio.wait_for(connection.read_close(), 5)).close_code == 1009


@pytest.mark.parametrize("kind", [TEXT, BINARY])
async def test_messages_up_to_the_limits_are_received(serve: Serve, kind: int) -> None:
    async with serve() as served, served.connected() as connection:
        await connection.send_frame(kind, b"a" * 65_536)
        assert [(await connection.read_frame()).payload for _ in range(2)] == [b"got", b"65536"]
        pieces = [encode_frame(kind, b"a", fin=False)]
        pieces += [encode_frame(CONTINUATION, b"a", fin=False)] * (LIMITS.fragments - 2)
        await connection.send_bytes(b"".join([*pieces, encode_frame(CONTINUATION, b"a")]))
        assert [(await connection.read_frame()).payload for _ in range(2)] == [b"got", str(LIMITS.fragments).encode()]


async def test_a_ping_is_answered_within_a_fragmented_message(serve: Serve) -> None:
    async with serve() as served, served.connected() as connection:
        await connection.send_bytes(
            encode_frame(TEXT, b"\xe2\x82", fin=False)
            + encode_frame(PING, b"now")
            + encode_frame(CONTINUATION, b"\xac")
        )
        pong = await connection.read_frame()
        assert (pong.opcode, pong.payload) == (PONG, b"now")
        assert (await connection.read_frame()).payload == b"got"


async def test_a_close_within_a_fragmented_message_is_answered_with_its_code(serve: Serve) -> None:
    async with serve() as served, served.connected() as connection:
        await connection.send_bytes(
            encode_frame(TEXT, b"a", fin=False)
            + encode_frame(CLOSE, struct.pack(">H", 1000))
            + encode_frame(CONTINUATION, b"b")
        )
        close = await connection.read_close()
        assert close.close_code == 1000
        assert served.app.received == 0


async def test_tiny_fragments_cost_no_memory_of_note(serve: Serve) -> None:
    async with serve() as served, served.connected() as connection:
        flood = encode_frame(TEXT, b"a", fin=False) + encode_frame(CONTINUATION, b"a", fin=False) * 131_000
        tracemalloc.start()
        try:
            connection.writer.write(flood)
            del flood
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            assert (await asyncio.wait_for(connection.read_close(), 10)).close_code == 1009
            assert tracemalloc.get_traced_memory()[1] - before < 1_048_576
        finally:
            tracemalloc.stop()


async def test_a_websocket_keeps_nothing_of_the_connection_for_http(serve: Serve) -> None:
    async with serve() as served, served.connected() as connection:
        await connection.send_text("hello")
        await connection.read_frame()
        gc.collect()
        kept = [item for item in gc.get_objects() if isinstance(item, HttpProtocol)]
        assert [item for item in kept if item.transport is served.app.writers[0].transport] == []


async def test_an_application_that_does_not_read_holds_up_the_peer_and_loses_nothing(serve: Serve) -> None:
    async with serve() as served, served.connected() as connection:
        served.app.paused.clear()
        connection.writer.write(encode_frame(TEXT, b"a" * 1_000) * 5_000)
        await poll_until(lambda: served.app.writers[0].read_paused, "reading is paused")
        assert served.app.writers[0].queue.qsize() < 64
        served.app.paused.set()
        for _ in range(10_000):
            await connection.read_frame()
        assert served.app.received == 5_000


# The writer


async def test_ready_made_frames_go_out_as_they_are(serve: Serve) -> None:
    async with serve() as served, served.connected() as connection:
        await connection.send_text("hello")
        assert [(await connection.read_frame()).payload for _ in range(2)] == [b"got", b"5"]
        assert served.app.writers[0].buffered() == 0


async def test_what_a_slow_reader_leaves_is_told(serve: Serve) -> None:
    async with serve() as served, served.connected(receive_buffer=4_096) as connection:
        await connection.send_text("flood")
        await connection.send_text("after")
        await poll_until(lambda: served.app.received == 2, "both messages are read")
        assert served.app.writers[0].buffered() > 1_000_000


async def test_a_close_is_answered_and_nothing_is_written_after_it(serve: Serve) -> None:
    async with serve() as served, served.connected() as connection:
        await connection.send_text("bye")
        close = await connection.read_close()
        assert (close.close_code, close.close_reason) == (4000, "bye")
        writer = served.app.writers[0]
        writer.write([text_frame(b"late")])
        writer.close(4001, "again")
        assert (await served.app.ended.get())["code"] == 4000
        await connection.send_frame(CLOSE, struct.pack(">H", 4000))
        assert await connection.reader.read() == b""


async def test_a_close_frame_that_is_never_answered_ends_in_a_reset(serve: Serve) -> None:
    async with serve(QUICK) as served, served.connected() as connection:
        await connection.send_text("bye")
        assert (await connection.read_close()).close_code == 4000
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(connection.reader.read(), 5)


async def test_a_reader_that_stalls_is_reset_although_its_buffer_never_empties(serve: Serve) -> None:
    async with serve(QUICK) as served, served.connected(receive_buffer=4_096) as connection:
        await connection.send_text("flood")
        await connection.send_text("bye")
        await asyncio.wait_for(served.app.ended.get(), 5)
        await poll_until(lambda: not served.server.server_state.connections, "the connection is gone")


async def test_a_peer_that_closes_and_stalls_is_reset(serve: Serve) -> None:
    async with serve(QUICK) as served, served.connected(receive_buffer=4_096) as connection:
        await connection.send_text("flood")
        await connection.send_frame(CLOSE, struct.pack(">H", 1000))
        await asyncio.wait_for(served.app.ended.get(), 5)
        await poll_until(lambda: not served.server.server_state.connections, "the connection is gone")


async def test_the_application_hears_of_a_peer_that_vanishes(serve: Serve) -> None:
    async with serve() as served, served.connected() as connection:
        connection.abort()
        assert (await asyncio.wait_for(served.app.ended.get(), 5))["type"] == "websocket.disconnect"


async def test_stopping_lets_the_engine_close_its_connections_and_tells_the_others(serve: Serve) -> None:
    async with serve() as served, served.connected() as ours, served.connected("/plain") as other:
        stopping = asyncio.create_task(served.stop())
        close = await asyncio.wait_for(ours.read_close(), 5)
        assert (close.close_code, close.close_reason) == (3001, "shutdown")
        assert (await asyncio.wait_for(other.read_close(), 5)).close_code == 1012
        await ours.send_frame(CLOSE, struct.pack(">H", 3001))
        other.abort()
        await stopping
        served.app.writers.clear()


# Request heads

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


CHUNKED = b"POST /fields HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "request_bytes",
    [
        *(
            pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: a%cb\r\n\r\n" % byte, id=f"byte {byte:02x} in a value")
            for byte in (0x00, 0x0B, 0x0C, 0x1C, 0x7F, 0x85)
        ),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX\x85: b\r\n\r\n", id="byte 85 in a name"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", id="carriage return in a value"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", id="folded value"),
        *(
            pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n%b: a\r\n%b: b\r\n\r\n" % (name, name), id=f"two {name!r}")
            for name in (b"Host", b"Origin", b"Cookie", b"Content-Length")
        ),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 66_000 + b"\r\n\r\n", id="64 KiB of head"),
        pytest.param(b"GET /" + b"a" * 66_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", id="64 KiB of path"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 66_000, id="64 KiB of head without end"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 200 + b"\r\n", id="200 header fields"),
        pytest.param(b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", id="bytes in the path"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc", id="CL and TE"
        ),
        *(
            pytest.param(CHUNKED.replace(b"chunked", coding) + b"0\r\n\r\n", id=f"body in {coding!r}")
            for coding in (b"identity", b"xchunked", b"gzip, chunked", b"gzip", b"")
        ),
        pytest.param(UPGRADE + b"Sec-WebSocket-Version: 8\r\n\r\n", id="old version"),
        pytest.param(UPGRADE + b"Sec-WebSocket-Version: 13\r\nContent-Length: 2\r\n\r\nab", id="upgrade with a body"),
        pytest.param(
            UPGRADE + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: \xff\xfe\r\n\r\n",
            id="bytes as subprotocol",
        ),
        pytest.param(
            UPGRADE + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ｊｓｏｎ\r\n\r\n".encode(),
            id="UTF-8 as subprotocol",
        ),
        pytest.param(
            UPGRADE + b"Sec-WebSocket-Version: 13\r\nX: " + b"a" * 9_000 + b"\r\n\r\n", id="long upgrade header"
        ),
        pytest.param(UPGRADE.replace(b"ZQ==", b"") + b"Sec-WebSocket-Version: 13\r\n\r\n", id="short key"),
    ],
)
async def test_an_ambiguous_request_is_refused_and_its_connection_ended(serve: Serve, request_bytes: bytes) -> None:
    async with serve() as served:
        answer = await served.exchange(request_bytes)
        assert answer.split(b" ", 2)[1] in (b"400", b"426", b"431")
        assert served.app.writers == []


async def test_an_upgrade_is_refused_while_an_earlier_request_has_no_answer(serve: Serve) -> None:
    async with serve() as served:
        served.app.paused.clear()
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + UPGRADE + b"Sec-WebSocket-Version: 13\r\n\r\n")
        await poll_until(lambda: served.server.server_state.tasks, "the first request is at the application")
        served.app.paused.set()
        async with asyncio.timeout(5):
            assert (await reader.read()).count(b"HTTP/1.1 ") == 1
        writer.close()
        assert served.app.writers == []
        await _answers(served)


async def test_trailers_are_no_fields_of_the_request(serve: Serve) -> None:
    async with serve() as served:
        trailers = b"X-Forwarded-For: 10.0.0.1\r\nHost: b\r\n"
        answer = await served.exchange(CHUNKED + b"2\r\nok\r\n0\r\n" + trailers + b"\r\n")
        assert answer.endswith(b"\r\n\r\nhost connection transfer-encoding")


@pytest.mark.parametrize("trailers", [b"x" * 500_000, (b"X: " + b"x" * 996 + b"\r\n") * 500], ids=["one", "many"])
async def test_trailers_without_end_cost_no_memory_of_note(serve: Serve, trailers: bytes) -> None:
    async with serve() as served:
        _reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        tracemalloc.start()
        try:
            writer.write(CHUNKED + b"0\r\nX: y\r\nX: ")
            for _ in range(40):
                writer.write(trailers)
                await writer.drain()
            assert tracemalloc.get_traced_memory()[0] < 3_000_000
        finally:
            tracemalloc.stop()
            writer.transport.abort()
        await _answers(served)


async def test_a_body_that_goes_on_after_the_answer_is_answered_once(serve: Serve) -> None:
    async with serve() as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(CHUNKED.replace(b"/fields", b"/"))
        answer = await reader.readuntil(b"\r\n\r\nok")
        for _ in range(30):
            writer.write(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        async with asyncio.timeout(5):
            answer += await reader.read()
        writer.close()
        assert answer.count(b"HTTP/1.1 ") == 1


async def test_an_empty_list_of_subprotocols_is_none(serve: Serve) -> None:
    async with serve() as served, served.connected(headers={"Sec-WebSocket-Protocol": ""}) as connection:
        await connection.send_text("hi")
        assert (await connection.read_frame()).payload == b"got"


async def test_letters_in_header_values_are_fine(serve: Serve) -> None:
    async with serve() as served:
        request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Name: Müller 吉\r\n\r\n".encode()
        assert (await served.exchange(request)).startswith(b"HTTP/1.1 200 ")


async def test_an_upgrade_to_something_else_leaves_no_tunnel(serve: Serve) -> None:
    async with serve() as served:
        request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
        answer = await served.exchange(request + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert answer.count(b"HTTP/1.1") == 1
        assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_refused_handshake_is_ended(serve: Serve) -> None:
    async with serve() as served:
        with pytest.raises(HandshakeRefused) as refused:
            await RawWebSocket.connect(served.port, "/closed")
        assert refused.value.status == 403


async def test_a_handshake_refused_with_a_response_is_no_error_of_the_application(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve() as served:
        log = logging.getLogger("uvicorn.error")
        log.addHandler(caplog.handler)
        try:
            with pytest.raises(HandshakeRefused) as refused:
                await RawWebSocket.connect(served.port, "/crowded")
            await _answers(served)
        finally:
            log.removeHandler(caplog.handler)
        assert (refused.value.status, refused.value.body) == (503, b"later")
        assert refused.value.headers["retry-after"] == "1"
        assert caplog.messages == []


@pytest.mark.parametrize("head", [b"", b"GET / HT", b"\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n"])
async def test_a_head_that_dribbles_is_dropped_in_time(serve: Serve, head: bytes) -> None:
    async with serve(QUICK) as served:
        assert (await served.exchange(head)).startswith(b"HTTP/1.1 408 ")


async def test_line_breaks_between_requests_gain_no_time(serve: Serve) -> None:
    async with serve(QUICK) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")
        answer = asyncio.create_task(reader.read())
        async with asyncio.timeout(5):
            while not answer.done():
                with contextlib.suppress(ConnectionError):
                    writer.write(b"\r\n")
                    await writer.drain()
                await asyncio.wait([answer], timeout=0.05)
        assert (await answer).startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_a_request_after_a_request_has_a_deadline_of_its_own(serve: Serve) -> None:
    async with serve(QUICK) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")
        writer.write(b"GET / HT")
        assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 408 ")
        writer.close()


# Listening


def test_the_process_may_open_as_many_files_as_the_system_allows() -> None:
    code = (
        "import resource as r; hard = r.getrlimit(r.RLIMIT_NOFILE)[1]; r.setrlimit(r.RLIMIT_NOFILE, (99, hard));"
        "from hotclub.serving.server import raise_file_limit; raise_file_limit();"
        "print(r.getrlimit(r.RLIMIT_NOFILE)[0] == hard)"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_a_signal_before_the_server_listens_to_signals_is_not_lost() -> None:
    code = (
        "import signal, uvicorn, threading\n"
        "from unittest.mock import Mock\n"
        "from hotclub.conf.values import ServerLimits\n"
        "from hotclub.engine.limits import Limits\n"
        "from hotclub.serving import server\n"
        "async def app(scope, receive, send):\n"
        "    assert scope['type'] == 'lifespan'\n"
        "    for answer in ('startup', 'shutdown'):\n"
        "        await receive(); await send({'type': f'lifespan.{answer}.complete'})\n"
        "loops = uvicorn.Config.get_loop_factory\n"
        "def loop(config): signal.raise_signal(signal.SIGTERM); return loops(config)\n"
        "uvicorn.Config.get_loop_factory = loop\n"
        "settings = Mock(limits=Limits(), server=ServerLimits(), trusted_proxies=())\n"
        "server.run(app, listener=server.listen('127.0.0.1', 0), settings=settings)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, timeout=30, check=False)
    assert done.returncode == 0


def test_a_taken_port_is_told_in_one_line() -> None:
    with contextlib.closing(listen("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        with pytest.raises(CannotListen) as raised:
            listen("127.0.0.1", port)
    assert str(raised.value) == f"Cannot listen on 127.0.0.1:{port}: Address already in use."


def test_an_unknown_host_is_told_in_one_line() -> None:
    with pytest.raises(CannotListen, match=r"^Cannot listen on nowhere\.invalid:80: .+\.$"):
        listen("nowhere.invalid", 80)


@pytest.mark.parametrize("port", [-1, 65_536, 70_000])
def test_a_number_that_is_no_port_is_told_in_one_line(port: int) -> None:
    with pytest.raises(CannotListen, match=rf"^Cannot listen on 127\.0\.0\.1:{port}: a port is a number"):
        listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "localhost"])
def test_every_kind_of_address_can_be_listened_on(host: str) -> None:
    if ":" in host and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with contextlib.closing(listen(host, 0)) as listener:
        assert listener.getsockname()[1] > 0
