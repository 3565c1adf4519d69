"""The composition root: one node per process and event loop. The only place that names concrete classes."""

import asyncio
import secrets
from collections.abc import Callable, Collection, Mapping
from time import monotonic

from msgspec import Raw, Struct

from hotclub.engine.broker.base import Broker, DurableBroker, HistoryQuery, Message, PublicationHandler
from hotclub.engine.broker.maps import MapBroker
from hotclub.engine.broker.memory import MemoryBroker
from hotclub.engine.broker.memory_map import MemoryMapBroker
from hotclub.engine.channels import Channels
from hotclub.engine.codes import Close, Code
from hotclub.engine.commands.from_server import subscribe_all
from hotclub.engine.commands.opening import Terms
from hotclub.engine.dispatch import Dispatcher
from hotclub.engine.errors import Disconnect, Refused, Unsubscribed
from hotclub.engine.hub import Hub
from hotclub.engine.limits import Limits, TokenBucket
from hotclub.engine.model import ClientInfo, HistoryPage, Position, PresenceStats
from hotclub.engine.observe import Counters
from hotclub.engine.outbox import Flusher
from hotclub.engine.peers import NOT_ENDED
from hotclub.engine.port import Application, SubscribeGrant
from hotclub.engine.presence.base import Presence
from hotclub.engine.presence.memory import MemoryPresence
from hotclub.engine.protocol.codec_json import JsonCodec, UniJsonCodec
from hotclub.engine.protocol.codec_protobuf import ProtobufCodec
from hotclub.engine.pulse import Pulse
from hotclub.engine.session import Session
from hotclub.engine.target import Target
from hotclub.engine.transports.base import Encoders
from hotclub.engine.transports.entrance import Entrance
from hotclub.engine.transports.framing import (
    Framed,
    bare,
    binary_frame,
    deflated_binary_frame,
    deflated_text_frame,
    event,
    line,
    text_frame,
)
from hotclub.engine.upkeep import Upkeep


class NodeInfo(Struct, frozen=True):
    """The numbers of one node. `uptime` is in seconds; `closed` and `refused` count by code."""

    id: str
    name: str
    version: str
    num_clients: int
    num_users: int
    num_channels: int
    num_subscriptions: int
    uptime: float
    connections: int
    commands: int
    publications: int
    deliveries: int
    dropped: int
    undone: int
    refused: dict[int, int]
    closed: dict[int, int]


class Node:
    """Everything that one process needs to serve connections. Two of them fit in one process."""

    leaving = False
    """Whether the server stops, which takes no new connections then."""

    def __init__(  # noqa: PLR0913 - the composition root takes what it composes
        self,
        application: Application,
        *,
        limits: Limits | None = None,
        name: str = "",
        version: str = "hotclub",
        make_broker: Callable[[PublicationHandler], Broker] = MemoryBroker,
        make_durable: Callable[[PublicationHandler], DurableBroker] | None = None,
        make_maps: Callable[[PublicationHandler], MapBroker] = MemoryMapBroker,
        presence: Presence | None = None,
        key: bytes = b"",
    ) -> None:
        """Nothing runs before `start`. Each maker is called with the hub's `deliver` as the broker's handler.

        Args:
            application: decides what clients may do.
            limits: the bounds of this node; the defaults of `Limits` for None.
            name: what the node is called in its `info`.
            version: what clients are told of the server.
            make_broker: makes the broker of channels that are not durable.
            make_durable: makes the broker of durable channels, None where there are none.
            make_maps: makes the broker of maps.
            presence: who is in which channel; in memory for None.
            key: signs the secrets of connections. Nodes that take each other's requests must have the same.
        """
        self.id = secrets.token_hex(8)
        self.name = name
        self.version = version
        self.application = application
        self.limits = limits or Limits()
        self.counters = Counters()
        self.hub = Hub(self.counters, self.limits.ephemeral_bytes)
        self.broker = make_broker(self.hub.deliver)
        self.durable = None if make_durable is None else make_durable(self.hub.deliver)
        self.presence = presence or MemoryPresence(self.limits.presence_ttl)
        self.channels = Channels(
            application,
            self.hub,
            self.limits,
            self.counters,
            broker=self.broker,
            durable=self.durable,
            maps=make_maps(self.hub.deliver),
            presence=self.presence,
        )
        self.encoders = _encoders()
        self.key = key or secrets.token_bytes(32)
        self.emulated: dict[str, Dispatcher] = {}
        self.forwarding = _forwarding(self.limits)
        self.pulse: Pulse[Session] = Pulse(self.limits.ping_interval, self.limits.pong_timeout)
        self.flusher = Flusher(_at_end_of_turn)
        self.upkeep = Upkeep(self.channels, self.pulse)
        self.entrance = Entrance(self.limits.unauthenticated_connections)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started = 0.0

    @property
    def started(self) -> bool:
        """Whether the node runs: after `start` and before `stop`."""
        return self._loop is not None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that this node lives in. Raises RuntimeError before `start` and after `stop`."""
        if self._loop is None:
            raise RuntimeError("This node is not running: await start() first")
        return self._loop

    async def start(self) -> None:
        """Begin to serve in the running loop. Idempotent."""
        if self._loop is not None:
            return
        self._loop = asyncio.get_running_loop()
        self._started = monotonic()
        self.upkeep.start()

    async def stop(self) -> None:
        """Close every connection with 3001 and wait for the clean-up that follows. Idempotent."""
        await self.upkeep.stop()
        self.disconnect(Target(), Disconnect(Close.SHUTDOWN))
        await self.channels.appearances.stop()
        await self.channels.settle()
        await self.channels.polls.stop()
        self._loop = None

    async def publish(
        self,
        channel: str,
        data: Raw,
        *,
        tags: dict[str, str] | None = None,
        idempotency_key: str = "",
        info: ClientInfo | None = None,
    ) -> Position:
        """Publish a validated payload; see `Channels.publish`."""
        message = Message(data=data, info=info, tags=tags or {}, idempotency_key=idempotency_key)
        return await self.channels.publish(channel, message)

    async def history(self, channel: str, query: HistoryQuery) -> HistoryPage:
        """Read a channel's log; see `Channels.history`."""
        return await self.channels.history(channel, query)

    async def presence_members(self, channel: str) -> Mapping[str, ClientInfo]:
        """Who is in the channel; see `Channels.members`."""
        return await self.channels.members(channel)

    async def presence_stats(self, channel: str) -> PresenceStats:
        """How many are in the channel; see `Channels.members`."""
        return await self.channels.presence_stats(channel)

    def disconnect(self, target: Target, reason: Disconnect, spare: Collection[str] = ()) -> int:
        """End the connections of `target` except the ids in `spare`, and return how many. For the loop's thread."""
        peers = [peer for peer in self.hub.peers.find(target) if peer.id not in spare]
        self.hub.peers.departed.forget(target)
        self.hub.peers.background.in_turns(lambda peer: peer.close(reason), peers, NOT_ENDED)
        return len(peers)

    async def subscribe(
        self, target: Target, channel: str, grant: SubscribeGrant, recover_since: Position | None = None
    ) -> int:
        """Subscribe connections by the server's will (protocol §3.5), and return how many `target` names.

        A connection that is subscribed already keeps its subscription as it is. A cancelled caller may leave some of
        the connections without the subscription.

        Args:
            target: which connections.
            channel: the channel's name.
            grant: the terms of the subscriptions.
            recover_since: the position after which the subscribers get what the channel keeps; None for nothing.

        Raises:
            Refused: `UNKNOWN_CHANNEL` or `BAD_REQUEST`, see `Channels.resolve`; `NOT_AVAILABLE` for a map or a shared
                poll, and for an override that the channel cannot fulfil.
        """
        resolved = self.channels.resolve(channel).overridden(grant.overrides)
        if resolved.spec.map is not None or resolved.spec.poll is not None:
            raise Refused(Code.NOT_AVAILABLE, "a map or a shared poll has no subscribers by the server's will")
        terms = Terms(
            channel=resolved,
            chan_info=grant.info,
            data=grant.data,
            asked=recover_since,
            admits=grant.admits,
            unasked=grant.admits is None,
            ttl=grant.ttl,
            server_side=True,
        )
        sessions = [peer for peer in self.hub.peers.find(target, remember=False) if isinstance(peer, Session)]
        await subscribe_all(sessions, target, terms, grant)
        return len(sessions)

    def unsubscribe(self, target: Target, channel: str, reason: Unsubscribed) -> int:
        """End the subscriptions of the connections that `target` names to the channel, or to all channels for "", at
        once. Returns how many they were. For the loop's thread."""
        peers = self.hub.peers.find(target, channel)
        self.hub.peers.departed.forget(target, channel)
        subscribed = sum(channel in peer.subscribers if channel else len(peer.subscribers) for peer in peers)
        # Also a connection without the subscription: its subscribe command may be under way.
        self.hub.peers.background.in_turns(lambda peer: peer.expel(channel, reason), peers, NOT_ENDED)
        return subscribed

    def num_subscribers(self, channel: str) -> int:
        """How many subscribers the channel has on this node."""
        return self.hub.num_subscribers(channel)

    def info(self) -> NodeInfo:
        """The node's numbers now."""
        counters = self.counters
        return NodeInfo(
            id=self.id,
            name=self.name,
            version=self.version,
            num_clients=self.hub.num_clients,
            num_users=self.hub.peers.num_users,
            num_channels=self.hub.num_channels,
            num_subscriptions=self.hub.num_subscriptions,
            uptime=monotonic() - self._started if self.started else 0.0,
            connections=counters.connections,
            commands=counters.commands,
            publications=counters.publications,
            deliveries=counters.deliveries,
            dropped=counters.dropped,
            undone=counters.undone,
            refused=dict(counters.refused),
            closed=dict(counters.closed),
        )


def _at_end_of_turn(work: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(work)


def _forwarding(limits: Limits) -> TokenBucket:
    """Bounds the requests that a node hands on to other nodes, whose own limits it cannot see."""
    return TokenBucket(limits.commands_rate, limits.commands_burst, monotonic())


def _encoders() -> Encoders:
    text, protobuf, bare_text = JsonCodec(), ProtobufCodec(), UniJsonCodec()
    return Encoders(
        json_frames=Framed(text, text_frame),
        json_deflated=Framed(text, text_frame, deflated_text_frame),
        json_messages=Framed(text, bare),
        protobuf_frames=Framed(protobuf, binary_frame),
        protobuf_deflated=Framed(protobuf, binary_frame, deflated_binary_frame),
        protobuf_messages=Framed(protobuf, bare),
        json_lines=Framed(text, line),
        protobuf_stream=Framed(protobuf, bare),
        events=Framed(text, event),
        uni_frames=Framed(bare_text, text_frame),
        uni_deflated=Framed(bare_text, text_frame, deflated_text_frame),
        uni_messages=Framed(bare_text, bare),
        uni_lines=Framed(bare_text, line),
        uni_events=Framed(bare_text, event),
    )
