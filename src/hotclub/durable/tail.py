"""The order of one durable channel's publications, restored from signals that may be late, early, doubled or lost.

Pure: no I/O, no clock. Whoever owns a `Tail` offers it every signal, tells it now and then where the table stands, and
reads the table for it while it is `behind`. What the methods return is to be delivered, in that order.
"""

from collections.abc import Sequence
from typing import Final

from hotclub.engine.model import Position, Publication

WAITING: Final = 1_000
"""How many publications wait in memory for one before them; what comes on top is read from the table later."""


class Tail:
    """The end of one channel's log, as far as this node has delivered it.

    `seen` is the last offset delivered, `epoch` is "" until `open`.
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
        """Whether the table has to be read after `seen`."""
        return bool(self.epoch) and (self._doubt or self._wanted > self.seen)

    @property
    def mark(self) -> tuple[str, int, int]:
        """Where this tail stands; the same after reading the table means that the table holds nothing more."""
        return self.epoch, self.seen, self._wanted

    def open(self, position: Position) -> None:
        """Begin after `position`, which was read from the table after the first `offer` could have come."""
        self.epoch = position.epoch
        self.seen = self._wanted = position.offset

    def offer(self, epoch: str, publication: Publication) -> list[Publication]:
        """A signal: this publication was committed."""
        if epoch != self.epoch:
            # Either not opened yet, or one of the two logs has ended: the table knows.
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
        """The table's top, read when `seen` was `asked`."""
        if top.epoch == self.epoch and top.offset >= asked:
            self._wanted = max(self._wanted, top.offset)
        elif top.offset > 0:
            self._doubt = True

    def fill(self, asked: int, top: Position, rows: Sequence[Publication], *, complete: bool) -> list[Publication]:
        """Rows read after offset `asked`; `complete` if there are no more up to `top`.

        A hole in them was pruned and cannot be filled: subscribers notice it by the offsets.
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
        """Forget what was signalled but is not in the table."""
        self._waiting.clear()
        self._wanted = self.seen
        self._doubt = False

    def _restart(self, top: Position) -> None:
        """Another log has taken this one's place. Its newest publication is delivered next, so that subscribers see
        the new epoch at once."""
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
