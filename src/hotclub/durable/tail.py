"""Restores the order of one durable channel's publications from signals that come late, early, twice or not at all.

Pure: no I/O, no clock. The owner of a `Tail` offers it every signal, regularly notices the top of the table, and reads
the table while the tail is `behind`. The owner delivers the publications that the methods return, in their order.
"""

from collections.abc import Sequence
from typing import Final

from hotclub.engine.model import Position, Publication

WAITING: Final = 1_000
"""The most publications that wait in memory for an earlier one. Further publications are read from the table."""


class Tail:
    """The end of one channel's log, as far as this node has delivered it.

    `seen` is the last delivered offset. `epoch` is the log's epoch, "" until `open`.
    """

    __slots__ = ("_doubt", "_waiting", "_wanted", "epoch", "seen")

    def __init__(self) -> None:
        self.epoch = ""
        self.seen = 0
        self._wanted = 0
        self._doubt = False
        self._waiting: dict[int, Publication] = {}

    @property
    def behind(self) -> bool:
        """Whether the owner has to read the table after the offset `seen`."""
        return bool(self.epoch) and (self._doubt or self._wanted > self.seen)

    @property
    def mark(self) -> tuple[str, int, int]:
        """The state of the tail. If a reading of the table does not change it, the table holds nothing more."""
        return self.epoch, self.seen, self._wanted

    def open(self, position: Position) -> None:
        """Begin after `position`, the top of the table. Read it after the tail gets signals, so that none is missed."""
        self.epoch = position.epoch
        self.seen = self._wanted = position.offset

    def offer(self, epoch: str, publication: Publication) -> list[Publication]:
        """Take a signal: a publication was committed.

        Args:
            epoch: the epoch of the publication's log.
            publication: the publication.

        Returns:
            The publications to deliver now: none if earlier ones are missing, else this one and those that waited.
        """
        if epoch != self.epoch:
            # The tail is not open yet, or belongs to another log than the signal. The table shows the present log.
            self._doubt = True
            return []
        offset = publication.offset
        if offset <= self.seen:
            return []
        self._wanted = max(self._wanted, offset)
        if offset == self.seen + 1:
            self.seen = offset
            return [publication, *self._release()]
        if len(self._waiting) < WAITING:
            self._waiting[offset] = publication
        return []

    def notice(self, asked: int, top: Position) -> None:
        """Take the top of the table.

        Args:
            asked: the value of `seen` when the reading began.
            top: the top.
        """
        if top.epoch == self.epoch and top.offset >= asked:
            self._wanted = max(self._wanted, top.offset)
        elif top.offset > 0:
            self._doubt = True

    def fill(self, asked: int, top: Position, rows: Sequence[Publication], *, complete: bool) -> list[Publication]:
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
        self._doubt = False
        if top.epoch != self.epoch or top.offset < asked:
            self._restart(top)
            return []
        ready = [row for row in rows if row.offset > self.seen]
        if ready:
            self.seen = ready[-1].offset
        if complete:
            self.seen = max(self.seen, top.offset)
        self._wanted = max(self._wanted, top.offset)
        return ready + self._release()

    def give_up(self) -> None:
        """Forget signalled publications that the table does not hold."""
        self._waiting.clear()
        self._wanted = self.seen
        self._doubt = False

    def _restart(self, top: Position) -> None:
        """Follow the log that has replaced this one, from before its newest publication.

        The delivery of that publication shows subscribers the new epoch.
        """
        self._waiting.clear()
        self.epoch = top.epoch
        self.seen = max(top.offset - 1, 0)
        self._wanted = top.offset

    def _release(self) -> list[Publication]:
        if not self._waiting:
            return []
        released = []
        while self.seen + 1 in self._waiting:
            self.seen += 1
            released.append(self._waiting.pop(self.seen))
        self._waiting = {offset: publication for offset, publication in self._waiting.items() if offset > self.seen}
        return released
