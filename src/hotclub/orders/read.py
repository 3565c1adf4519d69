"""Reading the table of orders: each order once, and a word when any may have been missed."""

import asyncio
import contextlib
import logging
from collections import deque
from time import monotonic
from typing import Final

import msgspec

from hotclub.orders import table
from hotclub.orders.bus import Inbox
from hotclub.orders.messages import decode_order
from hotclub.orders.table import Mark, Row
from hotclub.runtime.pool import Run
from hotclub.runtime.trying import Trying

PATIENCE: Final = 60.0
"""Seconds for which a reader may be silent. Orders are kept for twice as long, so that no clock has to be right."""
_ROWS_PER_QUERY: Final = 500
_ROWS_PER_PRUNING: Final = 1_000

_logger = logging.getLogger("hotclub.orders")


class OrderReader:
    """Hands every order that commits from `start` on to the inbox, once. Belongs to one event loop."""

    def __init__(
        self,
        inbox: Inbox,
        *,
        run: Run,
        interval: float,
        prune_interval: float,
        patience: float = PATIENCE,
    ) -> None:
        """Intervals are seconds: between two looks, between two prunings. `run` may use the database."""
        self._inbox = inbox
        self._run = run
        self._interval = interval
        self._prune_interval = prune_interval
        self._patience = patience
        self._trying = Trying(_logger, "orders")
        self._loops: list[asyncio.Task[None]] = []
        self._mark: Mark | None = None
        self._looked = 0.0
        """When the last look that succeeded began."""
        self._done: set[int] = set()
        """What was handed over although the mark does not show it."""
        self._old: deque[tuple[float, Mark]] = deque()
        """Former marks and when they were there at the latest."""

    async def start(self) -> None:
        """Begin to read and to prune. Does not fail when the database is down: it is tried until it answers."""
        if self._loops:
            return
        with contextlib.suppress(Exception):
            await self._trying.attempt("reading", self._look)
        self._loops = [
            asyncio.create_task(self._trying.repeat("reading", self._interval, self._look)),
            asyncio.create_task(self._trying.repeat("pruning", self._prune_interval, self._prune)),
        ]

    async def stop(self) -> None:
        """End the reading. Idempotent."""
        loops, self._loops = self._loops, []
        for task in loops:
            task.cancel()
        await asyncio.gather(*loops, return_exceptions=True)

    async def _look(self) -> None:
        """Hand over what is new. After an error the next look begins at the same mark."""
        since, began = self._mark, monotonic()
        page = await self._run(table.read, since, 0, _ROWS_PER_QUERY)
        reached, lost, ahead = page.mark, page.lost, set[int]()
        self._hand_over(page.rows)
        while len(page.rows) == _ROWS_PER_QUERY and not page.lost:
            page = await self._run(table.read, since, page.rows[-1].id, _ROWS_PER_QUERY)
            lost |= page.lost
            self._hand_over(page.rows)
            # These may have come after the first page, which the next look begins at.
            ahead.update(row.id for row in page.rows)
        reason = self._doubt(since, reached, lost=lost)
        self._mark, self._done, self._looked = reached, ahead, began
        if reason:
            self._old.clear()
            _logger.warning("Orders of other processes may have been missed: %s", reason)
            self._inbox.missed(reason)

    def _doubt(self, since: Mark | None, reached: Mark, *, lost: bool) -> str:
        """Why the rows found since the mark may not be all there were; "" when they are."""
        if since is None:
            return "they could not be read from the start" if self._loops else ""
        if lost:
            return "the table is not what it was"
        silent = max(monotonic() - self._looked, reached.now - since.now)
        return f"they could not be read for {silent:.0f} s" if silent > self._patience else ""

    def _hand_over(self, rows: list[Row]) -> None:
        for row in rows:
            if row.id in self._done:
                continue
            self._done.add(row.id)
            try:
                self._inbox.receive(decode_order(row.payload), row.origin)
            except msgspec.DecodeError:
                _logger.exception("An order that is none was dropped")
            except Exception:
                _logger.exception("An order of another process failed")

    async def _prune(self) -> None:
        """Delete what every node that is not to doubt has read: those rows were there for twice its patience."""
        if self._mark is None:
            return
        now = monotonic()
        found = None
        while self._old and now - self._old[0][0] > 2 * self._patience:
            _, found = self._old.popleft()
        self._old.append((now, self._mark))
        while found is not None and await self._run(table.prune, found, _ROWS_PER_PRUNING) == _ROWS_PER_PRUNING:
            pass
