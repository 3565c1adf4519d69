"""What transports share: the ASGI types, the node as they see it, and a line that drains through ASGI `send`."""

import asyncio
import hmac
import secrets
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from hotclub.engine.channels import Channels
from hotclub.engine.codes import Close
from hotclub.engine.dispatch import Dispatcher
from hotclub.engine.errors import Disconnect
from hotclub.engine.failures import finished
from hotclub.engine.outbox import Flusher
from hotclub.engine.port import Handshake
from hotclub.engine.protocol.base import Encoder
from hotclub.engine.protocol.connection import State
from hotclub.engine.pulse import Pulse
from hotclub.engine.session import Kind, Line, Session
from hotclub.engine.transports.entrance import Entrance, Place

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
ASGIApplication = Callable[..., Awaitable[None]]
"""Any ASGI application. The arguments are not typed, because every framework types them in its own way."""


class Asgi(NamedTuple):
    """What an ASGI server calls an application with, for functions that hand all three on."""

    scope: Scope
    receive: Receive
    send: Send


SHUTDOWN: Final = "hotclub.shutdown"

_LOOKS: Final = 4
"""So many turns of the loop may pass from the arrival of bytes to the beginning of their command."""
LOOK_AGAIN: Final = 0.02
"""Seconds between two looks. Each look is in another turn of the loop."""


class Stoppable(Protocol):
    """A server that says when it stops, and then waits a little. It stands in `scope["extensions"][SHUTDOWN]`."""

    on_shutdown: Callable[[], None] | None
    """What the server calls when it stops, and again when it waits no longer; None for nothing."""

    def expect_reader(self, seconds: float) -> None:
        """Reset the connection when its peer takes none of the bytes sent for so many seconds; 0 ends that again."""
        ...


class told_of_shutdown:  # noqa: N801 - reads as a statement: with told_of_shutdown(server, dispatcher)
    """Wind the connection up when the server stops within the block, and have it notice a peer that reads nothing.

    A class, because every connection passes here, and a generator takes three times as long.
    """

    __slots__ = ("_dispatcher", "_server")

    def __init__(self, server: Stoppable | None, dispatcher: Dispatcher) -> None:
        """`server` is None for one that does not say when it stops. `dispatcher` has the connection's commands."""
        self._server = server
        self._dispatcher = dispatcher

    def __enter__(self) -> None:
        """Begin to listen to the server."""
        server, session = self._server, self._dispatcher.session
        if server is None:
            return
        server.on_shutdown = self._dispatcher.wind_up
        # Who cannot answer a ping shows by acknowledging its bytes that somebody is there.
        limits = session.limits
        server.expect_reader(limits.pong_timeout + (0 if session.kind.unidirectional else limits.ping_interval))

    def __exit__(self, *_error: object) -> None:
        if self._server is not None:
            self._server.on_shutdown = None
            self._server.expect_reader(0)


@dataclass(frozen=True, slots=True)
class Encoders:
    """One encoder per form of the wire, so that all connections of a form share encoded messages.

    Encoders named "frames" make whole WebSocket frames, "deflated" ones make compressed frames for connections that
    have agreed on compression, and "messages" leave the framing to the ASGI server.
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
    """A node, as its transports see it."""

    id: str
    channels: Channels
    flusher: Flusher
    pulse: Pulse[Session]
    encoders: Encoders
    version: str
    entrance: Entrance
    """The transports that wait for the answer to their connect command."""
    emulated: dict[str, Dispatcher]
    """The connections whose commands come in requests of their own, by their secrets."""
    key: bytes
    """What the nodes of a site sign the secrets of connections with."""


class AsgiLine:
    """A line through ASGI `send`. While something waits to be written, a task drains it."""

    def __init__(self, send: Send, encoder: Encoder, close_timeout: float) -> None:
        """`close_timeout` is how long, in seconds, `close` and `stop` wait for a peer that does not read."""
        self.encoder = encoder
        self.ended = asyncio.Event()
        """Set when the last event was handed to the server, the peer has gone, or it has not taken the event in
        time."""
        self._send = send
        self._close_timeout = close_timeout
        self._messages: list[bytes] = []
        self._size = 0
        self._task: asyncio.Task[None] | None = None
        self._reason: Disconnect | None = None

    def chunk(self, messages: Sequence[bytes]) -> Event:
        """The ASGI event that carries these messages. Subclasses give it."""
        raise NotImplementedError

    def goodbye(self, reason: Disconnect) -> Event:
        """The ASGI event that ends the connection for this reason. Subclasses give it."""
        raise NotImplementedError

    def write(self, frames: Sequence[bytes]) -> None:
        """See `Sink.write`."""
        self._messages.extend(frames)
        self._size += sum(map(len, frames))
        self._wake()

    def buffered(self) -> int:
        """See `Sink.buffered`."""
        return self._size

    def close(self, reason: Disconnect) -> None:
        """See `Line.close`."""
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
            # `receive` reports the same, and what awaits it ends the session.
            self._messages.clear()
            self.ended.set()
        finally:
            self._task = None

    async def until_ended(self, conversation: Coroutine[Any, Any, None]) -> None:
        """Run the conversation until it is over or the line has ended. Raises what the conversation raises."""
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
        """Wait until everything written has left, at most for the close timeout, and end the task."""
        if self._task is not None:
            task = self._task
            await asyncio.wait((task,), timeout=self._close_timeout)
            task.cancel()


class counted:  # noqa: N801 - reads as a statement: with counted(host, handshake) as place
    """Count a transport that is open within the block. The block gets its place in the entrance.

    A class for the same reason as `told_of_shutdown`.
    """

    __slots__ = ("_host", "_place")

    def __init__(self, host: Host, handshake: Handshake) -> None:
        """Enter the entrance of `host`.

        Raises:
            Crowded: too many transports wait for the answer to their connect command.
        """
        self._host = host
        self._place = host.entrance.enter(handshake.address)

    def __enter__(self) -> Place:
        """Count the transport."""
        self._host.entrance.transports += 1
        self._host.channels.counters.connections += 1
        return self._place

    def __exit__(self, *_error: object) -> None:
        self._host.entrance.transports -= 1
        self._place.leave()


def new_session(
    host: Host,
    transport: str,
    line: Line,
    handshake: Handshake,
    place: Place,
    *,
    emulated: bool = False,
    unidirectional: bool = False,
) -> Session:
    """A session on this line.

    Args:
        host: the node.
        transport: the transport's name, for the log.
        line: where the session writes to.
        handshake: what is known of the connection.
        place: the transport's place in the entrance, from `counted`.
        emulated: commands come in requests of their own, which show the session's secret and its node.
        unidirectional: the client sends no commands. The session gets a secret all the same, for orders that name it.
    """
    kind = Kind(
        version=host.version,
        transport=transport,
        node_id=host.id if emulated else "",
        secret=issue_secret(host) if emulated or unidirectional else "",
        unidirectional=unidirectional,
    )
    session = Session(host.channels, host.flusher, host.pulse, line, handshake, kind=kind)
    place.take(session)
    return session


def issue_secret(host: Host) -> str:
    """A new secret for a connection: 144 random bits, and a proof that this node made them."""
    token = secrets.token_urlsafe(18)
    return f"{token}.{_proof(host.key, host.id, token)}"


def is_issued(host: Host, node_id: str, secret: str) -> bool:
    """Whether the node of this site that has this id made the secret."""
    token, _, proof = secret.partition(".")
    return hmac.compare_digest(proof.encode(), _proof(host.key, node_id, token).encode())


def _proof(key: bytes, node_id: str, token: str) -> str:
    # The length tells where the first text ends: both texts come from a client.
    signed = f"{len(node_id)}:{node_id}{token}"
    return hmac.new(key, signed.encode(errors="surrogatepass"), "sha256").hexdigest()[:32]


async def conduct(session: Session, dispatcher: Dispatcher, conversation: Coroutine[Any, Any, None]) -> None:
    """Run a connection: its conversation, with a deadline for the connect command, and then the end of its session.

    Cancellation ends the conversation; the session has been undone when this returns or raises.
    """
    timeout = session.limits.connect_timeout
    deadline = asyncio.get_running_loop().call_later(timeout, _end_stale, session)
    try:
        await conversation
    finally:
        deadline.cancel()
        session.lost()
        await finished(_undo(session, dispatcher))


async def _undo(session: Session, dispatcher: Dispatcher) -> None:
    await dispatcher.stop()
    await session.end()


def _end_stale(session: Session, looks: int = _LOOKS) -> None:
    """End a connection that is not connected when its time is over, for the reason that applies.

    A client that has sent its connect command waits for this server, and comes back. In a busy process a command that
    has arrived may be unread, so the connection is looked at several times.
    """
    if session.state is State.CONNECTING:
        session.close(Disconnect(Close.INTERNAL_ERROR, why="the connect command was not answered in time"))
    elif session.state is not State.CONNECTED and looks:
        asyncio.get_running_loop().call_later(LOOK_AGAIN, _end_stale, session, looks - 1)
    elif session.state is not State.CONNECTED:
        session.close(Disconnect(Close.STALE, why="no connect command in time"))
