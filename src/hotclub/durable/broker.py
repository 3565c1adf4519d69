"""Durable channels: the broker over the tables.

The process that commits a publication sends a *signal* with it to its own node, which delivers it. A savepoint of the
transaction may have been rolled back, so the rows of a transaction of the project are looked for first, by one read.
A node that gets a signal out of order reads the missing rows. A node that gets no signal, such as the node of another
process, finds the row by its *relay*: it regularly compares the tops of the subscribed channels with what was
delivered. When the table contradicts what was delivered, the node gives all logs new epochs (`ledger.py`).
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Final

from django.db import DatabaseError

from hotclub.durable import ledger, prune, sql
from hotclub.durable.housekeeping import Housekeeping
from hotclub.durable.retrying import retried
from hotclub.durable.shared_reads import SharedReads
from hotclub.durable.tail import Tail
from hotclub.engine.broker.base import HistoryQuery, Message, PublicationHandler, Retention
from hotclub.engine.model import HistoryPage, Position, Publication
from hotclub.runtime.pool import Run
from hotclub.runtime.tables import database
from hotclub.runtime.transactions import in_transaction, once_kept
from hotclub.runtime.trying import Trying

_TOPS_PER_QUERY: Final = 500
_ROWS_PER_QUERY: Final = 500
_GRACE: Final = 0.005
"""Seconds to wait for the signals that fill a gap: the threads of a process commit in order but signal in any order."""

Signal = tuple[str, str, sql.Row]
"""A channel, the epoch of its log, and a publication."""

_logger = logging.getLogger("hotclub.durable")


class DatabaseBroker:
    """The `DurableBroker` of durable channels. Belongs to one event loop."""

    def __init__(
        self,
        handler: PublicationHandler,
        *,
        run: Run,
        relay: Run | None = None,
        retention_of: Callable[[str], Retention | None],
        relay_interval: float = 0.25,
        prune_interval: float = 60.0,
    ) -> None:
        """Nothing runs before `start`.

        Args:
            handler: takes the publications of subscribed channels.
            run: runs a function that uses the database, such as `HookPool.run`.
            relay: as `run`, for what other processes publish and for housekeeping; None for `run`.
            retention_of: returns how much of a channel is kept, None for a channel that no longer exists.
            relay_interval: seconds between two looks at the tops of the subscribed channels.
            prune_interval: seconds between two prunings of the tables.
        """
        self._handler = handler
        self._run = run
        self._relay = relay or run
        self._relay_interval = relay_interval
        self._prune_interval = prune_interval
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tails: dict[str, Tail] = {}
        self._openings: dict[Tail, asyncio.Task[None]] = {}
        self._fillings: dict[Tail, asyncio.Task[None]] = {}
        self._loops: list[asyncio.Task[None]] = []
        self._trying = Trying(_logger, "durable channels")
        self._histories: SharedReads[HistoryPage] = SharedReads()
        self._housekeeping = Housekeeping(self._trying, self._relay, retention_of, lambda: set(self._tails))

    async def start(self) -> None:
        """Begin to relay and to prune, again and again while the database fails. Idempotent."""
        self._loop = asyncio.get_running_loop()
        if self._loops:
            return
        await self._housekeeping.begin()
        self._loops = [
            asyncio.create_task(self._trying.repeat("relay", self._relay_interval, self._poll)),
            asyncio.create_task(self._trying.repeat("clock", ledger.TICK, self._housekeeping.tick)),
            asyncio.create_task(self._trying.repeat("pruning", self._prune_interval, self._housekeeping.prune)),
        ]

    async def stop(self) -> None:
        """End all background work. Committed publications that were not delivered remain in the table."""
        tasks = [*self._loops, *self._openings.values(), *self._fillings.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._histories.stop()
        self._loops.clear()
        self._tails.clear()

    async def publish(self, channel: str, message: Message, retention: Retention) -> Position:
        """Append in a transaction of its own; see `Broker.publish` and `sql.append`."""
        self._loop = asyncio.get_running_loop()
        return await self._run(self.append, channel, message, retention)

    def append(self, channel: str, message: Message, retention: Retention) -> Position:
        """Append in the calling thread's transaction; see `DurableBroker.append` and `sql.append`."""
        alias = database()
        if in_transaction(alias):
            position, row, duplicate = sql.append(channel, message, retention)
            if not duplicate:
                once_kept((channel, position.epoch, row), self._kept, self._signal_soon, alias)
        else:
            position, row, duplicate = retried(lambda: sql.append(channel, message, retention))
            if not duplicate:
                self._signal_soon((channel, position.epoch, row))
        return position

    def _kept(self, signals: list[Signal]) -> list[Signal]:
        """Return the signals for subscribers here whose rows a commit has kept. The relay finds what an error hides."""
        mine = [signal for signal in signals if signal[0] in self._tails]
        try:
            stamps = sql.standing([row for _, _, row in mine])
        except DatabaseError:
            return []
        return [signal for signal in mine if signal[2].stamp in stamps]

    def _signal_soon(self, signal: Signal) -> None:
        """Signal from any thread. The relay makes up for a signal that is lost."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                # The second turn keeps the signal behind the publications of a task that the same commit begins.
                self._loop.call_soon_threadsafe(self._loop.call_soon, self.signal, *signal)

    def signal(self, channel: str, epoch: str, row: sql.Row) -> None:
        """Deliver a committed publication, or read what is missing before it. Signals may come late, twice or never."""
        tail = self._tails.get(channel)
        if tail is not None:
            self._deliver(channel, tail, tail.offer(epoch, row))
            self._catch_up(channel, tail)

    def reached(self, channel: str) -> Position | None:
        """See `DurableBroker.reached`."""
        tail = self._tails.get(channel)
        return Position(tail.epoch, tail.seen) if tail is not None and tail.epoch else None

    async def subscribe(self, channel: str) -> None:
        """Begin to deliver a channel's publications; see `Broker.subscribe`.

        A cancelled caller has subscribed unless the database fails.

        Raises:
            DatabaseError: the top of the channel could not be read, and the channel is not subscribed to.
        """
        self._loop = asyncio.get_running_loop()
        tail = self._tails.get(channel)
        if tail is None:
            # The tail is registered before the top is read, so that it gets the signals in between.
            tail = self._tails[channel] = Tail()
            self._openings[tail] = asyncio.create_task(self._open(channel, tail))
        opening = self._openings.get(tail)
        if opening is not None:
            await asyncio.shield(opening)

    async def unsubscribe(self, channel: str) -> None:
        """Stop delivering a channel's publications; see `Broker.unsubscribe`."""
        self._tails.pop(channel, None)

    async def history(self, channel: str, query: HistoryQuery, retention: Retention) -> HistoryPage:
        """Read the kept part of a channel's log; see `Broker.history`. A cancelled call leaves nothing behind."""
        # After a restart all members of a channel ask the same, so they share one read.
        read = partial(self._run, sql.read_history, channel, query, retention)
        return await self._histories.read((channel, query, retention), read)

    async def remove_history(self, channel: str) -> None:
        """Delete a channel's entries; see `Broker.remove_history`. A cancelled call may delete some or all of them."""
        await self._run(prune.remove_entries, channel)

    async def _open(self, channel: str, tail: Tail) -> None:
        try:
            await self._housekeeping.plant()
            tail.open(await self._run(sql.read_top, channel))
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
        """Read and deliver the missing publications. After an error the relay notices the gap again."""
        try:
            await asyncio.sleep(_GRACE)
            while tail.behind and self._tails.get(channel) is tail:
                before = tail.mark
                await self._trying.attempt("relay", self._read, channel, tail)
                if tail.mark == before:
                    tail.give_up()
        except Exception:  # noqa: BLE001 - reported by the attempt
            return
        finally:
            del self._fillings[tail]

    async def _read(self, channel: str, tail: Tail) -> None:
        asked = tail.begin()
        top, rows = await self._relay(sql.read_after, channel, asked, _ROWS_PER_QUERY)
        if self._tails.get(channel) is tail:
            self._deliver(channel, tail, tail.fill(asked, top, rows, complete=len(rows) < _ROWS_PER_QUERY))
            await self._mend(channel, tail, top)

    async def _poll(self) -> None:
        """Compare the tops of the subscribed channels with what was delivered."""
        names = iter(list(self._tails))
        while chunk := list(islice(names, _TOPS_PER_QUERY)):
            tails = {name: self._tails[name] for name in chunk if name in self._tails and self._tails[name].epoch}
            asked = {name: (tail.seen, tail.stamp) for name, tail in tails.items()}
            for name, top in (await self._relay(sql.read_tops, list(asked)) if asked else {}).items():
                if self._tails.get(name) is tails[name]:
                    tails[name].notice(asked[name], top)
                    await self._mend(name, tails[name], top)
                    self._catch_up(name, tails[name])

    async def _mend(self, channel: str, tail: Tail, top: sql.Top) -> None:
        """Give all logs new epochs if the table contradicts what was delivered, and follow the new log."""
        if tail.broken:
            _logger.error(
                "The log of %r is not the one that was delivered. All durable channels get new epochs.", channel
            )
            await self._relay(ledger.rotate, top.era)
            tail.doubt()
