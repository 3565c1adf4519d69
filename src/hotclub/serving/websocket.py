"""uvicorn's WebSocket protocol class, with bounds on buffered bytes and a synchronous way to write frames.

- A WebSocket connection is the `FrameWriter` in its own scope: the fan-out hands whole frames to the transport, without
  a coroutine, a queue or another encoding.
- The bounds of `Limits` apply to each frame header and fragment. A peer that does not answer a close frame meets a
  deadline.
- A server that stops lets the engine close its connections with 3001, so that the clients reconnect.

The class relies on uvicorn's internals; `tests/hotclub/serving/test_server.py` tests the behaviour. A method without a
docstring overrides uvicorn's, or belongs to the protocol that the section's heading names.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final
from zlib import MAX_WBITS

from uvicorn import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import State

from hotclub.engine.limits import Limits, TokenBucket
from hotclub.engine.observe import report
from hotclub.engine.transports.websocket import WRITER
from hotclub.runtime.waiting import Gate, Mailbox
from hotclub.serving.frames import FrameParser
from hotclub.serving.sockets import REFUSED, address_of, give_up_after, reset
from hotclub.serving.upgrade import Fields, Ordinary, ordinary, request_of, websocket_scope

_SLICE: Final = 8_192
"""Bytes parsed at a time; the rest waits unparsed, because tiny frames take a hundred times their size once parsed."""

_DEFLATED_SLICE: Final = 512
"""Bytes parsed at a time where frames may be compressed: a compressed kilobyte may take a megabyte once parsed."""

_QUEUED: Final = 32
"""The most unread messages of the application. At this number the socket is read no further."""

_CONTROL_RATE: Final = 10.0
_CONTROL_BURST: Final = 100

_LOGGER: Final = logging.getLogger("uvicorn.error")
_ENDED: Final = "Ended a connection"


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket connection, and the `FrameWriter` that the engine finds in its scope."""

    # The slots include the base class's attributes: a dictionary of them would take 1.2 KiB per idle connection. An
    # attribute that is missing here goes into a dictionary and works, too.
    __slots__ = (
        *(
            "_compression",
            "_control",
            "_failed",
            "_ordinary",
            "_unparsed",
            "app",
            "app_state",
            "asgi_version",
            "client",
        ),
        *(
            "close_sent",
            "close_timeout",
            "close_timer",
            "config",
            "conn",
            "connections",
            "curr_msg_data_type",
            "default_headers",
        ),
        *("deflates", "disconnected", "frames", "handshake_complete", "handshake_initiated", "initial_response"),
        *("last_ping_rtt", "logger", "loop", "on_lost", "on_shutdown", "pending_ping_payload", "ping_interval"),
        *("ping_sent_at", "ping_timeout", "ping_timer", "pong_timer", "queue", "read_paused", "request", "response"),
        *("root_path", "scheme", "scope", "server", "tasks", "transport", "writable"),
    )

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: Limits,
        compression: bool = False,
    ) -> None:
        # The base class's own __init__ would make a parser, a queue and an event, which the next lines replace.
        self.config, self.app, self.app_state = config, config.loaded_app, app_state
        self.loop = _loop or asyncio.get_event_loop()
        self.logger, self.root_path, self.asgi_version = _LOGGER, config.root_path, config.asgi_version
        self.connections, self.tasks = server_state.connections, server_state.tasks
        self.default_headers = server_state.default_headers
        self.handshake_initiated = self.handshake_complete = self.close_sent = self.disconnected = False
        self.close_timer = self.ping_timer = self.pong_timer = self.initial_response = None
        self.close_timeout = limits.close_timeout
        self.read_paused = False
        self.ping_interval, self.ping_timeout = config.ws_ping_interval, config.ws_ping_timeout
        self.pending_ping_payload, self.ping_sent_at, self.last_ping_rtt = None, 0.0, 0.0
        self.frames, self.curr_msg_data_type = [], "bytes"
        self.conn: FrameParser = FrameParser(limits, compression=compression)
        # asyncio's queue and event take more memory per idle connection.
        self.queue = Mailbox()  # type: ignore[assignment]
        self.writable = Gate()  # type: ignore[assignment]
        self.on_shutdown: Callable[[], None] | None = None
        self.on_lost: Callable[[], None] | None = None
        self.deflates = False
        self._compression = compression
        self._ordinary: Ordinary | None = None
        self._unparsed = bytearray()
        self._failed = False
        self._control: TokenBucket | None = None

    # FrameWriter

    def expect_reader(self, seconds: float) -> None:
        give_up_after(self.transport, seconds)

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

    def take_over(self, http: Any, url: bytes, fields: Fields) -> None:
        """Go on with a connection whose request asks for a WebSocket.

        Args:
            http: the `HttpProtocol` of the connection.
            url: the path and the query of the request.
            fields: the header fields of the request.
        """
        self.transport, self.server, self.client = http.transport, http.server, http.client
        self.scheme = "wss" if http.scheme == "https" else "ws"
        self.connections.add(self)
        method, version = http.scope["method"], http.scope["http_version"]
        self._ordinary = ordinary(method, version, fields, compression=self._compression)
        if self._ordinary is None:
            self.handle_connect(request_of(url, fields, method, version))
            return
        self.handshake_initiated = True
        self.scope = websocket_scope(http.scope, url, self.scheme, self._ordinary, {WRITER: self})
        self.queue.put_nowait({"type": "websocket.connect"})
        task = self.loop.create_task(self.run_asgi())
        task.add_done_callback(self.on_task_complete)
        self.tasks.add(task)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[WRITER] = self
            self.deflates = self.conn.window_bits == MAX_WBITS
        else:
            report(REFUSED, status=int(self.response.status_code), address=address_of(self.client))

    def _accept(self, message: Any) -> bool:
        """Send the response of an ordinary handshake. Return whether the message is done."""
        handshake, self._ordinary = self._ordinary, None
        if handshake is None or self.handshake_complete or self.initial_response is not None:
            return False
        if message.get("headers") or message["type"] != "websocket.accept" or self.transport.is_closing():
            self.response = handshake.response()
            return False
        self.handshake_complete = True
        self.conn.state = State.OPEN
        self.transport.write(handshake.head(self.default_headers, message.get("subprotocol")))
        self.start_keepalive()
        return True

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
            size = _DEFLATED_SLICE if self._compression else _SLICE
            piece = bytes(self._unparsed[:size])
            del self._unparsed[:size]
            if not self._failed:
                super().data_received(piece)
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

    def connection_lost(self, exc: Exception | None) -> None:
        if self.on_lost is not None:
            self.on_lost()
        super().connection_lost(exc)

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
            address = address_of(self.client)
            report(_ENDED, code=int(sent.code), reason=sent.reason, path=self.scope["path"], address=address)
        self.close_sent = True
        self.transport.write(b"".join(self.conn.data_to_send()))
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()
            self._reset_later()
        else:
            self.transport.close()

    async def send(self, message: Any) -> None:
        if self._ordinary is not None and self.writable.is_set() and not self.disconnected and self._accept(message):
            return
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
        self.close_timer = self.loop.call_later(self.close_timeout, reset, self.transport)
