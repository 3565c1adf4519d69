"""uvicorn's HTTP protocol class with bounds: on connections, request heads, pipelines, unread bodies and slow readers.

`serving/bodies.py` bounds the bodies that an application reads. The class relies on uvicorn's internals;
`tests/hotclub/serving/test_server.py` tests the behaviour. A method without a docstring overrides uvicorn's.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from hotclub.conf.values import ServerLimits
from hotclub.engine.limits import Limits
from hotclub.engine.transports.base import LOOK_AGAIN, SHUTDOWN
from hotclub.serving.door import LOOKS, RETRY_AFTER, Door, Pass
from hotclub.serving.heads import HEAD_BYTES, check_head
from hotclub.serving.sockets import Reader, address_of, give_up_after, refuse, reset

_PIPELINED: Final = 16
"""The most requests of a connection that wait for the answer to an earlier one. Browsers and proxies send none."""
_TURN_AWAY: Final = 1.0
"""Seconds in which a connection that is turned away must send its request to be told so."""
_FULL: Final = b"503 Service Unavailable\r\nretry-after: %d" % RETRY_AFTER


class _Upgrading(HttpToolsProtocol):
    """One HTTP connection, which the WebSocket protocol class takes over where its request asks for that."""

    _pass: Pass | None = None
    _asks: bool | None = None
    """Whether the present request asks for a WebSocket; None before the first look."""

    def handle_websocket_upgrade(self) -> None:
        self.connections.discard(self)
        make: Any = self.ws_protocol_class
        protocol = make(config=self.config, server_state=self.server_state, app_state=self.app_state, _loop=self.loop)
        if self._pass is not None:
            self._pass.never_silent()
            protocol.on_lost = self._pass.leave
        self.transport.set_protocol(protocol)
        protocol.take_over(self, self.url, self.headers)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._asks = None

    def _should_upgrade(self) -> bool:
        # The base class asks four times for each request.
        if self._asks is None:
            self._asks = super()._should_upgrade()
        return self._asks

    def _unsupported_upgrade_warning(self) -> None:
        # The following bytes belong to a protocol that this server does not speak.
        if self.cycle is not None:
            self.cycle.keep_alive = False


class HttpProtocol(_Upgrading):
    """One HTTP connection, which may become a WebSocket. It refuses an ambiguous request head."""

    def __init__(
        self, *args: Any, limits: Limits, server: ServerLimits | None = None, door: Door | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.on_shutdown: Callable[[], None] | None = None
        self._limits = limits
        self._bounds = server or ServerLimits()
        self._door = Door(self._bounds) if door is None else door
        self._waits = False
        self._head_bytes = 0
        """The bytes of the present request head, or since the last byte of a body."""
        self._deadline: asyncio.TimerHandle | None = None
        self._unread = False
        """Whether the body of the last request has not come to its end."""
        self._keeps_alive = True
        self._deaf = False

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._reader = Reader(self.loop, transport, address_of(self.client), self._bounds)
        self._pass = self._door.enter(self, address_of(self.client))
        if self._pass is not None:
            self._expect_head()
        elif self._door.may_wait():
            self._waits = True
            self._deadline = self.loop.call_later(_TURN_AWAY, reset, transport)
        else:
            reset(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        self._reader.stop()
        if self._waits:
            self._door.waits_no_more()
        if self._pass is not None:
            self._pass.leave()
        super().connection_lost(exc)

    def drop(self) -> None:
        """See `Visitor.drop`."""
        if self._pass is not None:
            self._pass.leave()
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None:
            # Its client may be about to send the first request, and is told when to come back.
            self._refuse(_FULL)
        elif self._deadline is not None:
            self._refuse(b"408 Request Timeout")
        else:
            self.transport.close()

    def shutdown(self) -> None:
        if self.on_shutdown is not None:
            self.on_shutdown()
        super().shutdown()
        self._reader.watch_if_closing()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._reader.watch_if_closing()

    # The request head

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._pass is None:
            self._deaf = True
            refuse(self.transport, self.client, _FULL)
            return
        cycle: RequestResponseCycle | None = self.cycle
        if self._deadline is None and not self._unread and (cycle is None or cycle.response_complete):
            self._expect_head()
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes <= HEAD_BYTES or self.transport.is_closing():
            return
        if self._unread:
            # The parser keeps trailers in memory. A body that comes no further meets its deadline.
            self._deaf, self.cycle.keep_alive = True, False
        elif self._deadline is not None:
            self._refuse(b"431 Request Header Fields Too Large")

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= _PIPELINED:
            raise ValueError("too many requests wait for the answer to an earlier one")
        self._end_head()
        upgrades = self.parser.should_upgrade()
        earlier: RequestResponseCycle | None = self.cycle
        check_head(self.url, self.headers, upgrades=upgrades)
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope.setdefault("extensions", {})[SHUTDOWN] = self
        super().on_headers_complete()
        if upgrades and self._should_upgrade():
            if earlier is not None and not earlier.response_complete:
                raise ValueError("a request for a WebSocket does not wait for the answer to an earlier one")
        else:
            # The base class appends trailers, which no proxy and no `check_head` has judged, to these fields. The scope
            # keeps the fields of the head.
            self.headers, self._head_bytes = [], 0
            # Closing the socket upon an early answer would reset a client that still sends, and it would lose the
            # answer. A client that waits for 100 Continue sends nothing.
            self._unread, self._keeps_alive = True, self.cycle.keep_alive
            self.cycle.keep_alive = not self.expect_100_continue

    def send_400_response(self, msg: str) -> None:
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            super().send_400_response(msg)
            self._reader.watch_if_closing()
            return
        # A second answer within one that is under way would be taken for a part of it.
        self._deaf, cycle.keep_alive = True, False

    def _expect_head(self) -> None:
        self._head_bytes = 0
        if self._pass is not None:
            self._pass.falls_silent()
        self._deadline = self.loop.call_later(self._limits.connect_timeout, self._overdue, LOOKS)

    def _overdue(self, looks: int) -> None:
        """Give the request head up, unless the loop reads the rest of it before the last look."""
        if looks:
            self._deadline = self.loop.call_later(LOOK_AGAIN, self._overdue, looks - 1)
        else:
            self._refuse(b"408 Request Timeout")

    def _end_head(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._pass is not None:
            self._pass.speaks()

    def _refuse(self, status: bytes) -> None:
        self._end_head()
        if not self.transport.is_closing():
            refuse(self.transport, self.client, status)
            self._reader.watch_if_closing()

    # The body

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if not self._unread:
            return
        self._unread, cycle = False, self.cycle
        cycle.keep_alive = self._keeps_alive and (cycle.keep_alive or not cycle.response_started)
        if cycle.response_complete:
            self._end_head()
            if not cycle.keep_alive:
                self.transport.close()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._unread and self.cycle.response_complete:
            # The rest of the body is read and dropped, for so long.
            self._deadline = self.loop.call_later(self._limits.close_timeout, reset, self.transport)
        elif not self.pipeline and self._pass is not None:
            self._pass.falls_silent()
        self._reader.watch_if_closing()

    # The reader

    def expect_reader(self, seconds: float) -> None:
        """See `Stoppable.expect_reader`."""
        give_up_after(self.transport, seconds)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reader.watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._reader.stop()
