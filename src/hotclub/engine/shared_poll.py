"""Shared polls: the application is asked once for a key's value, however many follow the key (protocol §2.14).

Each channel has one task while a key of it is followed. The task asks for every followed key once per interval, and at
once for a key that was not followed before. A value that has changed goes to the followers of its key.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import count
from time import monotonic
from typing import Final

from hotclub.engine.hub import Hub
from hotclub.engine.model import Publication
from hotclub.engine.observe import logger, printable
from hotclub.engine.port import Follows, PollAnswer, PolledItem, PollItem, PollSpec, ResolvedChannel
from hotclub.engine.subscriber import PollSubscriber, Subscriber, Tracked

_AT_ONE_TIME: Final = 4
"""How many questions of one channel may wait for an answer at one time."""
_LAST_WAITS: Final = (0.5, 0.1)
"""The seconds for which `stop` waits after it has cancelled what runs the first time, and the second time."""


class _Channel:
    """One channel: its followers and values by key.

    `fresh` are the keys that have not been asked for yet. `asking` are the keys that are being asked for, and
    `questions` the tasks that do so; `late` are those of them that have not ended in time.
    """

    __slots__ = (
        *(
            "asking",
            "epoch",
            "followers",
            "free",
            "fresh",
            "idle",
            "late",
            "name",
            "news",
            "questions",
            "resolved",
            "spec",
        ),
        *("task", "values"),
    )

    def __init__(self, resolved: ResolvedChannel, spec: PollSpec) -> None:
        self.resolved = resolved
        self.name = resolved.name
        self.spec = spec
        self.epoch = ""
        self.values: dict[str, Publication] = {}
        self.followers: dict[str, dict[PollSubscriber, None]] = {}
        self.fresh: set[str] = set()
        self.asking: set[str] = set()
        self.questions: set[asyncio.Task[None]] = set()
        self.late = 0
        self.free = asyncio.Semaphore(_AT_ONE_TIME)
        self.news = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.idle = False

    def forget(self, subscriber: PollSubscriber, key: str) -> None:
        """Let the subscriber follow the key no longer. Idempotent."""
        subscriber.tracked.pop(key, None)
        subscriber.drop_base(key)
        subscriber.drop_held(key)
        followers = self.followers.get(key)
        if followers is None:
            return
        followers.pop(subscriber, None)
        if not followers:
            del self.followers[key]
            self.values.pop(key, None)
            self.fresh.discard(key)

    def known_version(self, key: str) -> int:
        """The version of a key's value, 0 where there is none."""
        value = self.values.get(key)
        return value.version if value is not None and self.spec.versioned else 0

    def expire(self, now: float) -> None:
        """Forget the followers whose signature is over. A client knows when that is, so it is not told."""
        over = [
            (subscriber, key)
            for key, followers in self.followers.items()
            for subscriber in followers
            if subscriber.tracked[key].until <= now
        ]
        for subscriber, key in over:
            self.forget(subscriber, key)

    def ended(self, question: "asyncio.Task[None]") -> None:
        """Note that a question has ended."""
        self.questions.discard(question)
        self.free.release()

    def be_late(self, question: "asyncio.Task[None]") -> None:
        """Cancel a question that has taken too long. It may go on, and its keys are not asked for until it ends."""
        self.late += 1
        question.add_done_callback(self._be_late_no_longer)
        question.cancel()
        logger.warning("A shared poll of %r takes too long; it is tried again when it ends", printable(self.name))

    def _be_late_no_longer(self, _question: "asyncio.Task[None]") -> None:
        self.late -= 1


class SharedPolls:
    """The shared polls of a node. Everything but asking the application is synchronous."""

    def __init__(self, application: Follows, hub: Hub) -> None:
        self._application = application
        self._hub = hub
        self._channels: dict[str, _Channel] = {}
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

    def _channel(self, subscriber: PollSubscriber) -> _Channel:
        spec = subscriber.spec.poll
        assert spec is not None
        channel = self._channels.get(subscriber.channel)
        if channel is None:
            channel = self._channels[subscriber.channel] = _Channel(subscriber.resolved, spec)
        return channel

    def _work(self, channel: _Channel) -> None:
        if channel.fresh or not channel.followers:
            channel.news.set()
        if channel.followers and (channel.task is None or channel.task.done()):
            channel.task = asyncio.get_running_loop().create_task(self._keep_asking(channel))

    async def _keep_asking(self, channel: _Channel) -> None:
        due = monotonic() + channel.spec.interval
        while channel.followers:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(due - monotonic()):
                    await channel.news.wait()
            channel.news.clear()
            now = monotonic()
            if now >= due:
                channel.expire(now)
                due = max(due + channel.spec.interval, now)
                await self._ask(channel, [*channel.followers])
            elif channel.fresh:
                await self._ask(channel, [*channel.fresh])

    async def _ask(self, channel: _Channel, keys: Sequence[str]) -> None:
        channel.fresh.difference_update(keys)
        keys, size = sorted({*keys} - channel.asking), channel.spec.batch
        batches = [keys[start : start + size] for start in range(0, len(keys), size)]
        await asyncio.gather(*(self._ask_batch(channel, batch) for batch in batches))

    async def _ask_batch(self, channel: _Channel, keys: Sequence[str]) -> None:
        try:
            async with asyncio.timeout(0 if channel.late >= _AT_ONE_TIME else channel.spec.timeout):
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

    async def _question(self, channel: _Channel, keys: Sequence[str]) -> None:
        items = tuple(PollItem(key, channel.known_version(key)) for key in keys)
        channel.asking.update(keys)
        try:
            self._take(channel, await self._application.poll(channel.resolved, items))
        except Exception:  # noqa: BLE001 - whatever it was, the next answer may be one
            logger.warning("A shared poll of %r failed; it is tried again", printable(channel.name), exc_info=True)
        finally:
            channel.asking.difference_update(keys)

    def _take(self, channel: _Channel, answer: PollAnswer) -> None:
        if channel.spec.versioned and answer.epoch != channel.epoch:
            self._begin_anew(channel, answer.epoch)
        for item in answer.items:
            if item.key not in channel.followers:
                continue
            if item.removed:
                self._remove(channel, item.key)
            else:
                self._set(channel, item)

    def _begin_anew(self, channel: _Channel, epoch: str) -> None:
        """Take another epoch, in which the followers' versions mean nothing: tell the followers to subscribe again."""
        channel.epoch = epoch
        self._hub.peers.report_gaps(
            {subscriber for followers in channel.followers.values() for subscriber in followers}
        )

    def _set(self, channel: _Channel, item: PolledItem) -> None:
        value = channel.values.get(item.key)
        version = item.version
        if channel.spec.versioned:
            if value is not None and version <= value.version:
                return
        elif value is not None and value.data == item.data:
            return
        else:
            version = next(self._versions)
        publication = Publication(key=item.key, data=item.data, version=version)
        channel.values[item.key] = publication
        behind = []
        for subscriber in channel.followers[item.key]:
            tracked = subscriber.tracked[item.key]
            if tracked.version < version:
                tracked.version = version
                behind.append(subscriber)
        self._hub.deliver_among(channel.name, behind, publication)

    def _remove(self, channel: _Channel, key: str) -> None:
        followers = [*channel.followers[key]]
        for subscriber in followers:
            channel.forget(subscriber, key)
        # Last: `forget` drops what is held for a slow reader, and the removal may have to be held.
        self._hub.deliver_among(channel.name, followers, Publication(key=key, removed=True))
