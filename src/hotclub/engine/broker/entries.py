"""The entries of one map in memory, in their order."""

import re
from bisect import bisect_left, bisect_right, insort
from math import inf
from typing import Final, TypeVar

from msgspec import Struct

from hotclub.engine.broker.maps import MapPage, MapQuery
from hotclub.engine.broker.ring import Ring
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.engine.leases import Leases
from hotclub.engine.model import Position, Publication
from hotclub.engine.turns import Turn

_SEPARATOR: Final = "\x00"
_SCORE: Final = re.compile(r"-?\d{1,19}", re.ASCII)
_AT_ONE_TIME: Final = 100
"""How many entries are read before the loop may go on."""
_Place = TypeVar("_Place", str, tuple[int, str])


class Entry(Struct, frozen=True):
    """The newest value of a key."""

    publication: Publication
    version: int = 0
    version_epoch: str = ""


class Entries:
    """One channel: its entries, their order, and in `stream` the kept changes."""

    __slots__ = ("by_key", "by_score", "entries", "epoch", "stream", "top", "used")

    def __init__(self, epoch: str, key_ttl: float) -> None:
        self.epoch = epoch
        self.top = 0
        self.entries: Leases[str, Entry] = Leases(key_ttl or inf)
        self.stream = Ring()
        # Lists, because to insert into one moves a few hundred kB at most: less than any tree takes in Python.
        self.by_key: list[str] = []
        self.by_score: list[tuple[int, str]] | None = None
        """(score, key) of every entry, ascending; None while every score is 0."""
        self.used = 0.0

    @property
    def bare(self) -> bool:
        """Whether the map has no entry and no change that is kept."""
        return not len(self.entries) and not len(self.stream)

    def put(self, key: str, entry: Entry, now: float) -> None:
        """Set a key."""
        former, score = self.entries.get(key), entry.publication.score
        if score and self.by_score is None:
            self.by_score = [(0, known) for known in self.by_key]
        if former is None:
            insort(self.by_key, key)
        if self.by_score is not None and (former is None or former.publication.score != score):
            if former is not None:
                _take_out(self.by_score, (former.publication.score, key))
            insort(self.by_score, (score, key))
        self.entries.touch(key, entry, now)

    def drop(self, key: str, entry: Entry) -> None:
        """Remove a key, which may be over already."""
        self.entries.drop(key)
        _take_out(self.by_key, key)
        if self.by_score is not None:
            _take_out(self.by_score, (entry.publication.score, key))

    def take_out(self, most: int) -> list[tuple[str, Entry]]:
        """Take out some entries, until none is left. The order of the others is lost."""
        del self.by_key[-most:]
        if self.by_score is not None:
            del self.by_score[-most:]
        return self.entries.expire(inf, most)

    def after(self, place: tuple[int, str] | None, most: int, *, query: MapQuery) -> list[tuple[int, str]]:
        """The first places behind `place`, None for the beginning: ascending by key; in an ordered map descending by
        score, ascending with `asc`. At most `most` of them."""
        if not query.ordered or self.by_score is None:
            keys = _behind(self.by_key, place and place[1], most, descending=query.ordered and not query.asc)
            return [(0, key) for key in keys]
        return _behind(self.by_score, place, most, descending=not query.asc)


async def read_page(store: Entries, query: MapQuery, top: Position) -> MapPage:
    """Read a page of the entries. Many are read in several turns, so the last ones may be newer than `top`.

    Args:
        store: the entries.
        query: which page.
        top: where the map stands now.

    Raises:
        Refused: `BAD_REQUEST`, the cursor is malformed.
    """
    place = _place(query.cursor) if query.cursor else None
    if query.key or not query.limit:
        entry = store.entries.get(query.key)
        return MapPage(() if entry is None else (entry.publication,), top)
    entries: list[Publication] = []
    size, turn = 0, Turn()
    while places := store.after(place, _AT_ONE_TIME, query=query):
        for following in places:
            if place is not None and (len(entries) == query.limit or (entries and 0 < query.size < size)):
                return MapPage(tuple(entries), top, f"{place[0]}{_SEPARATOR}{place[1]}")
            place = following
            found = store.entries.get(place[1])
            assert found is not None
            entries.append(found.publication)
            size += len(bytes(found.publication.data))
        await turn.give_way()
    return MapPage(tuple(entries), top)


def _behind(order: list[_Place], place: _Place | None, most: int, *, descending: bool) -> list[_Place]:
    """The next elements of an ascending list behind `place`, None for its beginning, in this direction."""
    if descending:
        stop = len(order) if place is None else bisect_left(order, place)
        return order[max(0, stop - most) : stop][::-1]
    start = 0 if place is None else bisect_right(order, place)
    return order[start : start + most]


def _take_out(order: list[_Place], place: _Place) -> None:
    del order[bisect_left(order, place)]


def _place(cursor: str) -> tuple[int, str]:
    score, separator, key = cursor.partition(_SEPARATOR)
    if not separator or _SCORE.fullmatch(score) is None:
        raise Refused(Code.BAD_REQUEST, "cursor is not one of this map's")
    return int(score), key
