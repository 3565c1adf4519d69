"""Reads the table of orders: hands over each order once, and reports when orders may have been missed."""

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
"""Seconds for which a reader may fail to read before it reports missed orders. Orders are kept for twice as long."""
_ROWS_PER_QUERY: Final = 500
_ROWS_PER_PRUNING: Final = 1_000

_logger = logging.getLogger("hotclub.orders")


class OrderReader:
    """Hands every order that commits after `start` to an inbox, once. Belongs to one event loop."""

    def __init__(
        self,
        inbox: Inbox,
        *,
        run: Run,
        interval: float,
        prune_interval: float,
        patience: float = PATIENCE,
    ) -> None:
        """Nothing runs before `start`.

        Args:
            inbox: takes the orders.
            run: runs a function that uses the database, such as `HookPool.run`.
            interval: seconds between two looks at the table.
            prune_interval: seconds between two prunings of the table.
            patience: seconds without a look after which orders may have been missed.
        """
        self._inbox = inbox
        self._run = run
        self._interval = interval
        self._prune_interval = prune_interval
        self._patience = patience
        self._trying = Trying(_logger, "orders")
        self._loops: list[asyncio.Task[None]] = []
        self._mark: Mark | None = None
        self._looked = 0.0
        """When the last successful look began, on the monotonic clock."""
        self._done: set[int] = set()
        """The ids of orders that were handed over and that the mark does not cover yet."""
        self._old: deque[tuple[float, Mark]] = deque()
        """Earlier marks, each with the monotonic time at which the reader had reached the mark."""

    async def start(self) -> None:
        """Begin to read and to prune. Idempotent.

        While the database fails, the reader tries again and again. After a cancelled call nothing runs.
        """
        if self._loops:
            return
        with contextlib.suppress(Exception):
            await self._trying.attempt("reading", self._look)
        self._loops = [
            asyncio.create_task(self._trying.repeat("reading", self._interval, self._look)),
            asyncio.create_task(self._trying.repeat("pruning", self._prune_interval, self._prune)),
        ]

    async def stop(self) -> None:
        """End the reading and the pruning. Idempotent. They also end when the call is cancelled."""
        loops, self._loops = self._loops, []
        for task in loops:
            task.cancel()
        await asyncio.gather(*loops, return_exceptions=True)

    async def _look(self) -> None:
        """Hand over the new orders. After an error the next look begins at the same mark."""
        since, began = self._mark, monotonic()
        page = await self._run(table.read, since, 0, _ROWS_PER_QUERY)
        reached, lost, ahead = page.mark, page.lost, set[int]()
        self._hand_over(page.rows)
        while len(page.rows) == _ROWS_PER_QUERY and not page.lost:
            page = await self._run(table.read, since, page.rows[-1].id, _ROWS_PER_QUERY)
            lost |= page.lost
            self._hand_over(page.rows)
            # Rows of a later page may be newer than the mark of the first page, where the next look begins.
            ahead.update(row.id for row in page.rows)
        reason = self._doubt(since, reached, lost=lost)
        self._mark, self._done, self._looked = reached, ahead, began
        if reason:
            self._old.clear()
            _logger.warning("Orders of other processes may have been missed: %s", reason)
            self._inbox.missed(reason)

    def _doubt(self, since: Mark | None, reached: Mark, *, lost: bool) -> str:
        """Return why orders since the mark may have been missed, "" when none was."""
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
                self._inbox.receive(decode_order(row.payload), row.origin, row.id)
            except msgspec.DecodeError:
                _logger.exception("An order that is none was dropped")
            except Exception:
                _logger.exception("An order of another process failed")

    async def _prune(self) -> None:
        """Delete the rows that this reader had read two `patience` ago.

        A node that has not read those rows since then reports missed orders anyway.
        """
        if self._mark is None:
            return
        now = monotonic()
        found = None
        while self._old and now - self._old[0][0] > 2 * self._patience:
            _, found = self._old.popleft()
        self._old.append((now, self._mark))
        while found is not None and await self._run(table.prune, found, _ROWS_PER_PRUNING) == _ROWS_PER_PRUNING:
            pass
