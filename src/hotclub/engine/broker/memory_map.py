"""The map broker of a single process."""

import re
import secrets
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from math import inf
from time import monotonic, time
from typing import Final

from msgspec import Raw, Struct

from hotclub.engine.broker.answers import Answers
from hotclub.engine.broker.base import HistoryQuery, PublicationHandler, Retention
from hotclub.engine.broker.maps import (
    MapMessage,
    MapOutcome,
    MapPage,
    MapQuery,
    MapRetention,
    MapStats,
    Suppressed,
)
from hotclub.engine.broker.ring import META_TTL, Ring
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.engine.leases import Leases
from hotclub.engine.model import HistoryPage, Position, Publication

_SEPARATOR: Final = "\x00"
_SCORE: Final = re.compile(r"-?\d{1,19}", re.ASCII)


class _Entry(Struct, frozen=True):
    publication: Publication
    version: int = 0
    version_epoch: str = ""


class _Map:
    """One channel: its entries, and in `stream` the kept changes."""

    __slots__ = ("entries", "epoch", "order", "stream", "top", "used")

    def __init__(self, key_ttl: float, now: float) -> None:
        self.epoch = secrets.token_urlsafe(6)
        self.top = 0
        self.entries: Leases[str, _Entry] = Leases(key_ttl or inf)
        self.stream = Ring()
        self.order: dict[bool, list[tuple[int, str]]] = {}
        """The places of the entries, ascending: by key, and for True by score and key. Made when a page is read."""
        self.used = now

    def sorted(self, *, ordered: bool) -> list[tuple[int, str]]:
        """(score, key) of every entry, ascending; in a map that is not ordered every score counts as 0."""
        order = self.order.get(ordered)
        if order is None:
            scores = ((entry.publication.score if ordered else 0, key) for key, entry in self.entries.items())
            order = self.order[ordered] = sorted(scores)
        return order


class MemoryMapBroker:
    """The `MapBroker` of a node that stands alone. Keys expire no later than at the next call of `sweep`."""

    def __init__(self, handler: PublicationHandler, *, clock: Callable[[], float] = monotonic) -> None:
        self._handler = handler
        self._clock = clock
        self._maps: dict[str, tuple[_Map, MapRetention]] = {}
        self._answers: Answers[tuple[str, bool, Raw]] = Answers()
        self._subscribed: set[str] = set()

    async def change(self, channel: str, message: MapMessage, retention: MapRetention) -> MapOutcome:
        """See `MapBroker.change`."""
        now = self._clock()
        store = self._map(channel, retention, now)
        first = self._answers.find(channel, message.idempotency_key, _content(message), now)
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
        self._apply(channel, message, entry, now)
        position = _top(store, retention.stream)
        self._answers.keep(channel, message.idempotency_key, _content(message), position, now)
        return MapOutcome(position=position)

    def _apply(self, channel: str, message: MapMessage, entry: _Entry | None, now: float) -> None:
        store, retention = self._maps[channel]
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
        if message.removed:
            store.entries.drop(message.key)
        else:
            store.entries.touch(message.key, _Entry(publication, message.version, message.version_epoch), now)
        if message.removed or entry is None:
            store.order.clear()
        elif entry.publication.score != message.score:
            store.order.pop(True, None)
        if store.top:
            store.stream.append(publication, now + retention.stream.ttl)
            store.stream.expire(now, retention.stream.size)
        if channel in self._subscribed:
            self._handler(channel, publication, store.epoch if store.top else "")

    async def read(self, channel: str, query: MapQuery, retention: MapRetention) -> MapPage:
        """See `MapBroker.read`."""
        store = self._map(channel, retention, self._clock())
        top = _top(store, retention.stream)
        if query.key:
            entry = store.entries.get(query.key)
            return MapPage(() if entry is None else (entry.publication,), top)
        entries: list[Publication] = []
        last, size = "", 0
        for place in _after(store.sorted(ordered=query.ordered), query):
            if len(entries) == query.limit or (entries and 0 < query.size < size):
                return MapPage(tuple(entries), top, last)
            found = store.entries.get(place[1])
            assert found is not None
            entries.append(found.publication)
            last, size = f"{place[0]}{_SEPARATOR}{place[1]}", size + len(bytes(found.publication.data))
        return MapPage(tuple(entries), top)

    async def history(self, channel: str, query: HistoryQuery, retention: Retention) -> HistoryPage:
        """See `MapBroker.history`."""
        now = self._clock()
        known = self._maps.get(channel)
        store = self._map(channel, MapRetention(stream=retention) if known is None else known[1], now)
        store.stream.expire(now, retention.size)
        return store.stream.read(query, Position(store.epoch, store.top))

    async def stats(self, channel: str) -> MapStats:
        """See `MapBroker.stats`."""
        known = self._maps.get(channel)
        if known is None:
            return MapStats(0)
        self._expire(channel, self._clock())
        return MapStats(len(known[0].entries))

    async def clear(self, channel: str) -> None:
        """See `MapBroker.clear`."""
        known = self._maps.pop(channel, None)
        if known is None or channel not in self._subscribed:
            return
        store, retention = known
        if retention.stream.size <= 0:
            # Without positions no subscriber notices that the map begins anew: remove key by key.
            for key, entry in store.entries.items():
                self._handler(channel, Publication(key=key, removed=True, tags=entry.publication.tags), "")

    async def subscribe(self, channel: str) -> None:
        """See `MapBroker.subscribe`."""
        self._subscribed.add(channel)

    async def unsubscribe(self, channel: str) -> None:
        """See `MapBroker.unsubscribe`."""
        self._subscribed.discard(channel)

    def sweep(self) -> None:
        """Remove the keys whose time is over, and give back the memory of maps that are not used any more."""
        now = self._clock()
        self._answers.expire(now)
        for channel, (store, retention) in list(self._maps.items()):
            self._expire(channel, now)
            store.stream.expire(now, len(store.stream))
            idle = 0.0 if retention.stream.size <= 0 else META_TTL
            if not len(store.entries) and store.used + idle <= now and channel not in self._subscribed:
                del self._maps[channel]

    def _map(self, channel: str, retention: MapRetention, now: float) -> _Map:
        known = self._maps.get(channel)
        if known is None:
            store = _Map(retention.key_ttl, now)
        else:
            store = known[0]
            self._expire(channel, now)
        store.used = now
        self._maps[channel] = store, retention
        return store

    def _expire(self, channel: str, now: float) -> None:
        store, _ = self._maps[channel]
        for key, entry in store.entries.expire(now):
            self._apply(channel, MapMessage(key=key, removed=True), entry, now)


def _obstacle(store: _Map, entry: _Entry | None, message: MapMessage) -> Suppressed | None:
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


def _after(order: list[tuple[int, str]], query: MapQuery) -> Iterator[tuple[int, str]]:
    """The places after the cursor: ascending by key; in an ordered map descending by score, ascending with `asc`."""
    descending = query.ordered and not query.asc
    start, stop = 0, len(order)
    if query.cursor:
        last = _place(query.cursor)
        start, stop = (0, bisect_left(order, last)) if descending else (bisect_right(order, last), stop)
    places = range(start, stop)
    return (order[place] for place in (reversed(places) if descending else places))


def _place(cursor: str) -> tuple[int, str]:
    score, separator, key = cursor.partition(_SEPARATOR)
    if not separator or _SCORE.fullmatch(score) is None:
        raise Refused(Code.BAD_REQUEST, "cursor is not one of this map's")
    return int(score), key


def _content(message: MapMessage) -> tuple[str, bool, Raw]:
    return message.key, message.removed, message.data


def _top(store: _Map, stream: Retention) -> Position:
    return Position(store.epoch, store.top) if stream.size > 0 else Position("", 0)
