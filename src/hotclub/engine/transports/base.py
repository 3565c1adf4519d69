"""What transports share: the ASGI types, what a node gives to them, and a line that drains through ASGI `send`."""

import asyncio
import contextlib
import hmac
import math
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from hotclub.engine.channels import Exchange
from hotclub.engine.codes import Close
from hotclub.engine.dispatch import Dispatcher
from hotclub.engine.errors import Disconnect
from hotclub.engine.outbox import Flusher
from hotclub.engine.port import Handshake
from hotclub.engine.protocol.base import Encoder
from hotclub.engine.protocol.connection import State
from hotclub.engine.pulse import Pulse
from hotclub.engine.session import Kind, Line, Session

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
ASGIApplication = Callable[..., Awaitable[None]]
"""Loose, because every framework types the three arguments in its own way."""


class Asgi(NamedTuple):
    """What an ASGI server calls an application with, for functions that hand all three on."""

    scope: Scope
    receive: Receive
    send: Send


SHUTDOWN: Final = "hotclub.shutdown"


class Stoppable(Protocol):
    """A server that, given in `scope["extensions"]["hotclub.shutdown"]`, says when it stops, and waits a little."""

    on_shutdown: Callable[[], None] | None

    def expect_reader(self, seconds: float) -> None:
        """Reset the connection once its peer has taken nothing of what was sent for so long; 0 takes it back."""
        ...


@contextlib.contextmanager
def told_of_shutdown(server: Stoppable | None, session: Session) -> Iterator[None]:
    """Say goodbye (3001) when the server stops, and notice a peer that is gone even if it answers no pings."""
    if server is None:
        yield
        return
    limits = session.exchange.limits
    server.on_shutdown = lambda: session.close(Disconnect(Close.SHUTDOWN))
    server.expect_reader(limits.ping_interval + limits.pong_timeout)
    try:
        yield
    finally:
        server.on_shutdown = None
        server.expect_reader(0)


@dataclass(frozen=True, slots=True)
class Encoders:
    """One encoder per form of the wire, so that all connections of a form share encoded messages.

    "frames" are ready-made WebSocket frames, "deflated" the same for connections that have agreed on compression, and
    "messages" what an ASGI server frames itself.
    """

    json_frames: Encoder
    json_deflated: Encoder
    json_messages: Encoder
    protobuf_frames: Encoder
    protobuf_deflated: Encoder
    protobuf_messages: Encoder
    json_lines: Encoder
    protobuf_stream: Encoder
    events: Encoder
    uni_frames: Encoder
    uni_deflated: Encoder
    uni_messages: Encoder
    uni_lines: Encoder
    uni_events: Encoder


class Host(Protocol):
    """What a node gives to its transports."""

    id: str
    exchange: Exchange
    flusher: Flusher
    pulse: Pulse[Session]
    encoders: Encoders
    version: str
    connections: int
    """Transports that are open, also those whose connect command is not finished."""
    emulated: dict[str, Dispatcher]
    """By session secret, the connections whose commands come in requests of their own."""
    key: bytes
    """What the secrets of all nodes of a site are signed with."""


class AsgiLine:
    """A line through ASGI `send`: a task drains what was written, as long as there is something."""

    def __init__(self, send: Send, encoder: Encoder, close_timeout: float) -> None:
        """`close_timeout` is how long, in seconds, `close` and `stop` wait for a peer that does not read."""
        self.encoder = encoder
        self.ended = asyncio.Event()
        """Set when the last thing was handed to the server, or the peer is gone or has not taken it in time."""
        self._send = send
        self._close_timeout = close_timeout
        self._messages: list[bytes] = []
        self._size = 0
        self._task: asyncio.Task[None] | None = None
        self._reason: Disconnect | None = None

    def chunk(self, messages: Sequence[bytes]) -> Event:
        """The ASGI event that carries these messages."""
        raise NotImplementedError

    def goodbye(self, reason: Disconnect) -> Event:
        """The last ASGI event."""
        raise NotImplementedError

    def write(self, frames: Sequence[bytes]) -> None:
        self._messages.extend(frames)
        self._size += sum(map(len, frames))
        self._wake()

    def buffered(self) -> int:
        return self._size

    def close(self, reason: Disconnect) -> None:
        self._reason = reason
        self._wake()
        # A peer that reads nothing would never let the last event through.
        asyncio.get_running_loop().call_later(self._close_timeout, self.ended.set)

    def _wake(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        try:
            while self._messages:
                batch, self._messages = self._messages, []
                await self._send(self.chunk(batch))
                self._size -= sum(map(len, batch))
            if self._reason is not None:
                reason, self._reason = self._reason, None
                await self._send(self.goodbye(reason))
                self.ended.set()
        except Exception:  # noqa: BLE001 - servers differ in what they raise for a peer that is gone
            # The receiving side hears of it too, and ends the session.
            self._messages.clear()
            self.ended.set()
        finally:
            self._task = None

    async def until_ended(self, conversation: Coroutine[Any, Any, None]) -> None:
        """Hold the conversation until it is over or the line has ended."""
        talking = asyncio.ensure_future(conversation)
        ended = asyncio.ensure_future(self.ended.wait())
        try:
            await asyncio.wait((talking, ended), return_when=asyncio.FIRST_COMPLETED)
            if talking.done():
                talking.result()
        finally:
            for waiting in (talking, ended):
                waiting.cancel()
            await asyncio.gather(talking, ended, return_exceptions=True)

    async def stop(self) -> None:
        """Give what is written some time to leave, then let go."""
        if self._task is not None:
            task = self._task
            await asyncio.wait((task,), timeout=self._close_timeout)
            task.cancel()


def is_crowded(host: Host) -> bool:
    """Whether too many open transports wait for their connect command to take another."""
    return host.connections - host.exchange.hub.num_clients >= host.exchange.limits.unauthenticated_connections


def retry_after(host: Host) -> int:
    """In how many seconds a crowded node has room again: then whoever waits now has connected or been closed."""
    return math.ceil(host.exchange.limits.connect_timeout)


@contextlib.contextmanager
def counted(host: Host) -> Iterator[None]:
    """Count an open transport, in the total and among those that are open now."""
    host.connections += 1
    host.exchange.counters.connections += 1
    try:
        yield
    finally:
        host.connections -= 1


def new_session(
    host: Host,
    transport: str,
    line: Line,
    handshake: Handshake,
    *,
    emulated: bool = False,
    unidirectional: bool = False,
) -> Session:
    """A session on this line. An emulated or unidirectional one gets a secret, to be addressed by."""
    kind = Kind(
        version=host.version,
        transport=transport,
        node_id=host.id if emulated else "",
        secret=issue_secret(host) if emulated or unidirectional else "",
        unidirectional=unidirectional,
    )
    return Session(host.exchange, host.flusher, host.pulse, line, handshake, kind=kind)


def issue_secret(host: Host) -> str:
    """A new session secret: 144 random bits, and a proof that a node of this site made it for itself."""
    token = secrets.token_urlsafe(18)
    return f"{token}.{_proof(host.key, host.id, token)}"


def is_issued(host: Host, node_id: str, secret: str) -> bool:
    """Whether that node of this site made this secret."""
    token, _, proof = secret.partition(".")
    return hmac.compare_digest(proof.encode(), _proof(host.key, node_id, token).encode())


def _proof(key: bytes, node_id: str, token: str) -> str:
    # One field cannot run into the other: neither alphabet has a line break.
    return hmac.new(key, f"{node_id}\n{token}".encode(), "sha256").hexdigest()[:32]


async def conduct(session: Session, dispatcher: Dispatcher, conversation: Coroutine[Any, Any, None]) -> None:
    """Hold the conversation within its deadline for the connect command, and undo everything after it."""
    timeout = session.exchange.limits.connect_timeout
    deadline = asyncio.get_running_loop().call_later(timeout, _end_stale, session)
    try:
        await conversation
    finally:
        deadline.cancel()
        session.lost()
        await dispatcher.stop()
        await session.end()


def _end_stale(session: Session) -> None:
    if session.state is not State.CONNECTED:
        session.close(Disconnect(Close.STALE))
