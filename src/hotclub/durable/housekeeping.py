"""Keeps a node's time, by which ages are judged, and has the tables pruned at that time."""

import contextlib
import logging
from collections.abc import Callable, Collection
from time import monotonic
from typing import Final

from hotclub.durable import ledger, prune
from hotclub.engine.broker.base import Retention
from hotclub.runtime.pool import Run
from hotclub.runtime.trying import Trying

_STREAMS_PER_PRUNING: Final = 500

_logger = logging.getLogger("hotclub.durable")


class Housekeeping:
    """The regular work of a node on the tables of durable channels. Belongs to one event loop."""

    def __init__(
        self,
        trying: Trying,
        run: Run,
        retention_of: Callable[[str], Retention | None],
        subscribed: Callable[[], Collection[str]],
    ) -> None:
        """Nothing is done before a call of a method.

        Args:
            trying: repeats and reports the work.
            run: runs a function that uses the database.
            retention_of: returns how much of a channel is kept, None for a channel that no longer exists.
            subscribed: returns the channels with subscribers here.
        """
        self._trying = trying
        self._run = run
        self._retention_of = retention_of
        self._subscribed = subscribed
        self._planted = False
        self._time: ledger.Time | None = None
        self._ticked = 0.0
        """When `_time` was taken, on the monotonic clock."""

    async def begin(self) -> None:
        """Plant, and take the first time. A failure is reported, and `plant` and `tick` make good for it."""
        with contextlib.suppress(Exception):
            await self._trying.attempt("clock", self._begin)

    async def _begin(self) -> None:
        await self.plant()
        await self._tick()

    async def plant(self) -> None:
        """Have the epochs of channels without a log stay what they are. To be called before they are first shown."""
        if not self._planted:
            await self._run(ledger.plant)
            self._planted = True

    async def tick(self) -> None:
        """Let the time go on. To be called every `ledger.TICK` seconds."""
        await self._tick()

    async def _tick(self) -> ledger.Time:
        now = monotonic()
        time = self._time = await self._run(ledger.tick, self._time, now - self._ticked)
        self._ticked = now
        if time.back:
            _logger.error("The database is an older copy of itself. All durable channels get new epochs.")
            await self._run(ledger.rotate_now)
        return time

    async def prune(self) -> None:
        """Delete what is no longer kept."""
        now, count = (self._time or await self._tick()).now, _STREAMS_PER_PRUNING
        after: int | None = 0
        while after is not None:
            after = await self._run(prune.prune, after, count, self._retention_of, now)
        after = 0
        while after is not None:
            after = await self._run(prune.forget_empty, after, count, self._subscribed(), now)
