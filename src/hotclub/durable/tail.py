"""Restores the order of one durable channel's publications from signals that come late, early, twice or not at all.

Pure: no I/O, no clock. The owner of a `Tail` offers it every signal, regularly notices the top of the table, and reads
the table while the tail is `behind`. The owner delivers the publications that the methods return, in their order.

The publications of a log form a chain of stamps (`sql.Row`). The tail knows the stamp of the last one that it has
returned. A log that does not go on from there is another one with the same name, such as a restored backup: the tail is
`broken` then, and the owner gives the log another epoch.
"""

from collections.abc import Sequence
from typing import Final

from hotclub.durable.sql import Row, Top
from hotclub.engine.model import Publication

WAITING: Final = 1_000
"""The most publications that wait in memory for an earlier one. Further publications are read from the table."""
_UNKNOWN: Final = -1
"""The stamp of a log before its newest publication, where the tail begins with that publication."""


class Tail:
    """The end of one channel's log, as far as this node has delivered it.

    `seen` is the last delivered offset, and `stamp` the stamp of the log there. `epoch` is the log's epoch, "" until
    `open`. `broken` says that the table contradicts what was delivered.
    """

    __slots__ = ("_doubt", "_waiting", "_wanted", "broken", "epoch", "seen", "stamp")

    def __init__(self) -> None:
        self.epoch = ""
        self.seen = 0
        self.stamp = 0
        self.broken = False
        self._wanted = 0
        self._doubt = False
        self._waiting: dict[int, Row] = {}

    @property
    def behind(self) -> bool:
        """Whether the owner has to read the table after the offset `seen`."""
        return bool(self.epoch) and (self._doubt or self._wanted > self.seen)

    @property
    def mark(self) -> tuple[str, int, int]:
        """The state of the tail. If a reading of the table does not change it, the table holds nothing more."""
        return self.epoch, self.seen, self._wanted

    def open(self, top: Top) -> None:
        """Begin after `top`, the top of the table. Read it after the tail gets signals, so that none is missed."""
        self._follow(top)
        self.seen = self._wanted = top.position.offset
        self.stamp = top.stamp

    def doubt(self) -> None:
        """Have the owner read the table, because there may be something new."""
        self._doubt = True

    def begin(self) -> int:
        """Return the offset after which the owner has to read. A doubt from now on asks for another reading."""
        self._doubt = False
        return self.seen

    def offer(self, epoch: str, row: Row) -> list[Publication]:
        """Take a signal: a publication was committed.

        Args:
            epoch: the epoch of the publication's log.
            row: the publication, as the committed row says.

        Returns:
            The publications to deliver now: none if earlier ones are missing, else this one and those that waited.
        """
        offset = row.publication.offset
        if epoch != self.epoch:
            # The tail is not open yet, or belongs to another log than the signal. The table shows the present log.
            self._doubt = True
            return []
        if offset <= self.seen or self.broken:
            return []
        self._wanted = max(self._wanted, offset)
        if offset == self.seen + 1:
            return self._release(row)
        if len(self._waiting) < WAITING:
            self._waiting[offset] = row
        return []

    def notice(self, asked: tuple[int, int], top: Top) -> None:
        """Take the top of the table.

        Args:
            asked: the values of `seen` and `stamp` when the reading began.
            top: the top.
        """
        offset = top.position.offset
        if top.position.epoch != self.epoch:
            self._doubt = True
        elif offset > asked[0]:
            self._wanted = max(self._wanted, offset)
        elif (offset, top.stamp) != asked:
            self.broken = True

    def fill(self, asked: int, top: Top, rows: Sequence[Row], *, complete: bool) -> list[Publication]:
        """Take rows of the table.

        Pruned rows leave a hole that cannot be filled. Subscribers notice the hole by the offsets.

        Args:
            asked: the offset after which the rows were read.
            top: the top of the table.
            rows: the publications, oldest first.
            complete: the rows reach the top.

        Returns:
            The publications to deliver now. After a change of the log there are none until the next reading.
        """
        position = top.position
        if position.epoch != self.epoch:
            self._follow(top)
            return []
        ready: list[Publication] = []
        self.broken = position.offset < asked
        for row in rows:
            self.broken = self.broken or not (row.publication.offset <= self.seen or self._step(row, ready))
        if self.broken:
            return ready
        if complete and position.offset > self.seen:
            self.seen, self.stamp = position.offset, top.stamp
        self._wanted = max(self._wanted, position.offset)
        return ready + self._release()

    def give_up(self) -> None:
        """Forget signalled publications that the table does not hold."""
        self._waiting.clear()
        self._wanted = self.seen

    def _follow(self, top: Top) -> None:
        """Follow the log that has replaced this one, from before its newest publication.

        The delivery of that publication shows subscribers the new epoch.
        """
        self._waiting.clear()
        self.broken = False
        self.epoch = top.position.epoch
        self.seen = max(top.position.offset - 1, 0)
        self.stamp = _UNKNOWN if top.position.offset else top.stamp
        self._wanted = top.position.offset

    def _step(self, row: Row, ready: list[Publication]) -> bool:
        """Go on to a row, and return whether it belongs to this log. Behind a hole, nothing contradicts a row."""
        offset = row.publication.offset
        if row.previous == row.stamp:
            # A process of a former version, which knows no stamps, has written the row and left the log's stamp alone.
            self.seen = offset
        elif offset == self.seen + 1 and self.stamp not in (row.previous, _UNKNOWN):
            self._doubt = True
            return False
        else:
            self.seen, self.stamp = offset, row.stamp
        ready.append(row.publication)
        return True

    def _release(self, row: Row | None = None) -> list[Publication]:
        """Go on to the row, if one is given, and to those that waited for it."""
        released: list[Publication] = []
        if row is not None and not self._step(row, released):
            return released
        if self._waiting:
            while self.seen + 1 in self._waiting and self._step(self._waiting[self.seen + 1], released):
                del self._waiting[self.seen]
            self._waiting = {offset: waits for offset, waits in self._waiting.items() if offset > self.seen}
        return released
