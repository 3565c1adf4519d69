"""The broker of a single process: a ring of publications per channel.

A channel's epoch is random and lasts as long as its log is remembered, so a position from before a restart is never
mistaken for one of this process.
"""

import secrets
from collections.abc import Callable
from time import monotonic, time

from msgspec import Raw, structs

from hotclub.engine.broker.answers import Answers
from hotclub.engine.broker.base import HistoryQuery, Message, PublicationHandler, Retention, is_newer
from hotclub.engine.broker.ring import META_TTL, Ring
from hotclub.engine.model import HistoryPage, Position, Publication


class _Log(Ring):
    """One channel: the kept publications, and where its log stands."""

    __slots__ = ("epoch", "top", "used", "version")

    def __init__(self, now: float) -> None:
        super().__init__()
        self.epoch = secrets.token_urlsafe(6)
        self.top = 0
        self.used = now
        self.version: tuple[str, int] = "", 0
        """The newest version, after its epoch; 0 is none."""

    def advance(self, version_epoch: str, version: int) -> bool:
        """Take note of a version. Returns whether it is newer than every one before it."""
        if not is_newer(version_epoch, version, *self.version):
            return False
        self.version = version_epoch, version
        return True


class MemoryBroker:
    """The `Broker` of a node that stands alone. `sweep` is to be called now and then."""

    def __init__(self, handler: PublicationHandler, *, clock: Callable[[], float] = monotonic) -> None:
        """`handler` is called for every publication of a channel that this node is subscribed to."""
        self._handler = handler
        self._clock = clock
        self._logs: dict[str, _Log] = {}
        self._answers: Answers[Raw] = Answers()
        self._subscribed: set[str] = set()

    async def publish(self, channel: str, message: Message, retention: Retention) -> Position:
        """See `Broker.publish`. Nothing awaits, so a cancelled caller finds the message stored."""
        now = self._clock()
        first = self._answers.find(channel, message.idempotency_key, message.data, now)
        if first is not None:
            return first
        if message.version and not self._log(channel, now).advance(message.version_epoch, message.version):
            return self._top(channel, retention, now)
        position, publication = self._append(channel, message, retention, now)
        self._answers.keep(channel, message.idempotency_key, message.data, position, now)
        if channel in self._subscribed:
            self._handler(channel, publication, position.epoch)
        return position

    def _top(self, channel: str, retention: Retention, now: float) -> Position:
        log = self._log(channel, now)
        return Position(log.epoch, log.top) if retention.size > 0 else Position("", 0)

    def _append(self, channel: str, message: Message, retention: Retention, now: float) -> tuple[Position, Publication]:
        publication = Publication(
            data=message.data, info=message.info, tags=message.tags, time=int(time() * 1000), binary=message.binary
        )
        if retention.size <= 0:
            return Position("", 0), publication
        log = self._log(channel, now)
        log.top += 1
        publication = structs.replace(publication, offset=log.top, epoch=log.epoch if log.top == 1 else "")
        log.append(publication, now + retention.ttl)
        log.expire(now, retention.size)
        return Position(log.epoch, log.top), publication

    async def subscribe(self, channel: str) -> None:
        """See `Broker.subscribe`."""
        self._subscribed.add(channel)

    async def unsubscribe(self, channel: str) -> None:
        """See `Broker.unsubscribe`."""
        self._subscribed.discard(channel)

    async def history(self, channel: str, query: HistoryQuery, retention: Retention) -> HistoryPage:
        """See `Broker.history`."""
        now = self._clock()
        log = self._log(channel, now)
        log.expire(now, retention.size)
        return log.read(query, Position(log.epoch, log.top))

    async def remove_history(self, channel: str) -> None:
        """See `Broker.remove_history`."""
        if channel in self._logs:
            self._logs[channel].clear()

    def sweep(self) -> None:
        """Give back the memory of what has expired."""
        now = self._clock()
        self._answers.expire(now)
        for channel, log in list(self._logs.items()):
            log.expire(now, len(log))
            if not len(log) and log.used + META_TTL <= now and channel not in self._subscribed:
                del self._logs[channel]

    def _log(self, channel: str, now: float) -> _Log:
        log = self._logs.get(channel)
        if log is None:
            log = self._logs[channel] = _Log(now)
        log.used = now
        return log
