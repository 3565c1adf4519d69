"""Durable channels: the broker over the tables.

A publication is delivered by a *signal* from the process that committed it, plus its row. Whatever happens to the
signal (the process died, it was another process, it came in the wrong order), the row is found: a signal out of order
makes the node read what is missing, and a lost one is seen by the relay, which compares the tops of the subscribed
channels with what was delivered.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Final

from django.db import transaction

from hotclub.durable import sql
from hotclub.durable.shared_reads import SharedReads
from hotclub.durable.tail import Tail
from hotclub.engine.broker.base import HistoryQuery, Message, PublicationHandler, Retention
from hotclub.engine.model import HistoryPage, Position, Publication
from hotclub.runtime.node import after_commit
from hotclub.runtime.pool import Run
from hotclub.runtime.tables import database
from hotclub.runtime.trying import Trying

_TOPS_PER_QUERY: Final = 500
_ROWS_PER_QUERY: Final = 500
_STREAMS_PER_PRUNING: Final = 500
_GRACE: Final = 0.005
"""Seconds that a gap may close by itself: publishers in several threads commit in order but signal in any."""

_logger = logging.getLogger("hotclub.streams")


class DatabaseBroker:
    """The `DurableBroker` of durable channels. Belongs to one event loop."""

    def __init__(
        self,
        handler: PublicationHandler,
        *,
        run: Run,
        retention_of: Callable[[str], Retention | None],
        relay_interval: float = 0.25,
        prune_interval: float = 60.0,
    ) -> None:
        """Intervals are seconds. `retention_of` says what is kept of a channel, None for one that no longer exists."""
        self._handler = handler
        self._run = run
        self._retention_of = retention_of
        self._relay_interval = relay_interval
        self._prune_interval = prune_interval
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tails: dict[str, Tail] = {}
        self._openings: dict[Tail, asyncio.Task[None]] = {}
        self._fillings: dict[Tail, asyncio.Task[None]] = {}
        self._loops: list[asyncio.Task[None]] = []
        self._trying = Trying(_logger, "durable channels")
        self._histories: SharedReads[HistoryPage] = SharedReads()

    async def start(self) -> None:
        """Begin to relay and to prune. Does not fail when the database is down: it is tried until it answers."""
        self._loop = asyncio.get_running_loop()
        if self._loops:
            return
        self._loops = [
            asyncio.create_task(self._trying.repeat("relay", self._relay_interval, self._poll)),
            asyncio.create_task(self._trying.repeat("pruning", self._prune_interval, self._prune)),
        ]

    async def stop(self) -> None:
        """End all background work. What was committed and not delivered is in the table."""
        tasks = [*self._loops, *self._openings.values(), *self._fillings.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._histories.stop()
        self._loops.clear()
        self._tails.clear()

    async def publish(self, channel: str, message: Message, retention: Retention) -> Position:
        self._loop = asyncio.get_running_loop()
        return await self._run(self.append, channel, message, retention)

    def append(self, channel: str, message: Message, retention: Retention) -> Position:
        with transaction.atomic(using=database()):
            position, publication, duplicate = sql.append(channel, message, retention)
            if not duplicate:
                after_commit(lambda: self._signal_soon(channel, position.epoch, publication))
        return position

    def _signal_soon(self, channel: str, epoch: str, publication: Publication) -> None:
        """A signal from another thread. One that gets lost is no loss: the relay of every node finds the row."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                # As late as a task that the same commit begins, or it would overtake what that publishes.
                loop.call_soon_threadsafe(loop.call_soon, self.signal, channel, epoch, publication)

    def signal(self, channel: str, epoch: str, publication: Publication) -> None:
        tail = self._tails.get(channel)
        if tail is not None:
            self._deliver(channel, tail, tail.offer(epoch, publication))
            self._catch_up(channel, tail)

    async def subscribe(self, channel: str) -> None:
        self._loop = asyncio.get_running_loop()
        tail = self._tails.get(channel)
        if tail is None:
            # Registered before the top is read: a signal that comes in between is not missed.
            tail = self._tails[channel] = Tail()
            self._openings[tail] = asyncio.create_task(self._open(channel, tail))
        opening = self._openings.get(tail)
        if opening is not None:
            await asyncio.shield(opening)

    async def unsubscribe(self, channel: str) -> None:
        self._tails.pop(channel, None)

    async def history(self, channel: str, query: HistoryQuery, retention: Retention) -> HistoryPage:
        # After a restart all members of a channel ask for what came after the same publication.
        read = partial(self._run, sql.read_history, channel, query, retention)
        return await self._histories.read((channel, query, retention), read)

    async def remove_history(self, channel: str) -> None:
        await self._run(sql.remove_entries, channel)

    async def _open(self, channel: str, tail: Tail) -> None:
        try:
            tail.open(await self._run(sql.open_stream, channel))
        except BaseException:
            if self._tails.get(channel) is tail:
                del self._tails[channel]
            raise
        finally:
            del self._openings[tail]
        self._catch_up(channel, tail)

    def _deliver(self, channel: str, tail: Tail, publications: Sequence[Publication]) -> None:
        for publication in publications:
            self._handler(channel, publication, tail.epoch)

    # ------------------------------------------------------------------------------------------- following the table

    def _catch_up(self, channel: str, tail: Tail) -> None:
        if tail.behind and tail not in self._fillings and self._tails.get(channel) is tail:
            self._fillings[tail] = asyncio.create_task(self._fill(channel, tail))

    async def _fill(self, channel: str, tail: Tail) -> None:
        """Read what is missing. After an error the relay, which notices the gap again, repeats it."""
        try:
            await asyncio.sleep(_GRACE)
            while tail.behind and self._tails.get(channel) is tail:
                before = tail.mark
                await self._trying.attempt("relay", self._read, channel, tail)
                if tail.mark == before:
                    tail.give_up()
        except Exception:  # noqa: BLE001 — reported by the attempt
            return
        finally:
            del self._fillings[tail]

    async def _read(self, channel: str, tail: Tail) -> None:
        asked = tail.seen
        top, rows = await self._run(sql.read_after, channel, asked, _ROWS_PER_QUERY)
        if self._tails.get(channel) is tail:
            self._deliver(channel, tail, tail.fill(asked, top, rows, complete=len(rows) < _ROWS_PER_QUERY))

    async def _poll(self) -> None:
        names = iter(list(self._tails))
        while chunk := list(islice(names, _TOPS_PER_QUERY)):
            asked = {name: self._tails[name].seen for name in chunk if name in self._tails}
            for name, top in (await self._run(sql.read_tops, list(asked))).items():
                tail = self._tails.get(name)
                if tail is not None and tail.epoch:
                    tail.notice(asked[name], top)
                    self._catch_up(name, tail)

    async def _prune(self) -> None:
        after: int | None = 0
        while after is not None:
            after = await self._run(sql.prune, after, _STREAMS_PER_PRUNING, self._retention_of)
