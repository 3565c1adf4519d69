"""The broker of a single process: a ring of publications per channel.

A channel's epoch is random and lasts as long as its log is remembered, so a position from before a restart is never
mistaken for one of this process.
"""

import secrets
from collections import deque
from collections.abc import Callable, Iterator, Reversible, Sequence
from itertools import islice
from time import monotonic, time
from typing import Final

from msgspec import Raw, structs

from hotclub.engine.broker.base import IDEMPOTENCY_TTL, HistoryQuery, Message, PublicationHandler, Retention, is_newer
from hotclub.engine.errors import IdempotencyConflict, UnrecoverablePosition
from hotclub.engine.leases import Leases
from hotclub.engine.model import HistoryPage, Position, Publication

META_TTL: Final = 30 * 24 * 3600.0
"""How long the position of a channel outlives its last use, in seconds."""


class _Log:
    """One channel: the kept publications with their deadlines, oldest first."""

    __slots__ = ("_kept", "epoch", "top", "used", "version")

    def __init__(self, now: float) -> None:
        self.epoch = secrets.token_urlsafe(6)
        self.top = 0
        # A deque is 600 bytes when it is empty, and most personal channels are.
        self._kept: deque[tuple[float, Publication]] | None = None
        self.used = now
        self.version: tuple[str, int] = "", 0
        """The newest version, and what it counts in."""

    def advance(self, version_epoch: str, version: int) -> bool:
        """Take note of a version; whether it is newer than every one before it."""
        if not is_newer(version_epoch, version, *self.version):
            return False
        self.version = version_epoch, version
        return True

    @property
    def entries(self) -> Sequence[tuple[float, Publication]]:
        return self._kept or ()

    def append(self, deadline: float, publication: Publication) -> None:
        if self._kept is None:
            self._kept = deque()
        self._kept.append((deadline, publication))

    def expire(self, now: float, size: int) -> None:
        kept = self._kept
        while kept and (kept[0][0] <= now or len(kept) > size):
            kept.popleft()
        if not kept:
            self.clear()

    def clear(self) -> None:
        self._kept = None


class MemoryBroker:
    """The `Broker` of a node that stands alone."""

    def __init__(self, handler: PublicationHandler, *, clock: Callable[[], float] = monotonic) -> None:
        self._handler = handler
        self._clock = clock
        self._logs: dict[str, _Log] = {}
        self._answers: Leases[tuple[str, str], tuple[Position, Raw]] = Leases(IDEMPOTENCY_TTL)
        self._subscribed: set[str] = set()

    async def publish(self, channel: str, message: Message, retention: Retention) -> Position:
        now = self._clock()
        first = self._first_answer(channel, message, now)
        if first is not None:
            return first
        if message.version and not self._log(channel, now).advance(message.version_epoch, message.version):
            return self._top(channel, retention, now)
        position, publication = self._append(channel, message, retention, now)
        if message.idempotency_key:
            self._answers.touch((channel, message.idempotency_key), (position, message.data), now)
        if channel in self._subscribed:
            self._handler(channel, publication, position.epoch)
        return position

    def _top(self, channel: str, retention: Retention, now: float) -> Position:
        log = self._log(channel, now)
        return Position(log.epoch, log.top) if retention.size > 0 else Position("", 0)

    def _first_answer(self, channel: str, message: Message, now: float) -> Position | None:
        if not message.idempotency_key:
            return None
        self._answers.expire(now)
        first = self._answers.get((channel, message.idempotency_key))
        if first is None:
            return None
        position, data = first
        if data != message.data:
            raise IdempotencyConflict(channel, message.idempotency_key)
        return position

    def _append(self, channel: str, message: Message, retention: Retention, now: float) -> tuple[Position, Publication]:
        publication = Publication(
            data=message.data, info=message.info, tags=message.tags, time=int(time() * 1000), binary=message.binary
        )
        if retention.size <= 0:
            return Position("", 0), publication
        log = self._log(channel, now)
        log.top += 1
        publication = structs.replace(publication, offset=log.top, epoch=log.epoch if log.top == 1 else "")
        log.append(now + retention.ttl, publication)
        log.expire(now, retention.size)
        return Position(log.epoch, log.top), publication

    async def subscribe(self, channel: str) -> None:
        self._subscribed.add(channel)

    async def unsubscribe(self, channel: str) -> None:
        self._subscribed.discard(channel)

    async def history(self, channel: str, query: HistoryQuery, retention: Retention) -> HistoryPage:
        now = self._clock()
        log = self._log(channel, now)
        log.expire(now, retention.size)
        return read_page(log.entries, query, Position(log.epoch, log.top))

    async def remove_history(self, channel: str) -> None:
        if channel in self._logs:
            self._logs[channel].clear()

    def sweep(self) -> None:
        """Give back the memory of what has expired; to be called now and then."""
        now = self._clock()
        self._answers.expire(now)
        for channel, log in list(self._logs.items()):
            log.expire(now, len(log.entries))
            if not log.entries and log.used + META_TTL <= now and channel not in self._subscribed:
                del self._logs[channel]

    def _log(self, channel: str, now: float) -> _Log:
        log = self._logs.get(channel)
        if log is None:
            log = self._logs[channel] = _Log(now)
        log.used = now
        return log


def read_page(log: Reversible[tuple[float, Publication]], query: HistoryQuery, top: Position) -> HistoryPage:
    """The part of a log's kept publications that a query asks for; `top` is where the log stands.

    Raises:
        UnrecoverablePosition: `query.since` names another epoch.
    """
    since = query.since
    if since is not None and since.epoch and since.epoch != top.epoch:
        raise UnrecoverablePosition(since.epoch, top.epoch)
    found = _select(log, query)
    return HistoryPage(tuple(found if query.limit < 0 else islice(found, query.limit)), top)


def _select(log: Reversible[tuple[float, Publication]], query: HistoryQuery) -> Iterator[Publication]:
    """What a query asks of a log, kept with deadlines, oldest first."""
    offset = None if query.since is None else query.since.offset
    entries = reversed(log) if query.reverse else iter(log)
    for _, publication in entries:
        if offset is None or (publication.offset < offset if query.reverse else publication.offset > offset):
            yield publication
