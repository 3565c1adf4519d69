"""Durable channels: the broker over the tables, and the messages that reach the nodes of a site through a table.

A publication is delivered by a *signal* from the process that committed it, plus its row. Whatever happens to the
signal (the process died, it was another process, it came in the wrong order), the row is found: a signal out of order
makes the node read what is missing, and a lost one is seen by the relay, which compares the tops of the subscribed
channels with what was delivered.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final, ParamSpec, Protocol, TypeVar

from django.db import transaction

from hotclub.durable import sql
from hotclub.durable.shared_reads import SharedReads
from hotclub.durable.tail import Tail
from hotclub.engine.broker.base import HistoryQuery, Message, PublicationHandler, Retention
from hotclub.engine.model import HistoryPage, Position, Publication
from hotclub.orders.messages import _RELAY_DECODER, RelayMessage
from hotclub.runtime.node import after_commit
from hotclub.runtime.tables import database

RELAY: Final = "$relay"
"""The internal stream that carries messages to every node. No channel can have this name."""

_RELAY_KEPT: Final = 60.0
_TOPS_PER_QUERY: Final = 500
_ROWS_PER_QUERY: Final = 500
_STREAMS_PER_PRUNING: Final = 500
_GRACE: Final = 0.005
"""Seconds that a gap may close by itself: publishers in several threads commit in order but signal in any."""
_LONGEST_PAUSE: Final = 5.0

_logger = logging.getLogger("hotclub.streams")
_Params = ParamSpec("_Params")
_Result = TypeVar("_Result")


class Run(Protocol):
    """Runs a synchronous function where it may use the database and holds up nobody: `HookPool.run`."""

    def __call__(
        self, func: Callable[_Params, _Result], /, *args: _Params.args, **kwargs: _Params.kwargs
    ) -> Awaitable[_Result]: ...


class DatabaseBroker:
    """The `DurableBroker` of durable channels. Belongs to one event loop."""

    def __init__(
        self,
        handler: PublicationHandler,
        *,
        run: Run,
        on_message: Callable[[RelayMessage], None],
        node_id: str,
        retention_of: Callable[[str], Retention | None],
        relay_interval: float = 0.25,
        prune_interval: float = 60.0,
    ) -> None:
        """Intervals are seconds. `on_message` gets what other processes sent with `send_relay`; it must not block.
        `retention_of` says what is kept of a channel, None for one that no longer exists."""
        self._handler = handler
        self._run = run
        self._on_message = on_message
        self._node_id = node_id
        self._retention_of = retention_of
        self._relay_interval = relay_interval
        self._prune_interval = prune_interval
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tails: dict[str, Tail] = {}
        self._openings: dict[Tail, asyncio.Task[None]] = {}
        self._fillings: dict[Tail, asyncio.Task[None]] = {}
        self._loops: list[asyncio.Task[None]] = []
        self._failing: set[str] = set()
        self._histories: SharedReads[HistoryPage] = SharedReads()

    async def start(self) -> None:
        """Begin to relay and to prune. Does not fail when the database is down: it is tried until it answers."""
        self._loop = asyncio.get_running_loop()
        if self._loops:
            return
        with contextlib.suppress(Exception):
            await self._attempt("relay", self._poll)
        self._loops = [
            asyncio.create_task(self._repeat("relay", self._relay_interval, self._poll)),
            asyncio.create_task(self._repeat("pruning", self._prune_interval, self._prune)),
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
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self.signal, channel, epoch, publication)

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
            if channel == RELAY:
                self._receive(publication)
            else:
                self._handler(channel, publication, tail.epoch)

    def _receive(self, publication: Publication) -> None:
        try:
            message = _RELAY_DECODER.decode(publication.data)
            if not message.origin or message.origin != self._node_id:
                self._on_message(message)
        except Exception:
            _logger.exception("A message from another process was dropped")

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
                await self._attempt("relay", self._read, channel, tail)
                if tail.mark == before:
                    tail.give_up()
        except Exception:  # noqa: BLE001 — reported by _attempt
            return
        finally:
            del self._fillings[tail]

    async def _read(self, channel: str, tail: Tail) -> None:
        asked = tail.seen
        top, rows = await self._run(sql.read_after, channel, asked, _ROWS_PER_QUERY)
        if self._tails.get(channel) is tail:
            self._deliver(channel, tail, tail.fill(asked, top, rows, complete=len(rows) < _ROWS_PER_QUERY))

    async def _poll(self) -> None:
        await self.subscribe(RELAY)
        names = iter(list(self._tails))
        while chunk := list(islice(names, _TOPS_PER_QUERY)):
            asked = {name: self._tails[name].seen for name in chunk if name in self._tails}
            for name, top in (await self._run(sql.read_tops, list(asked))).items():
                tail = self._tails.get(name)
                if tail is not None and tail.epoch:
                    tail.notice(asked[name], top)
                    self._catch_up(name, tail)

    async def _prune(self) -> None:
        await self._run(sql.prune_older, RELAY, _RELAY_KEPT)
        after: int | None = 0
        while after is not None:
            after = await self._run(sql.prune, after, _STREAMS_PER_PRUNING, self._retention_to_prune)

    def _retention_to_prune(self, channel: str) -> Retention | None:
        return Retention(size=1_000_000_000, ttl=_RELAY_KEPT) if channel == RELAY else self._retention_of(channel)

    async def _repeat(self, what: str, interval: float, work: Callable[[], Awaitable[None]]) -> None:
        pause = interval
        while True:
            await asyncio.sleep(pause)
            try:
                await self._attempt(what, work)
                pause = interval
            except Exception:  # noqa: BLE001 — reported by _attempt
                pause = max(interval, min(pause * 2, _LONGEST_PAUSE))

    async def _attempt(self, what: str, work: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Do the work; say once when it begins to fail, and once when it works again."""
        try:
            await work(*args)
        except Exception as error:
            if what not in self._failing:
                self._failing.add(what)
                _logger.warning("The %s of durable channels fails and is tried again: %s", what, error)
            raise
        if what in self._failing:
            self._failing.discard(what)
            _logger.warning("The %s of durable channels works again", what)
