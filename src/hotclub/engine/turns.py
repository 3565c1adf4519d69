"""Long work in short turns: the event loop serves the other connections in between.

Nothing may keep the loop for more than a few milliseconds, whatever its size. Work that grows with the number of
members, keys, channels or connections therefore looks at a `Turn` for each of them.
"""

import asyncio
from time import perf_counter
from typing import Final

LENGTH: Final = 0.001
"""Seconds after which a piece of work gives way."""


class Turn:
    """The time for which a piece of work has kept the loop."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until = perf_counter() + LENGTH

    @property
    def over(self) -> bool:
        """Whether the loop is to be given to others."""
        return perf_counter() >= self._until

    def begin(self) -> None:
        """Begin a new turn."""
        self._until = perf_counter() + LENGTH

    async def give_way(self) -> None:
        """Let the loop serve others if the turn is over. A cancellation ends the work between two pieces."""
        if perf_counter() >= self._until:
            await asyncio.sleep(0)
            self._until = perf_counter() + LENGTH
