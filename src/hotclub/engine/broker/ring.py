"""The kept publications of one channel in memory, each with a deadline."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from hotclub.engine.broker.base import HistoryQuery
from hotclub.engine.errors import UnrecoverablePosition
from hotclub.engine.model import HistoryPage, Position, Publication

META_TTL: Final = 30 * 24 * 3600.0
"""How long the position of a channel outlives its last use, in seconds."""


class Ring:
    """Publications, oldest first. Pure: the caller brings the time (seconds, monotonic)."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        # A deque is 600 bytes when it is empty, and most personal channels are.
        self._kept: deque[tuple[float, Publication]] | None = None

    def __len__(self) -> int:
        return len(self._kept or ())

    def append(self, publication: Publication, deadline: float) -> None:
        """Add the newest publication, which is kept until `deadline`."""
        if self._kept is None:
            self._kept = deque()
        self._kept.append((deadline, publication))

    def expire(self, now: float, size: int) -> None:
        """Drop what is over, and of the rest all but the newest `size`."""
        kept = self._kept
        while kept and (kept[0][0] <= now or len(kept) > size):
            kept.popleft()
        if not kept:
            self.clear()

    def clear(self) -> None:
        """Drop everything."""
        self._kept = None

    def read(self, query: HistoryQuery, top: Position) -> HistoryPage:
        """The part that a query asks for; `top` is where the channel's log stands.

        Raises:
            UnrecoverablePosition: `query.since` names another epoch.
        """
        since = query.since
        if since is not None and since.epoch and since.epoch != top.epoch:
            raise UnrecoverablePosition(since.epoch, top.epoch)
        found = self._select(query)
        return HistoryPage(tuple(found if query.limit < 0 else islice(found, query.limit)), top)

    def _select(self, query: HistoryQuery) -> Iterator[Publication]:
        kept = self._kept or ()
        offset = None if query.since is None else query.since.offset
        entries: Iterable[tuple[float, Publication]] = reversed(kept) if query.reverse else kept
        for _, publication in entries:
            if offset is None or (publication.offset < offset if query.reverse else publication.offset > offset):
                yield publication
