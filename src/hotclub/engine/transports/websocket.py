"""The WebSocket transport, on the ASGI interface (ASGI WebSocket spec 2.4) and beside it.

A server that offers `scope["extensions"]["hotclub.writer"]` takes ready-made frames synchronously; on any other the
same outbox drains through ASGI `send`.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final, Protocol

from hotclub.engine.application import Handshake
from hotclub.engine.dispatch import Dispatcher
from hotclub.engine.errors import Disconnect, disconnect
from hotclub.engine.exchange import Exchange
from hotclub.engine.outbox import Flusher
from hotclub.engine.protocol.base import Encoder
from hotclub.engine.protocol.connection import State
from hotclub.engine.pulse import Pulse
from hotclub.engine.session import Session

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

WRITER: Final = "hotclub.writer"
_PROTOBUF: Final = "centrifuge-protobuf"
"""What a client offers that would understand nothing of our JSON; it must learn that before the upgrade."""
_TOO_BIG: Final = Disconnect(1009, "message too big")


class FrameWriter(Protocol):
    """A server's synchronous way out, given in `scope["extensions"]["hotclub.writer"]`.

    `on_shutdown` is set by the transport and called by the server when it stops, in place of its own close frame.
    """

    on_shutdown: Callable[[], None] | None

    def write(self, frames: Sequence[bytes]) -> None:
        """Hand over ready-made frames; ignored while closing."""
        ...

    def buffered(self) -> int:
        """Bytes the kernel has not taken yet."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Send a close frame, and reset the connection when the peer does not answer in time."""
        ...


class Host(Protocol):
    """What a node gives to its transports."""

    exchange: Exchange
    flusher: Flusher
    pulse: Pulse[Session]
    frame_encoder: Encoder
    message_encoder: Encoder
    version: str
    connections: int
    """Transports that are open, also those whose connect command is not finished."""


class WriterLine:
    """A line to a server that takes ready-made frames."""

    def __init__(self, writer: FrameWriter, encoder: Encoder) -> None:
        self.encoder = encoder
        self.write = writer.write
        self.buffered = writer.buffered
        self._writer = writer

    def close(self, reason: Disconnect) -> None:
        self._writer.close(reason.code, reason.reason)


class AsgiLine:
    """A line through ASGI `send`: a task drains what was written, as long as there is something."""

    def __init__(self, send: Send, encoder: Encoder, close_timeout: float) -> None:
        self.encoder = encoder
        self._send = send
        self._close_timeout = close_timeout
        self._messages: list[bytes] = []
        self._size = 0
        self._task: asyncio.Task[None] | None = None
        self._reason: Disconnect | None = None

    def write(self, frames: Sequence[bytes]) -> None:
        self._messages.extend(frames)
        self._size += sum(map(len, frames))
        self._wake()

    def buffered(self) -> int:
        return self._size

    def close(self, reason: Disconnect) -> None:
        self._reason = reason
        self._wake()

    def _wake(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        try:
            while self._messages:
                batch, self._messages = self._messages, []
                await self._send({"type": "websocket.send", "text": b"\n".join(batch).decode()})
                self._size -= sum(map(len, batch))
            if self._reason is not None:
                reason, self._reason = self._reason, None
                await self._send({"type": "websocket.close", "code": reason.code, "reason": reason.reason})
        except Exception:  # noqa: BLE001 - servers differ in what they raise for a peer that is gone
            # The receiving side hears of it too, and ends the session.
            self._messages.clear()
        finally:
            self._task = None

    async def stop(self) -> None:
        """Give what is written some time to leave, then let go."""
        if self._task is not None:
            task = self._task
            await asyncio.wait((task,), timeout=self._close_timeout)
            task.cancel()


async def serve_websocket(host: Host, scope: Scope, receive: Receive, send: Send, handshake: Handshake) -> None:
    """Run one connection from its handshake to its end.

    The caller has checked the origin. Cancellation ends the connection; everything is undone before this returns or
    raises.
    """
    await receive()
    if _PROTOBUF in (scope.get("subprotocols") or ()):
        await _refuse(scope, send, 400, b"this server speaks JSON only\n")
        return
    if host.connections - host.exchange.hub.num_clients >= host.exchange.limits.unauthenticated_connections:
        await _refuse(scope, send, 503, b"too many connections are waiting\n", (b"retry-after", b"10"))
        return
    await send({"type": "websocket.accept"})
    host.connections += 1
    host.exchange.counters.connections += 1
    try:
        writer: FrameWriter | None = (scope.get("extensions") or {}).get(WRITER)
        if writer is None:
            await _serve_asgi(host, receive, send, handshake)
        else:
            await _serve_writer(host, writer, receive, handshake)
    finally:
        host.connections -= 1


async def _refuse(scope: Scope, send: Send, status: int, why: bytes, *headers: tuple[bytes, bytes]) -> None:
    """Refuse the handshake with an HTTP status; a plain refusal where the server cannot say so."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1013})
        return
    fields = [*headers, (b"content-type", b"text/plain")]
    await send({"type": "websocket.http.response.start", "status": status, "headers": fields})
    await send({"type": "websocket.http.response.body", "body": why})


async def _serve_writer(host: Host, writer: FrameWriter, receive: Receive, handshake: Handshake) -> None:
    line = WriterLine(writer, host.frame_encoder)
    session = Session(host.exchange, host.flusher, host.pulse, line, handshake, version=host.version)
    writer.on_shutdown = lambda: session.close(disconnect(3001))
    try:
        await _run(session, receive)
    finally:
        writer.on_shutdown = None


async def _serve_asgi(host: Host, receive: Receive, send: Send, handshake: Handshake) -> None:
    line = AsgiLine(send, host.message_encoder, host.exchange.limits.close_timeout)
    session = Session(host.exchange, host.flusher, host.pulse, line, handshake, version=host.version)
    try:
        await _run(session, receive)
    finally:
        await line.stop()


async def _run(session: Session, receive: Receive) -> None:
    dispatcher = Dispatcher(session)
    timeout = session.exchange.limits.connect_timeout
    deadline = asyncio.get_running_loop().call_later(timeout, _end_stale, session)
    try:
        await _read(session, dispatcher, receive)
    finally:
        deadline.cancel()
        session.lost()
        await dispatcher.stop()
        await session.end()


def _end_stale(session: Session) -> None:
    if session.state is not State.CONNECTED:
        session.close(disconnect(3502))


async def _read(session: Session, dispatcher: Dispatcher, receive: Receive) -> None:
    most = session.exchange.limits.message_bytes
    while True:
        message = await receive()
        if message["type"] != "websocket.receive":
            return
        text = message.get("text")
        frame: bytes = message["bytes"] if text is None else text.encode()
        if text is None:
            # The JSON protocol is text (protocol §1.1).
            session.close(disconnect(3501))
        elif len(frame) > most:
            session.close(_TOO_BIG)
        else:
            dispatcher.receive(frame)
