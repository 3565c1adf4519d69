"""uvicorn's protocol classes, with bounds on buffered bytes and a synchronous way to write frames.

- A WebSocket connection is the `FrameWriter` in its own scope: the fan-out hands whole frames to the transport, without
  a coroutine, a queue or another encoding.
- The bounds of `Limits` apply to each frame header, fragment and request head. A peer that sends a request head slowly
  or does not answer a close frame meets a deadline.
- A server that stops lets the engine close its connections with 3001, so that the clients reconnect.

The classes rely on uvicorn's internals; `tests/hotclub/serving/test_server.py` tests the behaviour. A method without a
docstring overrides uvicorn's, or belongs to the protocol that the section's heading names.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final
from zlib import MAX_WBITS

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from hotclub.engine.limits import Limits, TokenBucket
from hotclub.engine.observe import report
from hotclub.engine.transports.base import SHUTDOWN
from hotclub.engine.transports.websocket import WRITER
from hotclub.runtime.waiting import Gate, Mailbox
from hotclub.serving.frames import FrameParser

_HEAD_BYTES: Final = 65_536
_HEADERS: Final = 128
_SINGLE: Final = frozenset({b"host", b"origin", b"cookie", b"content-length", b"authorization"})
"""Header fields that a request may have only once. Of a repeated field a proxy could read another one than this
server."""

_SLICE: Final = 8_192
"""Bytes parsed at a time; the rest waits unparsed, because tiny frames take a hundred times their size once parsed."""

_DEFLATED_SLICE: Final = 512
"""Bytes parsed at a time where frames may be compressed: a compressed kilobyte may take a megabyte once parsed."""

_QUEUED: Final = 32
"""The most unread messages of the application. At this number the socket is read no further."""

_CONTROL_RATE: Final = 10.0
_CONTROL_BURST: Final = 100

_ENDED: Final = "Ended a connection"
_REFUSED: Final = "Refused a request"


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket connection, and the `FrameWriter` that the engine finds in its scope."""

    # The slots include the base class's attributes: a dictionary of them would take 1.2 KiB per idle connection. An
    # attribute that is missing here goes into a dictionary and works, too.
    __slots__ = (
        *("_control", "_failed", "_slice", "_unparsed", "app", "app_state", "asgi_version", "client", "close_sent"),
        *("close_timeout", "close_timer", "config", "conn", "connections", "curr_msg_data_type", "default_headers"),
        *("deflates", "disconnected", "frames", "handshake_complete", "handshake_initiated", "initial_response"),
        *("last_ping_rtt", "logger", "loop", "on_shutdown", "pending_ping_payload", "ping_interval", "ping_sent_at"),
        *("ping_timeout", "ping_timer", "pong_timer", "queue", "read_paused", "request", "response", "root_path"),
        *("scheme", "scope", "server", "tasks", "transport", "writable"),
    )

    def __init__(self, *args: Any, limits: Limits, compression: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn: FrameParser = FrameParser(limits, compression=compression)
        # asyncio's queue and event take more memory per idle connection.
        self.queue = Mailbox()  # type: ignore[assignment]
        self.writable = Gate()  # type: ignore[assignment]
        self.close_timeout = limits.close_timeout
        self.on_shutdown: Callable[[], None] | None = None
        self.deflates = False
        self._unparsed = bytearray()
        self._slice = _DEFLATED_SLICE if compression else _SLICE
        self._failed = False
        self._control: TokenBucket | None = None

    # FrameWriter

    def expect_reader(self, seconds: float) -> None:
        _give_up_after(self.transport, seconds)

    def write(self, frames: Sequence[bytes]) -> None:
        if not self.close_sent and not self.transport.is_closing():
            self.transport.write(frames[0] if len(frames) == 1 else b"".join(frames))

    def buffered(self) -> int:
        return self.transport.get_write_buffer_size()

    def close(self, code: int, reason: str) -> None:
        if self.close_sent or self.transport.is_closing():
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self._reset_later()
        self._parse()

    # Opening

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[WRITER] = self
            self.deflates = self.conn.window_bits == MAX_WBITS
        else:
            report(_REFUSED, status=int(self.response.status_code), address=_address(self.client))

    # Receiving

    def data_received(self, data: bytes) -> None:
        self._unparsed += data
        self._parse()

    async def receive(self) -> Any:
        message = await self.queue.get()
        if self.read_paused and self.queue.qsize() < _QUEUED:
            self._parse()
        return message

    def _parse(self) -> None:
        """Parse the received bytes until too many messages wait for the application."""
        while self._unparsed and (self.close_sent or self.queue.qsize() < _QUEUED):
            piece = bytes(self._unparsed[: self._slice])
            del self._unparsed[: self._slice]
            if not self._failed:
                super().data_received(piece)
                if self.conn.handshake_exc is not None and not self.handshake_initiated:
                    self._refuse_handshake()
        self._pause(bool(self._unparsed) or (not self.close_sent and self.queue.qsize() >= _QUEUED))

    def _pause(self, pause: bool) -> None:
        if pause == self.read_paused or self.transport.is_closing():
            return
        self.read_paused = pause
        if pause:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def send_receive_event_to_app(self) -> None:
        data = b"".join(self.frames)
        self.frames = []
        if self.close_sent:
            return
        if self.curr_msg_data_type == "bytes":
            self.queue.put_nowait({"type": "websocket.receive", "bytes": data})
            return
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self._fail(1007, "invalid UTF-8")
        else:
            self.queue.put_nowait({"type": "websocket.receive", "text": text})

    def handle_ping(self) -> None:
        if not self._failed:
            super().handle_ping()
            self._count_control()

    def handle_pong(self, event: Frame) -> None:
        super().handle_pong(event)
        if not self._failed:
            self._count_control()

    def _count_control(self) -> None:
        now = self.loop.time()
        if self._control is None:
            self._control = TokenBucket(_CONTROL_RATE, _CONTROL_BURST, now)
        if not self._control.take(now):
            self._fail(1008, "too many control frames")

    # Ending

    def _refuse_handshake(self) -> None:
        self._failed = True
        _refuse(self.transport, self.client, b"400 Bad Request", b"".join(self.conn.data_to_send()))

    def _fail(self, code: int, reason: str) -> None:
        self.conn.fail(code, reason)
        self.handle_parser_exception()

    def handle_parser_exception(self) -> None:
        """The peer broke the WebSocket protocol: send a close frame, and give the peer time to read it.

        Closing the socket at once would reset a peer that is still sending, and the peer would lose the close frame.
        """
        if self._failed:
            return
        self._failed = True
        if not self.close_sent and self.conn.close_sent is not None:
            sent = self.conn.close_sent
            self.queue.put_nowait({"type": "websocket.disconnect", "code": sent.code, "reason": sent.reason})
            address = _address(self.client)
            report(_ENDED, code=int(sent.code), reason=sent.reason, path=self.scope["path"], address=address)
        self.close_sent = True
        self.transport.write(b"".join(self.conn.data_to_send()))
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()
            self._reset_later()
        else:
            self.transport.close()

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.accept":
            # The headers take kilobytes and are not read again. The parser refers to the same request.
            self.request.headers.clear()
            self.request = self.response = None  # type: ignore[assignment]
        elif message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            # Otherwise the base class logs that the application did not finish the handshake.
            self.handshake_complete = True
        if self.close_timer is not None:
            self._reset_later()
            self._parse()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        self._reset_unless_flushed()

    def send_keepalive_ping(self) -> None:
        # The engine sends pings of its own protocol. Two heartbeats would double the cost of an idle connection.
        if self.on_shutdown is None:
            super().send_keepalive_ping()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._reset_unless_flushed()

    def shutdown(self) -> None:
        if self.on_shutdown is not None and not self.close_sent:
            self.stop_keepalive()
            self.on_shutdown()
            return
        super().shutdown()
        self._reset_unless_flushed()

    def _reset_unless_flushed(self) -> None:
        """Set a deadline for a closing transport with unsent bytes, which would wait for its peer without end."""
        if self.transport.is_closing() and self.transport.get_write_buffer_size() > 0:
            self._reset_later()

    def _reset_later(self) -> None:
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(self.close_timeout, _reset, self.transport)


class HttpProtocol(HttpToolsProtocol):
    """One HTTP connection, which may become a WebSocket. It bounds the size and the time of a request head, and refuses
    an ambiguous one."""

    def __init__(self, *args: Any, limits: Limits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on_shutdown: Callable[[], None] | None = None
        self._head_timeout = limits.connect_timeout
        self._head_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        cycle: RequestResponseCycle | None = self.cycle
        if self._deadline is None and (cycle is None or cycle.response_complete):
            self._expect_head()
        self._head_bytes += len(data)
        super().data_received(data)
        if self._deadline is not None and self._head_bytes > _HEAD_BYTES and not self.transport.is_closing():
            self._refuse(b"431 Request Header Fields Too Large")

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if len(self.headers) > _HEADERS:
            raise ValueError("too many header fields")

    def on_headers_complete(self) -> None:
        self._end_head()
        self._check_head()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope.setdefault("extensions", {})[SHUTDOWN] = self
        super().on_headers_complete()

    def shutdown(self) -> None:
        if self.on_shutdown is not None:
            self.on_shutdown()
        super().shutdown()

    def expect_reader(self, seconds: float) -> None:
        _give_up_after(self.transport, seconds)

    def _check_head(self) -> None:
        """Refuse a request head that two parsers could read differently.

        Raises:
            ValueError: the head is ambiguous or too large. The base class answers with 400.
        """
        names = [name for name, _value in self.headers]
        for name in _SINGLE:
            if names.count(name) > 1:
                raise ValueError("a header field is repeated")
        if sum(len(name) + len(value) for name, value in self.headers) + len(self.url) > _HEAD_BYTES:
            raise ValueError("the request head is too large")
        for _name, value in self.headers:
            # Raises UnicodeDecodeError, a ValueError. A byte from 80 to 9F is a control character in Latin-1 and a part
            # of a letter in UTF-8.
            value.decode()
        if self.parser.should_upgrade() and (b"content-length" in names or b"transfer-encoding" in names):
            raise ValueError("an upgrade has a body")

    def _unsupported_upgrade_warning(self) -> None:
        # The following bytes belong to a protocol that this server does not speak.
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def _expect_head(self) -> None:
        self._head_bytes = 0
        self._deadline = self.loop.call_later(self._head_timeout, self._refuse, b"408 Request Timeout")

    def _end_head(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, status: bytes) -> None:
        self._end_head()
        if not self.transport.is_closing():
            _refuse(self.transport, self.client, status)


def _address(client: tuple[str, int] | None) -> str:
    return client[0] if client else ""


def _refuse(transport: asyncio.Transport, client: tuple[str, int] | None, status: bytes, answer: bytes = b"") -> None:
    """Answer a request with this status and close its connection. A nonempty `answer` is sent as the whole response."""
    report(_REFUSED, status=int(status[:3]), address=_address(client))
    transport.write(answer or b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
    transport.close()


def _reset(transport: asyncio.Transport) -> None:
    """Reset a connection and drop its unsent bytes."""
    # With a linger time of 0 the kernel drops the connection at once and does not wait for an absent peer.
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _give_up_after(transport: asyncio.Transport, seconds: float) -> None:
    """Have the kernel reset the connection once sent bytes stay unacknowledged for these seconds. Works on Linux only
    (TCP_USER_TIMEOUT)."""
    connection = transport.get_extra_info("socket")
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if transport.is_closing() or connection is None or option is None:
        return
    if connection.family in (socket.AF_INET, socket.AF_INET6):
        # uvloop's sockets raise ValueError once they are closed.
        with contextlib.suppress(OSError, ValueError):
            connection.setsockopt(socket.IPPROTO_TCP, option, int(seconds * 1_000))
