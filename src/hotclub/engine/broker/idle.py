"""Channels of which only a position is left, in memory: they are remembered for a while, and not too many of them."""

from collections import OrderedDict
from typing import Final

from hotclub.engine.broker.epochs import Epochs
from hotclub.engine.broker.ring import META_TTL

MOST: Final = 1_000
"""The most channels without entries and subscribers whose positions are remembered. Beyond it the one that came to rest
first is forgotten, and clients that come back to it load anew."""


class Idle:
    """The channels that nobody uses now. Pure: the caller brings the time (seconds, monotonic)."""

    __slots__ = ("_epochs", "_used")

    def __init__(self, epochs: Epochs) -> None:
        """`epochs` are changed whenever a position is forgotten."""
        self._epochs = epochs
        self._used: OrderedDict[str, float] = OrderedDict()

    def rest(self, channel: str, used: float) -> None:
        """Note that only the position of a channel is left. `used` is when it was last used."""
        self._used.setdefault(channel, used)

    def wake(self, channel: str) -> None:
        """Note that a channel is used again. Idempotent."""
        self._used.pop(channel, None)

    def forget(self, now: float) -> list[str]:
        """Take out the channels that are too many or have been unused for too long."""
        gone: list[str] = []
        while self._used:
            channel, used = next(iter(self._used.items()))
            if len(self._used) <= MOST and used + META_TTL > now:
                break
            del self._used[channel]
            gone.append(channel)
        if gone:
            self._epochs.change()
        return gone
