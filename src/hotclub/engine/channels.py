"""Channels by name: the one place that joins the application's options, the brokers, presence and the hub.

Both the commands of clients and the calls of the server come through here.
"""

import asyncio
import re
from collections.abc import Coroutine, Mapping
from time import monotonic
from typing import Any, Final

from hotclub.engine.broker.base import IDEMPOTENCY_TTL, Broker, HistoryQuery, Message
from hotclub.engine.broker.maps import MapBroker
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.engine.hub import Hub
from hotclub.engine.leases import Leases
from hotclub.engine.limits import Limits
from hotclub.engine.maps import Maps
from hotclub.engine.model import ClientInfo, HistoryPage, Position, PresenceStats
from hotclub.engine.observe import Counters, logger
from hotclub.engine.port import Application, ChannelSpec
from hotclub.engine.presence.base import Presence
from hotclub.engine.protocol.messages import Membership, Push
from hotclub.engine.shared_poll import SharedPolls

_NAME: Final = re.compile(r"[A-Za-z0-9_.:#-]+", re.ASCII)


class Channels:
    """What a node can do with a channel."""

    def __init__(  # noqa: PLR0913 - a node's stores, one by one
        self,
        application: Application,
        hub: Hub,
        limits: Limits,
        counters: Counters,
        *,
        broker: Broker,
        durable: Broker | None,
        maps: MapBroker,
        presence: Presence,
    ) -> None:
        self.application = application
        self.hub = hub
        self.limits = limits
        self.counters = counters
        self.broker = broker
        self.durable = durable
        self.presence = presence
        self.maps = Maps(maps, hub, limits, self.spec)
        self.polls = SharedPolls(application, hub)
        self._passed: Leases[tuple[str, str], bool] = Leases(IDEMPOTENCY_TTL)
        self._linked: set[str] = set()
        self._linking: dict[str, asyncio.Task[None]] = {}
        self._tops: dict[str, Position] = {}
        """Where logs stood at the last position check that somebody here had not come to yet."""
        self._tasks: set[asyncio.Task[None]] = set()

    def spec(self, channel: str) -> ChannelSpec:
        """The options of a channel.

        Raises:
            Refused: `BAD_REQUEST` for a name outside the grammar (ASCII letters, digits and `_.:#-`, at most
                `limits.channel_bytes`), `UNKNOWN_CHANNEL` for one that the application does not know.
        """
        if len(channel) > self.limits.channel_bytes or not _NAME.fullmatch(channel):
            raise Refused(Code.BAD_REQUEST, "channel name is not valid")
        spec = self.application.channel(channel)
        if spec is None:
            raise Refused(Code.UNKNOWN_CHANNEL)
        return spec

    def _broker(self, spec: ChannelSpec) -> Broker:
        if not spec.durable:
            return self.broker
        if self.durable is None:
            raise Refused(Code.NOT_AVAILABLE, "this node has no durable broker")
        return self.durable

    def _log(self, spec: ChannelSpec) -> Broker | MapBroker:
        return self._broker(spec) if spec.map is None else self.maps.broker

    async def publish(self, channel: str, message: Message) -> Position:
        """Append to the channel's log and fan out; offset 0 for a channel without history.

        Raises:
            Refused: `UNKNOWN_CHANNEL` or `BAD_REQUEST`, see `spec`; `NOT_AVAILABLE` for maps and shared polls.
            IdempotencyConflict: the key was used for another payload.
        """
        spec = self.spec(channel)
        if spec.map is not None or spec.poll is not None:
            raise Refused(Code.NOT_AVAILABLE, "this channel takes keys and values")
        return await self._broker(spec).publish(channel, message, spec.retention)

    def is_first(self, channel: str, idempotency_key: str) -> bool:
        """Whether the key is new, of what goes to the subscribers here without any log."""
        now = monotonic()
        self._passed.expire(now)
        if self._passed.get((channel, idempotency_key)):
            return False
        self._passed.touch((channel, idempotency_key), True, now)
        return True

    async def history(self, channel: str, query: HistoryQuery) -> HistoryPage:
        """Read a channel's log.

        Raises:
            Refused: `UNKNOWN_CHANNEL` or `BAD_REQUEST`, see `spec`; `NOT_AVAILABLE` for a channel without history.
            UnrecoverablePosition: `query.since` names another epoch.
        """
        spec = self.spec(channel)
        if spec.retention.size <= 0:
            raise Refused(Code.NOT_AVAILABLE)
        return await self._log(spec).history(channel, query, spec.retention)

    async def members(self, channel: str) -> Mapping[str, ClientInfo]:
        """Who is in the channel, by client id. Raises Refused `UNKNOWN_CHANNEL`, `BAD_REQUEST`, or `NOT_AVAILABLE`
        without presence."""
        self._require_presence(channel)
        return await self.presence.members(channel)

    async def presence_stats(self, channel: str) -> PresenceStats:
        """How many are in the channel. Raises as `members` does."""
        self._require_presence(channel)
        return await self.presence.stats(channel)

    def _require_presence(self, channel: str) -> None:
        if not self.spec(channel).presence:
            raise Refused(Code.NOT_AVAILABLE)

    async def appear(self, channel: str, spec: ChannelSpec, info: ClientInfo) -> None:
        """Enter a channel where that is seen, and tell its members."""
        if spec.presence:
            await self.presence.touch(channel, info)
        if spec.join_leave:
            self.hub.announce(Push(channel, join=Membership(info)))
        await self.maps.appear(spec, info)

    async def remain(self, channel: str, spec: ChannelSpec, info: ClientInfo) -> None:
        """Renew what `appear` did, before its lease is over."""
        if spec.presence:
            await self.presence.touch(channel, info)
        await self.maps.appear(spec, info)

    async def disappear(self, channel: str, spec: ChannelSpec, info: ClientInfo) -> None:
        """Undo `appear`."""
        if spec.join_leave:
            self.hub.announce(Push(channel, leave=Membership(info)))
        await self.vanish(channel, spec, info)

    async def vanish(self, channel: str, spec: ChannelSpec, info: ClientInfo) -> None:
        """Undo what `appear` stored, without a word to the members. Idempotent."""
        if spec.presence:
            await self.presence.drop(channel, info.client)
        await self.maps.disappear(channel, spec, info)

    async def link(self, channel: str, spec: ChannelSpec) -> None:
        """Make the broker's subscription follow the hub: there while the channel has a subscriber here.

        To be awaited after every `hub.join` and `hub.leave`. A cancelled caller leaves the work to go on.
        """
        if spec.poll is not None:
            return
        if channel not in self._linking and self._is_linked(channel):
            return
        task = self._linking.get(channel)
        if task is None:
            work = self._follow(channel, self._log(spec))
            task = self._linking[channel] = asyncio.get_running_loop().create_task(work)
        await asyncio.shield(task)

    def _is_linked(self, channel: str) -> bool:
        return (channel in self._linked) is (self.hub.num_subscribers(channel) > 0)

    async def _follow(self, channel: str, broker: Broker | MapBroker) -> None:
        """One at a time per channel. The hub may change while the broker answers, so it is looked at again."""
        try:
            while not self._is_linked(channel):
                if channel in self._linked:
                    await broker.unsubscribe(channel)
                    self._linked.discard(channel)
                else:
                    await broker.subscribe(channel)
                    self._linked.add(channel)
        finally:
            # In the same turn as the last look, so that nobody waits for a task that looks no more.
            del self._linking[channel]

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run clean-up on its own; a failure is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("Clean-up failed", exc_info=task.exception())

    async def settle(self) -> None:
        """Wait for all clean-up begun so far."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def check_positions(self) -> None:
        """Hold every positioned subscriber here against its log, and tell who has missed something; to be called twice
        in the time that a loss may go unnoticed.

        What another process has published may be on its way, so nobody is told for being behind once: only for not
        having come by the next call to where the log stood.
        """
        former, self._tops = self._tops, {}
        for channel in self.hub.channels():
            try:
                await self._check_position(channel, former.get(channel))
            except Exception:  # noqa: BLE001 - one channel's store being down must not end the check of the others
                logger.warning("Position check failed for a channel; it is tried again", exc_info=True)

    async def _check_position(self, channel: str, former: Position | None) -> None:
        spec = self.spec(channel)
        if spec.retention.size <= 0 or not any(member.positioned for member in self.hub.members(channel)):
            return
        top = (await self._log(spec).history(channel, HistoryQuery(), spec.retention)).top
        if former is not None and former.epoch == top.epoch:
            self.hub.check_top(channel, former)
        if self.hub.is_behind(channel, top):
            self._tops[channel] = top
