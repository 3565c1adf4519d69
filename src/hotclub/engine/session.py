"""A connection's server side: who it is, what it is subscribed to, and what goes out to it."""

import uuid
from collections.abc import Callable
from random import random
from time import monotonic
from typing import Protocol

from msgspec import Raw

from hotclub.engine.application import ChannelSpec, Client, Handshake
from hotclub.engine.errors import Disconnect, Unsubscribed
from hotclub.engine.exchange import Exchange
from hotclub.engine.model import EMPTY, ClientInfo
from hotclub.engine.outbox import Flusher, Outbox, Sink
from hotclub.engine.protocol.base import Codec, Encoder
from hotclub.engine.protocol.connection import Event, State, advance
from hotclub.engine.protocol.messages import Push, Reply, UnsubscribePush
from hotclub.engine.pulse import Pulse
from hotclub.engine.subscriber import Subscriber


class Line(Sink, Protocol):
    """A transport as a session sees it: something to write to, and to end."""

    encoder: Encoder

    def close(self, reason: Disconnect) -> None:
        """End the connection with this code and reason, after what was written."""
        ...


class Session:
    """One connection.

    Everything here is synchronous. `close` takes it out of the hub at once, so nothing is delivered after it; the
    application is told by `end`, which the transport awaits at its own end.
    """

    __slots__ = (
        "_encoder",
        "_line",
        "client",
        "clock",
        "connect_data",
        "connected",
        "ended_with",
        "exchange",
        "granted_channels",
        "id",
        "outbox",
        "pulse",
        "state",
        "subscribers",
        "version",
    )

    def __init__(
        self,
        exchange: Exchange,
        flusher: Flusher,
        pulse: "Pulse[Session]",
        line: Line,
        handshake: Handshake,
        *,
        version: str,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.id = str(uuid.uuid4())
        self.exchange = exchange
        self.client = Client(id=self.id, handshake=handshake)
        self.state = State.NEW
        self.clock = clock
        self.version = version
        self.pulse = pulse
        self.subscribers: dict[str, Subscriber] = {}
        self.ended_with: Disconnect | None = None
        self.connected = False
        """Whether the application has granted it."""
        self.connect_data = EMPTY
        self.granted_channels: tuple[str, ...] = ()
        self._line = line
        self._encoder = line.encoder
        self.outbox = Outbox(line, flusher, exchange.limits.outbox_bytes, self._too_slow)

    @property
    def user_id(self) -> str:
        return self.client.user_id

    @property
    def login(self) -> str:
        return self.client.session_id

    @property
    def codec(self) -> Codec:
        """The form of the protocol that this connection speaks."""
        return self._encoder.codec

    @property
    def closed(self) -> bool:
        return self.state is State.CLOSED

    def advance(self, event: Event) -> None:
        """Move the connection's state. Raises Disconnect 3501 for what the state does not allow."""
        self.state = advance(self.state, event)

    def start_pulse(self) -> None:
        """Begin to ping, some time after the connect reply."""
        self.pulse.add(self, self.clock(), random())  # noqa: S311 - spreads load; nobody gains by guessing it

    def reply(self, reply: Reply) -> None:
        self.outbox.push(self._encoder.frame(self._encoder.codec.encode_reply(reply)))

    def push(self, push: Push) -> None:
        self.outbox.push(self._encoder.frame(self._encoder.codec.encode_push(push)))

    def ping(self) -> None:
        self.outbox.push(self._encoder.frame(self._encoder.codec.ping))

    def enter(self, channel: str, spec: ChannelSpec, chan_info: Raw = EMPTY, *, server_side: bool) -> Subscriber:
        """Take a place in a channel and in the hub; publications go into the place's buffer from here on."""
        info = self.info(chan_info)
        subscriber = Subscriber(info, channel, spec, self.outbox, self._encoder, server_side=server_side)
        self.subscribers[channel] = subscriber
        self.exchange.hub.join(subscriber)
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Undo `enter`: nothing more is delivered. `retire` is to follow. Idempotent."""
        self.exchange.hub.leave(subscriber)
        if self.subscribers.get(subscriber.channel) is subscriber:
            del self.subscribers[subscriber.channel]

    async def retire(self, subscriber: Subscriber) -> None:
        """Undo what a place leaves behind after `leave`: the broker's subscription and its presence."""
        await self.exchange.link(subscriber.channel, subscriber.spec)
        if subscriber.present:
            subscriber.present = False
            await self.exchange.disappear(subscriber.channel, subscriber.info)
            await self.exchange.application.presence_changed(subscriber.channel, self.client, joined=False)
        await self.exchange.application.unsubscribed(self.client, subscriber.channel)

    async def end(self) -> None:
        """Undo everything, after the transport has ended: every place, then the connection itself."""
        self.lost()
        subscribers, self.subscribers = list(self.subscribers.values()), {}
        for subscriber in subscribers:
            await self.retire(subscriber)
        if self.connected:
            reason = self.ended_with or Disconnect(3000, "connection closed")
            await self.exchange.application.disconnected(self.client, reason.code, reason.reason)

    def info(self, chan_info: Raw = EMPTY) -> ClientInfo:
        """What the members of a channel may know of this connection."""
        return ClientInfo(user=self.user_id, client=self.id, conn_info=self.client.info, chan_info=chan_info)

    def close(self, reason: Disconnect) -> None:
        """End the connection: nothing more is delivered to it or taken from it. Idempotent."""
        if self.closed:
            return
        self.advance(Event.CLOSE)
        self.ended_with = reason
        self.exchange.counters.closed[reason.code] += 1
        self.exchange.hub.remove(self)
        self.pulse.remove(self)
        self.outbox.flush()
        self.outbox.close()
        self._line.close(reason)

    def lost(self) -> None:
        """The peer is gone: as `close`, with nobody left to tell."""
        if not self.closed:
            self.advance(Event.CLOSE)
            self.exchange.hub.remove(self)
            self.pulse.remove(self)
            self.outbox.close()

    def expel(self, channel: str, reason: Unsubscribed) -> None:
        """End one subscription by the server's will, and tell the client. Idempotent.

        One whose subscribe command is still being worked on is refused there; the client hears only that refusal.
        """
        subscriber = self.subscribers.get(channel)
        if subscriber is None:
            return
        if subscriber.buffer is not None:
            self.exchange.hub.leave(subscriber)
            subscriber.expelled = True
            return
        self.leave(subscriber)
        self.push(Push(channel, unsubscribe=UnsubscribePush(reason.code, reason.reason)))
        self.exchange.spawn(self.retire(subscriber))

    def _too_slow(self) -> None:
        self.close(Disconnect(3008, "slow"))
