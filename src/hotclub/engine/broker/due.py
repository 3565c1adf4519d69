"""When channels in memory are to be looked at next."""

from heapq import heappop, heappush


class Due:
    """A moment for each channel, the earliest first. Pure: the caller brings the time (seconds, monotonic)."""

    __slots__ = ("_heap", "_known")

    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []
        self._known: set[str] = set()

    def schedule(self, channel: str, moment: float) -> None:
        """Have a channel taken at a moment. One that has a moment already keeps that."""
        if channel not in self._known:
            self._known.add(channel)
            heappush(self._heap, (moment, channel))

    def is_due(self, now: float) -> bool:
        """Whether there is a channel to take."""
        return bool(self._heap) and self._heap[0][0] <= now

    def take(self) -> str:
        """Take out the channel with the earliest moment. Raises IndexError when there is none."""
        channel = heappop(self._heap)[1]
        self._known.discard(channel)
        return channel
