"""Counts the publications that a connection has lost, received twice, or received out of order. Pure."""


class Ledger:
    """The publications of one connection, which are numbered without gaps from `start` on."""

    __slots__ = ("_missing", "_next", "_start", "duplicates", "reordered")

    def __init__(self, start: int) -> None:
        self._start = start
        self._next = start
        self._missing: set[int] = set()
        self.duplicates = 0
        self.reordered = 0
        """Publications that arrived after one with a greater number."""

    @property
    def received(self) -> int:
        """Number of different publications that have arrived."""
        return self._next - self._start - len(self._missing)

    def lost(self, end: int) -> int:
        """Return the number of publications below the number `end` that have not arrived."""
        return max(0, end - self._next) + len(self._missing)

    def take(self, first: int, count: int) -> None:
        """Enter `count` publications with the numbers from `first` on."""
        if first == self._next:
            self._next += count
        else:
            for sequence in range(first, first + count):
                self._take_one(sequence)

    def _take_one(self, sequence: int) -> None:
        if sequence >= self._next:
            self._missing.update(range(self._next, sequence))
            self._next = sequence + 1
        elif sequence in self._missing:
            self._missing.discard(sequence)
            self.reordered += 1
        else:
            self.duplicates += 1
