"""Repeats background work that may fail, and logs only when it begins to fail and when it works again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

_LONGEST_PAUSE: Final = 5.0
"""The longest pause between two failing attempts, in seconds, unless the interval of the work is longer."""


class Trying:
    """Repeats work by name, and logs when the work begins to fail and when it works again."""

    def __init__(self, logger: logging.Logger, whose: str) -> None:
        """`whose` ends log messages such as "The relay of durable channels works again"."""
        self._logger = logger
        self._whose = whose
        self._failing: set[str] = set()

    async def repeat(self, what: str, interval: float, work: Callable[[], Awaitable[None]]) -> None:
        """Do the work every `interval` seconds until the task is cancelled, and less often after failures.

        Args:
            what: the name of the work, for the log.
            interval: seconds between two attempts, also before the first one.
            work: the work.
        """
        pause = interval
        while True:
            await asyncio.sleep(pause)
            try:
                await self.attempt(what, work)
                pause = interval
            except Exception:  # noqa: BLE001 - reported by attempt
                pause = max(interval, min(pause * 2, _LONGEST_PAUSE))

    async def attempt(self, what: str, work: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Do the work once, and log whether it begins to fail or works again. Raises the error of the work.

        `what` is the name of the work, for the log.
        """
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
