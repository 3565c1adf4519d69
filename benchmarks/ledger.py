"""Which publications one connection has received: the check that nothing is lost, doubled or out of order. Pure."""


class Ledger:
    """Publications are numbered without gaps, from the number that comes first after the connection was ready."""

    __slots__ = ("_missing", "_next", "_start", "duplicates", "reordered")

    def __init__(self, start: int) -> None:
        self._start = start
        self._next = start
        self._missing: set[int] = set()
        self.duplicates = 0
        self.reordered = 0
        """Arrived after one with a greater number."""

    @property
    def received(self) -> int:
        """Different publications received."""
        return self._next - self._start - len(self._missing)

    def lost(self, end: int) -> int:
        """How many of the publications numbered below `end` have not arrived."""
        return max(0, end - self._next) + len(self._missing)

    def take(self, first: int, count: int) -> None:
        """Enter `count` publications with consecutive numbers."""
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
