"""Background work that is tried until it succeeds, and that says so no more often than it has to."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

_LONGEST_PAUSE: Final = 5.0
"""Seconds between two attempts, at most, unless the work's own interval is longer."""


class Trying:
    """Repeats work, and reports when the work begins to fail and when it works again."""

    def __init__(self, logger: logging.Logger, whose: str) -> None:
        """`whose` ends the sentence "The relay of …" on the log."""
        self._logger = logger
        self._whose = whose
        self._failing: set[str] = set()

    async def repeat(self, what: str, interval: float, work: Callable[[], Awaitable[None]]) -> None:
        """Do the work every `interval` seconds for ever; after failures, less and less often."""
        pause = interval
        while True:
            await asyncio.sleep(pause)
            try:
                await self.attempt(what, work)
                pause = interval
            except Exception:  # noqa: BLE001 - reported by attempt
                pause = max(interval, min(pause * 2, _LONGEST_PAUSE))

    async def attempt(self, what: str, work: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Do the work once. Raises what the work raises."""
        try:
            await work(*args)
        except Exception as error:
            if what not in self._failing:
                self._failing.add(what)
                self._logger.warning("The %s of %s fails and is tried again: %s", what, self._whose, error)
            raise
        if what in self._failing:
            self._failing.discard(what)
            self._logger.warning("The %s of %s works again", what, self._whose)
