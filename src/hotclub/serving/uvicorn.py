"""uvicorn's HTTP protocol class, with bounds on the size and the time of a request head.

The class relies on uvicorn's internals; `tests/hotclub/serving/test_server.py` tests the behaviour. A method without a
docstring overrides uvicorn's, or belongs to the protocol that the section's heading names.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from hotclub.engine.limits import Limits
from hotclub.engine.transports.base import SHUTDOWN
from hotclub.serving.sockets import give_up_after, refuse

_HEAD_BYTES: Final = 65_536
_HEADERS: Final = 128
_BODY: Final = frozenset({b"content-length", b"transfer-encoding"})
_UPGRADE_BYTES: Final = 8_192
"""The most bytes of a header field of a WebSocket handshake. Each connection keeps its fields."""
_SINGLE: Final = frozenset({b"host", b"origin", b"cookie", b"content-length", b"authorization"})
"""Header fields that a request may have only once. Of a repeated field a proxy could read another one than this
server."""


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

    def handle_websocket_upgrade(self) -> None:
        self.connections.discard(self)
        make: Any = self.ws_protocol_class
        protocol = make(config=self.config, server_state=self.server_state, app_state=self.app_state, _loop=self.loop)
        self.transport.set_protocol(protocol)
        protocol.take_over(self, self.url, self.headers)

    def shutdown(self) -> None:
        if self.on_shutdown is not None:
            self.on_shutdown()
        super().shutdown()

    def expect_reader(self, seconds: float) -> None:
        give_up_after(self.transport, seconds)

    def _check_head(self) -> None:
        """Refuse a request head that two parsers could read differently.

        Raises:
            ValueError: the head is ambiguous or too large. The base class answers with 400.
        """
        seen: set[bytes] = set()
        size = len(self.url)
        for name, value in self.headers:
            if name in seen and name in _SINGLE:
                raise ValueError("a header field is repeated")
            seen.add(name)
            size += len(name) + len(value)
            # Raises UnicodeDecodeError, a ValueError. A byte from 80 to 9F is a control character in Latin-1 and a part
            # of a letter in UTF-8.
            value.decode()
        if size > _HEAD_BYTES:
            raise ValueError("the request head is too large")
        if self.parser.should_upgrade():
            if not seen.isdisjoint(_BODY):
                raise ValueError("an upgrade has a body")
            if size > _UPGRADE_BYTES and any(len(value) > _UPGRADE_BYTES for _name, value in self.headers):
                raise ValueError("a field of an upgrade is too long")

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
            refuse(self.transport, self.client, status)
