"""The followers and values of one shared poll, and how an answer of the application comes to them (protocol §2.14)."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from hotclub.engine.hub import Hub
from hotclub.engine.model import Publication
from hotclub.engine.observe import logger, printable
from hotclub.engine.port import PollAnswer, PolledItem, PollSpec, ResolvedChannel
from hotclub.engine.shape import Delivery
from hotclub.engine.subscriber import PollSubscriber
from hotclub.engine.turns import Turn

Item = TypeVar("Item")
AT_ONE_TIME: Final = 4
"""How many questions of one channel may wait for an answer at one time."""
_SOME: Final = 50
"""How many followers of a key are told a value between two looks at the clock."""


class PolledChannel:
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
        *("_versions", "task", "values"),
    )

    def __init__(self, resolved: ResolvedChannel, spec: PollSpec, versions: Iterator[int]) -> None:
        """Nobody follows a key. `versions` gives versions to values that have none."""
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
        self.free = asyncio.Semaphore(AT_ONE_TIME)
        self.news = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.idle = False
        self._versions = versions

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

    async def expire(self, now: float) -> None:
        """Forget the followers whose signature is over. A client knows when that is, so it is not told."""
        turn = Turn()
        for key in [*self.followers]:
            for some in _some_at_a_time([*self.followers.get(key, ())]):
                for subscriber in some:
                    tracked = subscriber.tracked.get(key)
                    if tracked is not None and tracked.until <= now:
                        self.forget(subscriber, key)
                await turn.give_way()

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

    def take(self, hub: Hub, answer: PollAnswer, asked: Sequence[str]) -> Iterator[None]:
        """Take an answer and tell the followers, some of them per step. `asked` are asked for no longer at the end."""
        try:
            if self.spec.versioned and answer.epoch != self.epoch:
                self._begin_anew(hub, answer.epoch)
            for item in answer.items:
                if item.key in self.followers:
                    yield from self._remove(hub, item.key) if item.removed else self._set(hub, item)
        finally:
            self.asking.difference_update(asked)

    def _begin_anew(self, hub: Hub, epoch: str) -> None:
        """Take another epoch, in which the followers' versions mean nothing: tell the followers to subscribe again."""
        self.epoch = epoch
        members = hub.members(self.name)
        hub.peers.report_gaps(member for member in members if isinstance(member, PollSubscriber) and member.tracked)

    def _set(self, hub: Hub, item: PolledItem) -> Iterator[None]:
        value = self.values.get(item.key)
        version = item.version
        if self.spec.versioned:
            if value is not None and version <= value.version:
                return
        elif value is not None and value.data == item.data:
            return
        else:
            version = next(self._versions)
        publication = Publication(key=item.key, data=item.data, version=version)
        self.values[item.key] = publication
        delivery = Delivery(self.name, publication)
        for some in _some_at_a_time([*self.followers[item.key]]):
            behind = []
            for subscriber in some:
                tracked = subscriber.tracked.get(item.key)
                if tracked is not None and tracked.version < version:
                    tracked.version = version
                    behind.append(subscriber)
            hub.deliver_among(delivery, behind)
            yield

    def _remove(self, hub: Hub, key: str) -> Iterator[None]:
        self.values.pop(key, None)
        delivery = Delivery(self.name, Publication(key=key, removed=True))
        for some in _some_at_a_time([*self.followers[key]]):
            # Whoever has been told a newer value meanwhile goes on to follow the key.
            newer = self.values.get(key)
            over = [
                subscriber
                for subscriber in some
                if (tracked := subscriber.tracked.get(key)) is not None
                and (newer is None or tracked.version < newer.version)
            ]
            for subscriber in over:
                self.forget(subscriber, key)
            # Last: `forget` drops what is held for a slow reader, and the removal may have to be held.
            hub.deliver_among(delivery, over)
            yield


def _some_at_a_time(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), _SOME):
        yield items[start : start + _SOME]
