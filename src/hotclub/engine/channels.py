"""Channels by name: joins the application's options, the brokers, presence and the hub.

The commands of clients and the calls of the server both use this module.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from time import monotonic
from typing import Any

from hotclub.engine.appearances import Appearances
from hotclub.engine.broker.answers import Answers
from hotclub.engine.broker.base import Broker, DurableBroker, HistoryQuery, Message
from hotclub.engine.broker.maps import MapBroker
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.engine.hub import Hub
from hotclub.engine.limits import Limits
from hotclub.engine.maps import Maps
from hotclub.engine.model import ClientInfo, HistoryPage, Position, PresenceStats
from hotclub.engine.names import fault, is_name
from hotclub.engine.observe import Counters
from hotclub.engine.port import Application, ChannelSpec, ResolvedChannel
from hotclub.engine.presence.base import Presence
from hotclub.engine.shared_poll import SharedPolls
from hotclub.engine.turns import Turn

AnyChannel = str | ResolvedChannel
"""A channel by its name, or as `Channels.resolve` returned it."""


class Channels:
    """The operations of a node on a channel. All methods belong to the node's event loop."""

    def __init__(  # noqa: PLR0913 - a node's stores, one by one
        self,
        application: Application,
        hub: Hub,
        limits: Limits,
        counters: Counters,
        *,
        broker: Broker,
        durable: DurableBroker | None,
        maps: MapBroker,
        presence: Presence,
    ) -> None:
        self.application = application
        self.hub = hub
        self.limits = limits
        self.counters = counters
        self.clock: Callable[[], float] = monotonic
        self.broker = broker
        self.durable = durable
        self.presence = presence
        self.maps = Maps(maps, hub, limits, self.resolve)
        self.polls = SharedPolls(application.follows, hub)
        self._passed = Answers()
        self._linked: set[str] = set()
        self._linking: dict[str, asyncio.Task[None]] = {}
        self.background = hub.peers.background
        self.appearances = Appearances(application.subscribes, hub, presence, self.maps, self.spawn)

    def resolve(self, name: str) -> ResolvedChannel:
        """The channel of a name.

        Raises:
            Refused: `BAD_REQUEST` for text that is no name (`names.fault`), `UNKNOWN_CHANNEL` for a name that the
                application does not know.
        """
        if not is_name(name, self.limits.channel_bytes):
            reason = fault(name, self.limits.channel_bytes)
            raise Refused(Code.BAD_REQUEST, f"channel name is not valid: {reason}", why="a channel name is not valid")
        channel = self.application.resolve(name)
        if channel is None:
            raise Refused(Code.UNKNOWN_CHANNEL)
        return channel

    def _resolved(self, channel: AnyChannel) -> ResolvedChannel:
        return self.resolve(channel) if isinstance(channel, str) else channel

    def _broker(self, spec: ChannelSpec) -> Broker:
        if not spec.durable:
            return self.broker
        if self.durable is None:
            raise Refused(Code.NOT_AVAILABLE, "this node has no durable broker")
        return self.durable

    def log(self, spec: ChannelSpec) -> Broker | MapBroker:
        """The store that keeps what is published in a channel with these options."""
        return self._broker(spec) if spec.map is None else self.maps.broker

    async def publish(self, channel: AnyChannel, message: Message) -> Position:
        """Append to the channel's log and fan out. Returns the publication's position, offset 0 without history. A
        cancelled call may or may not have stored the publication.

        Raises:
            Refused: `UNKNOWN_CHANNEL` or `BAD_REQUEST`, see `resolve`; `NOT_AVAILABLE` for maps and shared polls,
                and for a durable channel of a node without a durable broker.
            IdempotencyConflict: the key was used for another payload.
        """
        found = self._stream(channel)
        return await self._broker(found.spec).publish(found.name, message, found.spec.retention)

    async def publish_all(self, messages: Iterable[tuple[AnyChannel, Message]]) -> list[Position]:
        """Publish to channels one after the other, each as `publish`. A cancelled call may have published to some."""
        positions, turn = list[Position](), Turn()
        for channel, message in messages:
            positions.append(await self.publish(channel, message))
            await turn.give_way()
        return positions

    def _stream(self, channel: AnyChannel) -> ResolvedChannel:
        found = self._resolved(channel)
        if found.spec.map is not None or found.spec.poll is not None:
            raise Refused(Code.NOT_AVAILABLE, "this channel takes keys and values")
        return found

    def is_first(self, channel: str, idempotency_key: str) -> bool:
        """Note the idempotency key of a message that goes to no log. Returns whether the key is new in the channel."""
        now = self.clock()
        if self._passed.find(channel, idempotency_key, b"", now) is not None:
            return False
        self._passed.keep(channel, idempotency_key, b"", Position("", 0), now)
        return True

    def sweep(self) -> bool:
        """See `Sweeps.sweep`."""
        return self._passed.expire(self.clock())

    async def history(self, channel: AnyChannel, query: HistoryQuery) -> HistoryPage:
        """Read a channel's log.

        Raises:
            Refused: `UNKNOWN_CHANNEL` or `BAD_REQUEST`, see `resolve`; `NOT_AVAILABLE` for a channel without history.
            UnrecoverablePosition: `query.since` names another epoch.
        """
        found = self._resolved(channel)
        spec = found.spec
        if spec.retention.size <= 0:
            raise Refused(Code.NOT_AVAILABLE)
        return await self.log(spec).history(found.name, query, spec.retention)

    async def remove_history(self, channel: AnyChannel) -> None:
        """Forget the kept publications of a channel. The position of the channel stays.

        Raises:
            Refused: `UNKNOWN_CHANNEL` or `BAD_REQUEST`, see `resolve`; `NOT_AVAILABLE` for maps and shared polls.
        """
        found = self._stream(channel)
        await self._broker(found.spec).remove_history(found.name)

    async def members(self, channel: AnyChannel) -> Mapping[str, ClientInfo]:
        """The members of the channel, by client id. Raises Refused as `resolve`, and `NOT_AVAILABLE` for a channel
        without presence."""
        return await self.presence.members(self._with_presence(channel).name)

    async def presence_stats(self, channel: AnyChannel) -> PresenceStats:
        """How many connections and users are in the channel. Raises as `members`."""
        return await self.presence.stats(self._with_presence(channel).name)

    def _with_presence(self, channel: AnyChannel) -> ResolvedChannel:
        found = self._resolved(channel)
        if not found.spec.presence:
            raise Refused(Code.NOT_AVAILABLE)
        return found

    async def link(self, channel: ResolvedChannel) -> None:
        """Subscribe to the channel at its broker if the hub has subscribers of it, otherwise unsubscribe.

        To be awaited after every `hub.join` and `hub.leave`. When the caller is cancelled, the work goes on.

        Raises:
            Refused: `NOT_AVAILABLE` for a durable channel of a node without a durable broker.
        """
        name = channel.name
        if channel.spec.poll is not None or (name not in self._linking and self._is_linked(name)):
            return
        task = self._linking.get(name)
        if task is None:
            work = self._follow(name, self.log(channel.spec))
            task = self._linking[name] = asyncio.get_running_loop().create_task(work)
        await asyncio.shield(task)

    def _is_linked(self, channel: str) -> bool:
        return (channel in self._linked) is (self.hub.num_subscribers(channel) > 0)

    async def _follow(self, channel: str, broker: Broker | MapBroker) -> None:
        """Subscribe or unsubscribe at the broker until it agrees with the hub, which may change meanwhile. One task per
        channel runs at a time."""
        try:
            while not self._is_linked(channel):
                if channel in self._linked:
                    await broker.unsubscribe(channel)
                    self._linked.discard(channel)
                else:
                    await broker.subscribe(channel)
                    self._linked.add(channel)
        finally:
            # In the same turn as the last check: a later `link` starts a new task and does not wait for this one.
            del self._linking[channel]

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run clean-up in a task of its own. A failure is logged."""
        self.background.spawn(work)

    async def settle(self) -> None:
        """Wait until no clean-up runs. When the caller is cancelled, the clean-up goes on."""
        await self.background.settle()
