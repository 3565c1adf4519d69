"""The broker of a single process: a ring of publications per channel.

A log without publications takes no memory, because its epoch follows from its name. Of a log whose publications have
all expired only the position is remembered, for a while. Whenever such a position is forgotten, the epoch of every new
log changes: a position is never mistaken for one of another log, nor one from before a restart for one from after it.
"""

from collections.abc import Callable
from time import monotonic, time
from typing import Final

from msgspec import structs

from hotclub.engine.broker.answers import Answers, digest
from hotclub.engine.broker.base import HistoryQuery, Message, PublicationHandler, Retention, is_newer
from hotclub.engine.broker.epochs import Epochs
from hotclub.engine.broker.idle import Idle
from hotclub.engine.broker.ring import Ring
from hotclub.engine.model import HistoryPage, Position, Publication

_AT_ONE_TIME: Final = 500
"""How many logs are looked at in one call of `sweep`."""


class _Log(Ring):
    """One channel: the kept publications, and where its log stands."""

    __slots__ = ("epoch", "top", "used", "version")

    def __init__(self, epoch: str) -> None:
        super().__init__()
        self.epoch = epoch
        self.top = 0
        self.used = 0.0
        self.version: tuple[str, int] = "", 0
        """The newest version, after its epoch; 0 is none."""

    @property
    def blank(self) -> bool:
        """Whether nothing was ever published here, so that the log need not be remembered."""
        return not self.top and not self.version[1]

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
        """What was published to, and what is subscribed to."""
        self._epochs = Epochs()
        self._idle = Idle(self._epochs)
        self._sweeping: list[str] = []
        self._answers = Answers()
        self._subscribed: set[str] = set()

    async def publish(self, channel: str, message: Message, retention: Retention) -> Position:
        """See `Broker.publish`. Nothing awaits, so a cancelled caller finds the message stored."""
        now = self._clock()
        key = message.idempotency_key
        content = digest(message.data) if key else b""
        first = self._answers.find(channel, key, content, now)
        if first is not None:
            return first
        if message.version and not self._kept(channel, now).advance(message.version_epoch, message.version):
            return self._top(channel, retention)
        position, publication = self._append(channel, message, retention, now)
        self._answers.keep(channel, key, content, position, now)
        if channel in self._subscribed:
            self._handler(channel, publication, position.epoch)
        return position

    def _top(self, channel: str, retention: Retention) -> Position:
        log = self._log(channel)
        return Position(log.epoch, log.top) if retention.size > 0 else Position("", 0)

    def _append(self, channel: str, message: Message, retention: Retention, now: float) -> tuple[Position, Publication]:
        publication = Publication(
            data=message.data, info=message.info, tags=message.tags, time=int(time() * 1000), binary=message.binary
        )
        if retention.size <= 0:
            return Position("", 0), publication
        log = self._kept(channel, now)
        log.top += 1
        publication = structs.replace(publication, offset=log.top, epoch=log.epoch if log.top == 1 else "")
        log.append(publication, now + retention.ttl)
        log.expire(now, retention.size)
        return Position(log.epoch, log.top), publication

    async def subscribe(self, channel: str) -> None:
        """See `Broker.subscribe`."""
        self._subscribed.add(channel)
        self._idle.wake(channel)

    async def unsubscribe(self, channel: str) -> None:
        """See `Broker.unsubscribe`."""
        self._subscribed.discard(channel)
        log = self._logs.get(channel)
        if log is not None:
            self._rest(channel, log)

    async def history(self, channel: str, query: HistoryQuery, retention: Retention) -> HistoryPage:
        """See `Broker.history`."""
        now = self._clock()
        log = self._kept(channel, now) if channel in self._subscribed else self._log(channel)
        log.expire(now, retention.size)
        return log.read(query, Position(log.epoch, log.top), now)

    async def remove_history(self, channel: str) -> None:
        """See `Broker.remove_history`."""
        if channel in self._logs:
            self._logs[channel].clear()

    def sweep(self) -> bool:
        """See `Sweeps.sweep`."""
        now = self._clock()
        more = self._answers.expire(now)
        names = self._sweeping = self._sweeping or [*self._logs]
        again = []
        for channel in names[-_AT_ONE_TIME:]:
            log = self._logs.get(channel)
            if log is not None:
                if log.expire(now, len(log)):
                    again.append(channel)
                self._rest(channel, log)
        names[-_AT_ONE_TIME:] = again
        for channel in self._idle.forget(now):
            del self._logs[channel]
        return more or bool(names)

    def _rest(self, channel: str, log: _Log) -> None:
        """Forget a log that costs nothing to make anew, and note one of which only the position is left."""
        if len(log) or channel in self._subscribed:
            return
        if log.blank:
            del self._logs[channel]
        else:
            self._idle.rest(channel, log.used)

    def _log(self, channel: str) -> _Log:
        """The log of a channel; one that is not remembered is made anew."""
        log = self._logs.get(channel)
        return _Log(self._epochs.of(channel)) if log is None else log

    def _kept(self, channel: str, now: float) -> _Log:
        """The log of a channel, to be remembered."""
        log = self._logs.get(channel)
        if log is None:
            log = self._logs[channel] = _Log(self._epochs.of(channel))
        log.used = now
        self._idle.wake(channel)
        return log
