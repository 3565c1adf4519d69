"""The kept publications of one channel in memory, each with a deadline."""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Final

from hotclub.engine.broker.base import HistoryQuery
from hotclub.engine.errors import UnrecoverablePosition
from hotclub.engine.model import HistoryPage, Position, Publication

META_TTL: Final = 30 * 24 * 3600.0
"""How long the position of a channel outlives its last use, in seconds."""
_AT_ONE_TIME: Final = 1_000
"""How many publications are given back in one call: each call adds one at most, so they do not pile up."""


class Ring:
    """Publications, oldest first, whose offsets follow one another. Pure: the caller brings the time (seconds,
    monotonic)."""

    __slots__ = ("_dead", "_kept")

    def __init__(self) -> None:
        # A deque is 600 bytes when it is empty, and most personal channels are.
        self._kept: deque[tuple[float, Publication]] | None = None
        self._dead = 0
        """How many of the oldest publications were cleared, and wait to be given back."""

    def __len__(self) -> int:
        return len(self._kept or ()) - self._dead

    def append(self, publication: Publication, deadline: float) -> None:
        """Add the newest publication, which is kept until `deadline`."""
        if self._kept is None:
            self._kept = deque()
        self._kept.append((deadline, publication))

    def expire(self, now: float, size: int) -> bool:
        """Drop what is over, and of the rest all but the newest `size`; a part of it where it is much.

        Returns whether there may be more to drop.
        """
        kept, left = self._kept, _AT_ONE_TIME
        while kept and left and (self._dead or kept[0][0] <= now or len(kept) > size):
            kept.popleft()
            self._dead = max(0, self._dead - 1)
            left -= 1
        if not kept:
            self._kept = None
        return not left

    def clear(self) -> None:
        """Drop everything."""
        self._dead = len(self._kept or ())
        self.expire(0.0, self._dead)

    def read(self, query: HistoryQuery, top: Position, now: float) -> HistoryPage:
        """The part that a query asks for at this time; `top` is where the channel's log stands.

        Raises:
            UnrecoverablePosition: `query.since` names another epoch.
        """
        since = query.since
        if since is not None and since.epoch and since.epoch != top.epoch:
            raise UnrecoverablePosition(since.epoch, top.epoch)
        found = self._select(query, now)
        return HistoryPage(tuple(found if query.limit < 0 else islice(found, query.limit)), top)

    def _select(self, query: HistoryQuery, now: float) -> Iterator[Publication]:
        kept = self._kept
        if not kept:
            return iter(())
        start, stop = max(self._dead, bisect_right(kept, now, key=_deadline)), len(kept)
        if query.since is not None:
            place = query.since.offset - kept[0][1].offset
            start, stop = (start, min(stop, place)) if query.reverse else (max(start, place + 1), stop)
        if query.limit < 0:
            found = [publication for _, publication in islice(kept, start, max(start, stop))]
            return reversed(found) if query.reverse else iter(found)
        # By index: to come to its middle, an iterator would pass through half of a long ring.
        places = range(stop - 1, start - 1, -1) if query.reverse else range(start, stop)
        return (kept[place][1] for place in places)


def _deadline(entry: tuple[float, Publication]) -> float:
    return entry[0]
