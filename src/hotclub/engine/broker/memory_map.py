"""The map broker of a single process."""

from collections.abc import Callable, Sequence
from math import inf
from time import monotonic, time
from typing import Final

from hotclub.engine.broker.answers import Answers, digest
from hotclub.engine.broker.base import HistoryQuery, PublicationHandler, Retention
from hotclub.engine.broker.due import Due
from hotclub.engine.broker.entries import Entries, Entry, read_page
from hotclub.engine.broker.epochs import Epochs
from hotclub.engine.broker.idle import Idle
from hotclub.engine.broker.maps import (
    MapMessage,
    MapOutcome,
    MapPage,
    MapQuery,
    MapRetention,
    MapStats,
    Suppressed,
)
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.engine.model import HistoryPage, Position, Publication
from hotclub.engine.turns import Turn

_AT_ONE_TIME: Final = 100
"""How many keys expire, are read or are looked at, and how many maps, before the loop may go on."""
_ROUND: Final = 60.0
"""Seconds between two rounds through all maps."""


class MemoryMapBroker:
    """The `MapBroker` of a node that stands alone. Keys expire no later than at the next call of `sweep`."""

    def __init__(self, handler: PublicationHandler, *, clock: Callable[[], float] = monotonic) -> None:
        self._handler = handler
        self._clock = clock
        self._maps: dict[str, tuple[Entries, MapRetention]] = {}
        """What has entries or kept changes, had some lately, or is subscribed to."""
        self._epochs = Epochs()
        self._idle = Idle(self._epochs)
        self._due = Due()
        """When the oldest key of a map may be over."""
        self._sweeping: list[str] = []
        self._next_round = 0.0
        self._answers = Answers()
        self._subscribed: set[str] = set()

    async def change(self, channel: str, message: MapMessage, retention: MapRetention) -> MapOutcome:
        """See `MapBroker.change`."""
        store = await self._current(channel, retention)
        now = self._clock()
        content = _content(message) if message.idempotency_key else b""
        first = self._answers.find(channel, message.idempotency_key, content, now)
        if first is not None:
            return MapOutcome(position=first, suppressed=Suppressed.IDEMPOTENCY)
        entry = store.entries.get(message.key)
        reason = _obstacle(store, entry, message)
        if reason is not None:
            if entry is not None and message.renew:
                store.entries.touch(message.key, entry, now)
            current = entry.publication if entry is not None and reason is Suppressed.POSITION_MISMATCH else None
            return MapOutcome(position=_top(store, retention.stream), suppressed=reason, current=current)
        if entry is None and 0 < retention.keys <= len(store.entries):
            raise Refused(Code.LIMIT_EXCEEDED, f"a map holds at most {retention.keys} keys")
        self._maps[channel] = store, retention
        self._apply(channel, message, entry, now)
        position = _top(store, retention.stream)
        self._answers.keep(channel, message.idempotency_key, content, position, now)
        self._rest(channel)
        return MapOutcome(position=position)

    def _apply(self, channel: str, message: MapMessage, entry: Entry | None, now: float) -> None:
        store, retention = self._maps[channel]
        store.used = now
        self._idle.wake(channel)
        if retention.stream.size > 0:
            store.top += 1
        publication = Publication(
            key=message.key,
            data=message.data,
            removed=message.removed,
            info=message.info,
            # A removal without tags takes the value's, so that it passes the filters that let the value through.
            tags=message.tags or (entry.publication.tags if message.removed and entry is not None else {}),
            score=message.score,
            offset=store.top,
            epoch=store.epoch if store.top == 1 else "",
            time=int(time() * 1000),
            binary=message.binary,
        )
        if not message.removed:
            store.put(message.key, Entry(publication, message.version, message.version_epoch), now)
            self._schedule(channel, store)
        elif entry is not None:
            store.drop(message.key, entry)
        if store.top:
            store.stream.append(publication, now + retention.stream.ttl)
            store.stream.expire(now, retention.stream.size)
        if channel in self._subscribed:
            self._handler(channel, publication, store.epoch if store.top else "")

    async def read(self, channel: str, query: MapQuery, retention: MapRetention) -> MapPage:
        """See `MapBroker.read` and `read_page`."""
        store = await self._current(channel, retention)
        return await read_page(store, query, _top(store, retention.stream))

    async def history(self, channel: str, query: HistoryQuery, retention: Retention) -> HistoryPage:
        """See `MapBroker.history`."""
        known = self._maps.get(channel)
        store = await self._current(channel, MapRetention(stream=retention) if known is None else known[1])
        now = self._clock()
        store.stream.expire(now, retention.size)
        return store.stream.read(query, Position(store.epoch, store.top), now)

    async def stats(self, channel: str) -> MapStats:
        """See `MapBroker.stats`."""
        known = self._maps.get(channel)
        if known is None:
            return MapStats(0)
        return MapStats(len((await self._current(channel, known[1])).entries))

    async def clear(self, channel: str) -> None:
        """See `MapBroker.clear`."""
        known = self._maps.pop(channel, None)
        self._idle.wake(channel)
        if known is None:
            return
        store, retention = known
        if retention.stream.size > 0:
            self._epochs.change()
        turn = Turn()
        while gone := store.take_out(_AT_ONE_TIME):
            if retention.stream.size <= 0 and channel in self._subscribed:
                # Without positions no subscriber notices that the map begins anew: remove key by key.
                self._hand_over_removals(channel, gone)
            await turn.give_way()
        store.stream.clear()
        while store.stream.expire(inf, 0):
            await turn.give_way()

    def _hand_over_removals(self, channel: str, gone: Sequence[tuple[str, Entry]]) -> None:
        newer = self._maps.get(channel)
        for key, entry in gone:
            if newer is None or newer[0].entries.get(key) is None:
                self._handler(channel, Publication(key=key, removed=True, tags=entry.publication.tags), "")

    async def subscribe(self, channel: str) -> None:
        """See `MapBroker.subscribe`."""
        self._subscribed.add(channel)
        self._idle.wake(channel)

    async def unsubscribe(self, channel: str) -> None:
        """See `MapBroker.unsubscribe`."""
        self._subscribed.discard(channel)
        self._rest(channel)

    def sweep(self) -> bool:
        """See `Sweeps.sweep`: removes the keys whose time is over, and gives back what nobody uses."""
        now = self._clock()
        more = self._answers.expire(now)
        for _ in range(_AT_ONE_TIME):
            if more or not self._due.is_due(now):
                break
            channel = self._due.take()
            known = self._maps.get(channel)
            if known is not None:
                more = self._expire(channel, known[0], now)
                self._rest(channel)
                self._schedule(channel, known[0])
        return self._sweep_streams(now) or more or self._due.is_due(now)

    def _sweep_streams(self, now: float) -> bool:
        """Go on with the round through all maps that begins once in a while. Returns whether it has not ended."""
        if not self._sweeping and now >= self._next_round:
            self._sweeping, self._next_round = [*self._maps], now + _ROUND
        for channel in self._sweeping[-_AT_ONE_TIME:]:
            known = self._maps.get(channel)
            if known is not None:
                known[0].stream.expire(now, len(known[0].stream))
                self._rest(channel)
        del self._sweeping[-_AT_ONE_TIME:]
        for channel in self._idle.forget(now):
            del self._maps[channel]
        return bool(self._sweeping)

    def _rest(self, channel: str) -> None:
        """Forget a map that costs nothing to make anew, and note one of which only the position is left."""
        known = self._maps.get(channel)
        if known is None or not known[0].bare or channel in self._subscribed:
            return
        if known[0].top:
            self._idle.rest(channel, known[0].used)
        else:
            del self._maps[channel]

    def _schedule(self, channel: str, store: Entries) -> None:
        """Have the map looked at when its oldest key is over."""
        end = store.entries.next_end()
        if end is not None and end != inf:
            self._due.schedule(channel, end)

    async def _current(self, channel: str, retention: MapRetention) -> Entries:
        """The map of a channel, without the keys whose time is over; one that is not remembered is made anew."""
        turn = Turn()
        while True:
            known = self._maps.get(channel)
            if known is None:
                store = Entries(self._epochs.of(channel), retention.key_ttl)
                if channel in self._subscribed:
                    self._maps[channel] = store, retention
                return store
            if not self._expire(channel, known[0], self._clock()):
                return known[0]
            await turn.give_way()

    def _expire(self, channel: str, store: Entries, now: float) -> bool:
        """Remove keys whose time is over. Returns whether there may be more of them."""
        over = store.entries.expire(now, _AT_ONE_TIME)
        for key, entry in over:
            self._apply(channel, MapMessage(key=key, removed=True), entry, now)
        return len(over) == _AT_ONE_TIME


def _obstacle(store: Entries, entry: Entry | None, message: MapMessage) -> Suppressed | None:
    """Why the change is not made, None when it is."""
    if entry is None:
        if message.expected is not None:
            return Suppressed.POSITION_MISMATCH
        return Suppressed.KEY_NOT_FOUND if message.removed or message.mode == "if_exists" else None
    if message.mode == "if_new":
        return Suppressed.KEY_EXISTS
    if message.expected is not None and message.expected != Position(store.epoch, entry.publication.offset):
        return Suppressed.POSITION_MISMATCH
    if 0 < message.version <= entry.version and message.version_epoch == entry.version_epoch:
        return Suppressed.VERSION
    return None


def _content(message: MapMessage) -> bytes:
    return digest(message.key.encode(), b"1" if message.removed else b"", bytes(message.data))


def _top(store: Entries, stream: Retention) -> Position:
    return Position(store.epoch, store.top) if stream.size > 0 else Position("", 0)
