"""The server side of one connection: its identity, its subscriptions, and what is sent to it."""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from random import random
from time import monotonic
from typing import Final, Protocol

from msgspec import Raw, Struct

from hotclub.engine.channels import Channels
from hotclub.engine.codes import LINGERING, Close, Unsubscribe
from hotclub.engine.errors import Disconnect, Unsubscribed
from hotclub.engine.failures import surviving
from hotclub.engine.hub import Hub
from hotclub.engine.kept_grants import Given
from hotclub.engine.limits import Limits
from hotclub.engine.model import EMPTY, ClientInfo
from hotclub.engine.observe import report
from hotclub.engine.outbox import Flusher, Outbox, Sink
from hotclub.engine.port import Application, Client, Handshake, ResolvedChannel, SubscribeGrant
from hotclub.engine.protocol.base import Codec, Encoder
from hotclub.engine.protocol.connection import Event, State, advance
from hotclub.engine.protocol.messages import Push, Reply, UnsubscribePush
from hotclub.engine.pulse import Pulse
from hotclub.engine.subscriber import MapSubscriber, PollSubscriber, Subscriber

_NOT_WITHDRAWN: Final = "A subscription that has ended was not wholly withdrawn"


class Line(Sink, Protocol):
    """A transport as a session sees it: a sink that can be closed."""

    encoder: Encoder

    def close(self, reason: Disconnect) -> None:
        """End the connection with this code and reason, after what was written."""
        ...


class Kind(Struct, frozen=True, kw_only=True):
    """What a connection is told of its server, and what its transport can do.

    `secret` and `node_id` are what commands must show that come in requests of their own; both are "" where commands
    come on the connection itself. A unidirectional client sends no commands and answers no pings. `transport` is for
    the log.
    """

    version: str
    transport: str = ""
    node_id: str = ""
    secret: str = ""
    unidirectional: bool = False


class Revoked(set[str]):
    """The channels from which the server unsubscribes a connection while the application decides; "" is all of them."""

    def __contains__(self, channel: object) -> bool:
        return super().__contains__(channel) or super().__contains__("")


class Session:
    """One connection.

    Everything but `retire` and `end` is synchronous. `close` takes the connection out of the hub at once, so nothing
    is delivered after it. `end` tells the application; the transport awaits it at its own end.
    """

    __slots__ = (
        "_encoder",
        "_expiry",
        "_line",
        "channels",
        "client",
        "clock",
        "connected",
        "ended_with",
        "id",
        "kind",
        "on_answered",
        "outbox",
        "postponed",
        "pulse",
        "revoked",
        "state",
        "subscribers",
        "unanswered",
    )

    def __init__(
        self,
        channels: Channels,
        flusher: Flusher,
        pulse: "Pulse[Session]",
        line: Line,
        handshake: Handshake,
        *,
        kind: "Kind",
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.id = str(uuid.uuid4())
        self.channels = channels
        self.subscribers: dict[str, Subscriber] = {}
        self.client = Client(id=self.id, handshake=handshake, places=self.subscribers)
        self.state = State.NEW
        self.clock = clock
        self.kind = kind
        self.pulse = pulse
        self.revoked: Revoked | None = None
        """While the application decides on channels: the channels from which the server unsubscribed this connection
        meanwhile. None while nothing is being decided."""
        self.postponed: list[Callable[[], Awaitable[None]]] = []
        """The server's subscriptions that have to wait for the connect reply."""
        self.on_answered: Callable[[], None] | None = None
        """Called after the connect command is answered with a result."""
        self.ended_with: Disconnect | None = None
        self.connected = False
        """Whether the application has granted the connection."""
        self.unanswered = 0
        """The id of the command that is being served, until it has its answer; it gets one only."""
        self._expiry: asyncio.TimerHandle | None = None
        self._line = line
        self._encoder = line.encoder
        self.outbox = Outbox(line, flusher, channels.limits.outbox_bytes, self._outbox_ended)

    @property
    def application(self) -> Application:
        return self.channels.application

    @property
    def hub(self) -> Hub:
        return self.channels.hub

    @property
    def limits(self) -> Limits:
        return self.channels.limits

    @property
    def user_id(self) -> str:
        """See `Peer.user_id`."""
        return self.client.user_id

    @property
    def login(self) -> str:
        """See `Peer.login`."""
        return self.client.login_id

    @property
    def secret(self) -> str:
        """See `Peer.secret`."""
        return self.kind.secret

    @property
    def codec(self) -> Codec:
        """The form of the protocol that this connection speaks."""
        return self._encoder.codec

    @property
    def closed(self) -> bool:
        """Whether the connection has ended, from either side."""
        return self.state is State.CLOSED

    def advance(self, event: Event) -> None:
        """Move the connection's state. Raises Disconnect `BAD_REQUEST` when the state does not allow the event."""
        self.state = advance(self.state, event)

    def start_pulse(self) -> None:
        """Begin to ping, some time after the connect reply. Whoever waited for the reply is told."""
        if self.on_answered is not None:
            self.on_answered()
        self.pulse.add(self, self.clock(), random(), answers=not self.kind.unidirectional)  # noqa: S311 - spreads load; nobody gains by guessing it

    def reply(self, reply: Reply) -> None:
        """Send the answer to a command."""
        if reply.id == self.unanswered:
            self.unanswered = 0
        self.outbox.push(self._encoder.frame(self._encoder.codec.encode_reply(reply)))

    def reply_encoded(self, command: int, message: bytes) -> None:
        """Send the answer to a command that is encoded already."""
        if command == self.unanswered:
            self.unanswered = 0
        self.outbox.push(self._encoder.frame(message))

    def push(self, push: Push) -> None:
        """Send a message that the client did not ask for."""
        self.outbox.push(self._encoder.frame(self._encoder.codec.encode_push(push)))

    def ping(self) -> None:
        """Send a ping of the protocol."""
        self.outbox.push(self._encoder.frame(self._encoder.codec.ping))

    def enter(
        self,
        channel: ResolvedChannel,
        chan_info: Raw = EMPTY,
        *,
        server_side: bool = False,
        delta: bool = False,
        compact: bool = False,
    ) -> Subscriber:
        """Take a place in a channel and in the hub. Publications go into the place's buffer until it goes live.

        Args:
            channel: the channel, with the options of this subscription.
            chan_info: what the members of the channel are shown of this connection.
            server_side: the client did not ask for the place.
            delta: the client takes differences.
            compact: the client takes the channel's number for its name.
        """
        hub = self.hub
        spec = channel.spec
        form = hub.form(channel.name, self._encoder, delta=delta, compact=compact)
        kind = MapSubscriber if spec.map is not None else Subscriber if spec.poll is None else PollSubscriber
        subscriber = kind(self.info(chan_info), channel, self.outbox, form, server_side=server_side)
        self.subscribers[channel.name] = subscriber
        hub.join(subscriber)
        return subscriber

    def expire_in(self, ttl: int) -> None:
        """End the connection `ttl` seconds and some grace from now; 0 is never. A later call replaces this one."""
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry = (
            self._later(ttl, self.close, Disconnect(Close.CONNECTION_EXPIRED)) if ttl and not self.closed else None
        )

    def expire_subscription_in(self, subscriber: Subscriber, ttl: int) -> None:
        """End one subscription, as `expire_in` ends the connection. A client may subscribe again (protocol §3.5)."""
        if subscriber.expiry is not None:
            subscriber.expiry.cancel()
        lives = ttl > 0 and self.subscribers.get(subscriber.channel) is subscriber
        subscriber.expiry = self._later(ttl, self._expire, subscriber) if lives else None

    def _later(self, ttl: int, work: Callable[..., None], *args: object) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(ttl + self.limits.expiry_grace, work, *args)

    def _expire(self, subscriber: Subscriber) -> None:
        if self.subscribers.get(subscriber.channel) is not subscriber:
            return
        if subscriber.server_side:
            self.close(Disconnect(Close.SUBSCRIPTION_EXPIRED))
        else:
            self.expel(subscriber.channel, Unsubscribed(Unsubscribe.SUBSCRIPTION_EXPIRED))

    def leave(self, subscriber: Subscriber) -> None:
        """Undo `enter`: nothing more is delivered. `retire` must follow. Idempotent."""
        self.hub.leave(subscriber)
        self.channels.polls.leave(subscriber)
        self.expire_subscription_in(subscriber, 0)
        if self.subscribers.get(subscriber.channel) is subscriber:
            del self.subscribers[subscriber.channel]

    async def retire(self, subscriber: Subscriber) -> None:
        """Undo what `leave` cannot, because it awaits: the broker's subscription and the presence of a place.

        Tells the application that the client is no longer subscribed. A step that fails is logged, and the next one
        follows.
        """
        channel, application = subscriber.resolved, self.application.subscribes
        with surviving(_NOT_WITHDRAWN):
            await self.channels.link(channel)
        self.channels.polls.leave(subscriber)
        await self.channels.appearances.disappear(subscriber)
        with surviving(_NOT_WITHDRAWN):
            await application.unsubscribed(self.client, channel)

    async def end(self) -> None:
        """Undo everything after the transport has ended: every place, then the connection itself. Idempotent.

        Whatever fails is logged, and the rest is undone. A cancellation leaves what follows undone, so callers shield
        this call from theirs.
        """
        with surviving(_NOT_WITHDRAWN):
            self.lost()
        self.expire_in(0)
        subscribers = list(self.subscribers.values())
        self.subscribers.clear()
        for subscriber in subscribers:
            self.expire_subscription_in(subscriber, 0)
            await self.retire(subscriber)
        if self.connected:
            self.connected = False
            reason = self.ended_with or Disconnect(Close.CONNECTION_CLOSED)
            with surviving("The end of a connection was not wholly noted"):
                await self.application.connects.disconnected(self.client, reason.code, reason.reason)

    def report(self, event: str, *, level: int = logging.WARNING, **fields: object) -> None:
        """Write to the log what this connection's client did wrong."""
        fields |= {"transport": self.kind.transport, "client": self.id, "user": self.user_id}
        report(event, level=level, **fields, address=self.client.handshake.address)

    def info(self, chan_info: Raw = EMPTY) -> ClientInfo:
        """What the members of a channel may know of this connection."""
        return ClientInfo(user=self.user_id, client=self.id, conn_info=self.client.info, chan_info=chan_info)

    def close(self, reason: Disconnect) -> None:
        """End the connection: nothing more is delivered to it or taken from it. Idempotent."""
        if self.closed:
            return
        self._depart(returns=reason.reconnects, grace=self._grace(reason))
        self.ended_with = reason
        self.channels.counters.closed[reason.code] += 1
        if reason.accuses or reason.why:
            level = logging.WARNING if reason.accuses else logging.INFO
            self.report("Ended a connection", level=level, code=reason.code, reason=reason.reason, why=reason.why)
        self.outbox.flush()
        self.outbox.close()
        with surviving("A transport could not be closed"):
            self._line.close(reason.explained() if self.application.explains else reason)

    def lost(self, *, goodbye: bool = False) -> None:
        """Note that the peer has gone: as `close`, with nobody left to tell. Idempotent.

        After a goodbye, such as a close frame, the connection's members leave at once. Otherwise they linger for
        `limits.presence_grace`, because the client may be back in a moment.
        """
        if not self.closed:
            self._depart(returns=True, grace=0.0 if goodbye else self.limits.presence_grace)
            self.outbox.close()

    def _grace(self, reason: Disconnect) -> float:
        """For how many seconds members linger when the server ends the connection for this reason."""
        if reason.code == Close.NO_PONG:
            # The peer has been silent for so long already.
            return self.limits.presence_grace - self.limits.pong_timeout
        return self.limits.presence_grace if reason.code in LINGERING else 0.0

    def _depart(self, *, returns: bool, grace: float) -> None:
        """Leave the hub. If the client `returns`, what the server granted to it is kept."""
        self.advance(Event.CLOSE)
        if returns:
            self.hub.peers.depart(self, self.clock())
        if grace > 0:
            for subscriber in self.subscribers.values():
                self.channels.appearances.linger(subscriber, grace)
        self.hub.remove(self)
        self.pulse.remove(self)

    def be_given(self, subscriber: Subscriber, grant: SubscribeGrant) -> None:
        """Note that the server granted this place after the connect reply. A grant that was kept for the channel is
        forgotten."""
        now = self.clock()
        subscriber.given = Given.at(now, grant)
        self.hub.peers.departed.drop(self.user_id, self.login, subscriber.channel)

    def expel(self, channel: str, reason: Unsubscribed) -> None:
        """End one subscription by the server's will, or all of them for "", and tell the client. Idempotent.

        Where the subscribe command is not answered yet, its answer becomes a refusal, and the client is told no more.
        """
        if self.revoked is not None:
            self.revoked.add(channel)
        if not channel:
            for name in list(self.subscribers):
                self.expel(name, reason)
            return
        subscriber = self.subscribers.get(channel)
        if subscriber is None:
            return
        if subscriber.buffer is not None:
            self.hub.leave(subscriber)
            # The command that is under way finds that out, or the next page that the client of a map asks for.
            subscriber.expelled = True
            return
        self.leave(subscriber)
        self.push(Push(channel, unsubscribe=UnsubscribePush(reason.code, reason.reason)))
        self.channels.spawn(self.retire(subscriber))

    def _outbox_ended(self) -> None:
        self.close(Disconnect(Close.WRITE_ERROR if self.outbox.failed else Close.SLOW))
