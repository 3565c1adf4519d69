"""Shared polls: the application is asked once for a key's value, however many follow the key (protocol §2.14).

Each channel has one task while a key of it is followed. The task asks for every followed key once per interval, and at
once for a key that was not followed before. A value that has changed goes to the followers of its key.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import count
from time import monotonic
from typing import Final

from hotclub.engine.hub import Hub
from hotclub.engine.model import Publication
from hotclub.engine.observe import logger, printable
from hotclub.engine.polled import AT_ONE_TIME, PolledChannel
from hotclub.engine.port import Follows, PollAnswer, PolledItem, PollItem, PollSpec
from hotclub.engine.subscriber import PollSubscriber, Subscriber, Tracked

_SORTED: Final = 1_000
"""About how many keys are sorted at one time."""
_LAST_WAITS: Final = (0.5, 0.1)
"""The seconds for which `stop` waits after it has cancelled what runs the first time, and the second time."""


class SharedPolls:
    """The shared polls of a node. Everything but asking the application is synchronous."""

    def __init__(self, application: Follows, hub: Hub) -> None:
        self._application = application
        self._hub = hub
        self._channels: dict[str, PolledChannel] = {}
        # One counter for all channels: a key that comes back gets a higher version than it ever had.
        self._epoch = secrets.token_urlsafe(6)
        self._versions = count(1)

    def epoch(self, channel: str, spec: PollSpec) -> str:
        """The epoch of a channel's versions; "" when the application gives versions without an epoch."""
        if not spec.versioned:
            return self._epoch
        known = self._channels.get(channel)
        return "" if known is None else known.epoch

    def track(
        self, subscriber: PollSubscriber, wanted: Mapping[str, Tracked], dropped: Collection[str] = ()
    ) -> tuple[Publication, ...]:
        """Let a subscriber follow keys, and return the known values that are newer than the subscriber's.

        Args:
            subscriber: the subscriber.
            wanted: the keys to follow, each with the version that the subscriber has.
            dropped: keys to follow no longer; of a key in both, this counts.
        """
        channel = self._channel(subscriber)
        known = []
        for key, tracked in wanted.items():
            if key in dropped:
                continue
            subscriber.drop_held(key)
            subscriber.tracked[key] = tracked
            channel.followers.setdefault(key, {})[subscriber] = None
            value = channel.values.get(key)
            if value is None:
                channel.fresh.add(key)
            elif value.version > tracked.version:
                tracked.version = value.version
                known.append(value)
        self.untrack(subscriber, dropped)
        self._work(channel)
        return tuple(known)

    def untrack(self, subscriber: PollSubscriber, keys: Iterable[str]) -> None:
        """Let a subscriber follow these keys no longer. Idempotent."""
        channel = self._channels.get(subscriber.channel)
        if channel is None:
            return
        for key in keys:
            channel.forget(subscriber, key)
        if not channel.followers:
            channel.news.set()

    def leave(self, subscriber: Subscriber) -> None:
        """Let a subscriber follow nothing any more. Idempotent. Does nothing for other channels than shared polls."""
        if isinstance(subscriber, PollSubscriber) and subscriber.tracked:
            self.untrack(subscriber, [*subscriber.tracked])

    def publish(self, channel: str, item: PolledItem, epoch: str = "") -> None:
        """Take a key's value before it is asked for the next time. Does nothing when the key is not followed here."""
        known = self._channels.get(channel)
        if known is not None:
            self._take(known, PollAnswer(items=(item,), epoch=epoch))

    async def refresh(self, channel: str) -> None:
        """Ask the application for every followed key of a channel now, except for keys that are being asked for. A
        failed question is logged."""
        known = self._channels.get(channel)
        if known is not None:
            await self._ask(known, [*known.followers])

    def sweep(self) -> None:
        """Forget the channels in which no key has been followed since the last call."""
        for name, channel in list(self._channels.items()):
            if channel.followers or channel.late:
                channel.idle = False
            elif channel.idle:
                del self._channels[name]
            else:
                channel.idle = True

    async def stop(self) -> None:
        """End every task, and forget every channel. A question that hangs is left behind. Idempotent."""
        channels, self._channels = [*self._channels.values()], {}
        tasks = {task for channel in channels for task in (channel.task, *channel.questions) if task is not None}
        for seconds in _LAST_WAITS:
            for task in tasks:
                task.cancel()
            if tasks:
                _, tasks = await asyncio.wait(tasks, timeout=seconds)

    def _channel(self, subscriber: PollSubscriber) -> PolledChannel:
        spec = subscriber.spec.poll
        assert spec is not None
        channel = self._channels.get(subscriber.channel)
        if channel is None:
            channel = self._channels[subscriber.channel] = PolledChannel(subscriber.resolved, spec, self._versions)
        return channel

    def _work(self, channel: PolledChannel) -> None:
        if channel.fresh or not channel.followers:
            channel.news.set()
        if channel.followers and (channel.task is None or channel.task.done()):
            channel.task = asyncio.get_running_loop().create_task(self._keep_asking(channel))

    async def _keep_asking(self, channel: PolledChannel) -> None:
        due = monotonic() + channel.spec.interval
        while channel.followers:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(due - monotonic()):
                    await channel.news.wait()
            channel.news.clear()
            now = monotonic()
            if now >= due:
                await channel.expire(now)
                due = max(due + channel.spec.interval, now)
                await self._ask(channel, [*channel.followers])
            elif channel.fresh:
                await self._ask(channel, [*channel.fresh])

    async def _ask(self, channel: PolledChannel, keys: Sequence[str]) -> None:
        channel.fresh.difference_update(keys)
        wanted, size = [key for key in keys if key not in channel.asking], channel.spec.batch
        batches = _batches(wanted, size)
        until = monotonic() + channel.spec.timeout

        async def ask() -> None:
            for batch in batches:
                await self._ask_batch(channel, batch)
                if monotonic() >= until:
                    return

        await asyncio.gather(*(ask() for _ in range(min(AT_ONE_TIME, len(wanted)))))

    async def _ask_batch(self, channel: PolledChannel, keys: Sequence[str]) -> None:
        try:
            async with asyncio.timeout(0 if channel.late >= AT_ONE_TIME else channel.spec.timeout):
                await channel.free.acquire()
        except TimeoutError:
            return
        question = asyncio.get_running_loop().create_task(self._question(channel, keys))
        channel.questions.add(question)
        question.add_done_callback(channel.ended)
        try:
            await asyncio.wait((question,), timeout=channel.spec.timeout)
        finally:
            if not question.done():
                channel.be_late(question)

    async def _question(self, channel: PolledChannel, keys: Sequence[str]) -> None:
        items = tuple(PollItem(key, channel.known_version(key)) for key in keys)
        channel.asking.update(keys)
        try:
            answer = await self._application.poll(channel.resolved, items)
        except BaseException as error:
            channel.asking.difference_update(keys)
            if not isinstance(error, Exception):
                raise
            logger.warning("A shared poll of %r failed; it is tried again", printable(channel.name), exc_info=True)
        else:
            # Not before all followers are told are the keys asked for again, so values stay in their order.
            self._take(channel, answer, keys)

    def _take(self, channel: PolledChannel, answer: PollAnswer, asked: Sequence[str] = ()) -> None:
        """Take an answer, and tell the followers: very many of them in turns. `asked` are asked for no longer then."""
        failure = "A value of a shared poll could not be told to its followers"
        self._hub.peers.background.in_turns(_nothing, channel.take(self._hub, answer, asked), failure)


def _nothing(_done: None) -> None:
    """Only the steps themselves work."""


def _batches(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Batches of keys, in the order of the keys as far as they are sorted at a time: to sort all may take long."""
    at_one_time = size * max(1, _SORTED // size)
    for first in range(0, len(keys), at_one_time):
        some = sorted(keys[first : first + at_one_time])
        yield from (some[start : start + size] for start in range(0, len(some), size))
