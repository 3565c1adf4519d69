"""The lease of a server process: how the processes on one database know of each other.

With the memory engine every process has subscribers, presence and history of its own, so a second process splits the
site. Each node renews a row by the clock of the database; a row that is not renewed for `LIFETIME` counts for nothing.
A row that was there before this process counts only after it was renewed, so a restart after a crash is no alarm.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import BooleanField, ExpressionWrapper, Q
from django.db.models.functions import Now

from hotclub.engine.observe import logger
from hotclub.runtime.pool import HookPool
from hotclub.runtime.tables import NotMigrated, database, node_leases

RENEWAL: Final = 5.0
"""Seconds between two renewals."""
LIFETIME: Final = timedelta(seconds=15)
ONE_PROCESS: Final = frozenset({"memory"})
"""Engines whose channels live in one process."""
ADVICE: Final = "Run one process: `manage.py hotclub_serve`, or your server with one worker (`--workers 1`)."
SPLIT: Final = (
    "With the engine memory:// each process has its own subscribers, presence and history, so whatever is not durable "
    "reaches only some of the people."
)

_HURRY: Final = 1.0
"""Seconds between two looks while it is not clear whether an older lease is renewed."""
_LAST_WAIT: Final = 2.0
_DESCRIBED: Final = 255


@dataclass(frozen=True, slots=True)
class Held:
    """A lease of some process: the node's id, where it runs, the kind of its engine, and when it was renewed."""

    node: str
    process: str
    engine: str
    renewed: datetime


def this_process() -> str:
    """The host and the process id, to tell a process by."""
    return f"{socket.gethostname()}, process {os.getpid()}"[:_DESCRIBED]


def engine_kind(engine: str) -> str:
    """What a lease says of the `ENGINE` setting: its scheme, for the rest may hold a password."""
    return engine.partition("://")[0]


def splits(mine: str, other: str) -> bool:
    """Whether two processes with engines of these kinds do not share their channels."""
    return mine != other or mine in ONE_PROCESS


def held() -> list[Held]:
    """The leases that have not expired. Synchronous; one query.

    Raises:
        NotMigrated: there is no table of leases.
    """
    rows = node_leases().filter(renewed__gte=Now() - LIFETIME).order_by("pk")
    return [Held(*row) for row in rows.values_list("node", "process", "engine", "renewed")]


def renew(node: str, process: str, engine: str) -> list[Held]:
    """Write the lease of a node, delete expired ones, and return those of the others. Synchronous.

    Raises:
        NotMigrated: there is no table of leases.
    """
    rows = node_leases()
    if not rows.filter(node=node).update(renewed=Now()):
        rows.create(node=node, process=process, engine=engine, renewed=Now())
    others = rows.exclude(node=node).order_by("pk")
    over = ExpressionWrapper(Q(renewed__lt=Now() - LIFETIME), output_field=BooleanField())
    found = others.annotate(over=over).values_list("node", "process", "engine", "renewed", "over")
    leases = [(Held(*row[:4]), bool(row[4])) for row in found]
    expired = [lease.node for lease, is_over in leases if is_over]
    if expired:
        # A node that was only late may have renewed its lease by now.
        rows.filter(node__in=expired, renewed__lt=Now() - LIFETIME).delete()
    return [lease for lease, is_over in leases if not is_over]


def remove(node: str) -> None:
    """Delete the lease of a node. Synchronous."""
    node_leases().filter(node=node).delete()


class Neighbours:
    """Which other processes are alive, from one look at the leases to the next. Pure."""

    def __init__(self) -> None:
        self._first: dict[str, datetime] = {}
        """The leases found at the first look, until they are renewed."""
        self._looked = False
        self._alive: frozenset[str] = frozenset()

    def look(self, others: Iterable[Held]) -> list[Held]:
        """Those of the other leases whose processes have lived since the first look."""
        others = list(others)
        if not self._looked:
            self._looked, self._first = True, {item.node: item.renewed for item in others}
        alive = [item for item in others if self._first.get(item.node) != item.renewed or item.node in self._alive]
        self._alive = frozenset(item.node for item in alive)
        self._first = {item.node: item.renewed for item in others if item.node in self._first.keys() - self._alive}
        return alive

    @property
    def doubtful(self) -> Collection[str]:
        """Nodes whose leases may be those of dead processes."""
        return self._first.keys()


class Lease:
    """Keeps this node's lease, and says so when another process splits the site. Belongs to one event loop."""

    def __init__(self, node: str, engine: str, pool: HookPool, *, interval: float = RENEWAL) -> None:
        """`engine` is the setting, `pool` where the database is asked; a renewal is due every `interval` seconds."""
        self.trouble = ""
        """Why this process is not ready to serve, for anybody to read; "" when it is."""
        self._node = node
        self._process = this_process()
        self._engine = engine_kind(engine)
        self._pool = pool
        self._interval = interval
        self._neighbours = Neighbours()
        self._told: set[str] = set()
        self._failing = False
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to renew. Waits for nothing: a site without its tables, or without its database, starts all the
        same."""
        self._task = asyncio.create_task(self._keep(), name="hotclub lease")

    async def stop(self) -> None:
        """End the renewals and remove the lease, if the database lets us; otherwise it expires."""
        self._stopping.set()
        if self._task is not None:
            # A renewal under way would write the row again, so it may end first.
            await asyncio.wait({self._task}, timeout=_LAST_WAIT)
            self._task.cancel()
            await asyncio.wait({self._task})
        try:
            await self._pool.run(remove, self._node)
        except Exception as error:  # noqa: BLE001 - whatever it was, the lease expires
            logger.debug("The lease of this process was not removed: %s", error)

    async def _keep(self) -> None:
        while not self._stopping.is_set():
            try:
                others = await self._pool.run(renew, self._node, self._process, self._engine)
            except Exception as error:  # noqa: BLE001 - whatever it was, the next renewal may succeed
                self._fail(error)
            else:
                self._judge(others)
            pause = min(_HURRY, self._interval) if self._neighbours.doubtful else self._interval
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()

    def _fail(self, error: Exception) -> None:
        missing = isinstance(error, NotMigrated)
        self.trouble = "run `manage.py migrate`" if missing else "the database does not answer"
        if not self._failing:
            self._failing = True
            logger.warning("Whether other processes serve this site is unknown, and is tried again: %s", error)

    def _judge(self, others: list[Held]) -> None:
        rivals = [item for item in self._neighbours.look(others) if splits(self._engine, item.engine)]
        for rival in rivals:
            if rival.node not in self._told:
                logger.error(
                    "A second process serves the database %r: %s (engine %s) beside %s (engine %s). %s %s",
                    database(), rival.process, rival.engine, self._process, self._engine, SPLIT, ADVICE,
                )  # fmt: skip
        if self._told and not rivals:
            logger.warning("No second process serves the database %r any more", database())
        self._failing, self._told = False, {rival.node for rival in rivals}
        self.trouble = "another process serves the same database, and their engine is not shared" if rivals else ""
