"""The lease of a server process: a row by which the processes on one database find each other.

With the memory engine every process has its own subscribers, presence and history, so a second process splits the site.
Each node renews its row by the clock of the database. A row that was not renewed for `LIFETIME` has expired. A row that
is older than this process counts only after a renewal, so the row of a crashed process raises no alarm. SQLite has the
clock of the machine, which may jump.
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

from hotclub.conf.config import Config
from hotclub.engine.observe import logger
from hotclub.runtime.pool import HookPool
from hotclub.runtime.tables import NotMigrated, database, node_leases

RENEWAL: Final = 5.0
"""Seconds between two renewals."""
LIFETIME: Final = timedelta(seconds=15)
"""The time from the last renewal of a lease to its expiry."""
ONE_PROCESS: Final = frozenset({"memory"})
"""Engines whose channels live in one process."""
ADVICE: Final = "Run one process: `manage.py hotclub_serve`, or your server with one worker (`--workers 1`)."
SPLIT: Final = (
    "With the engine memory:// each process has its own subscribers, presence and history, so whatever is not durable "
    "reaches only some of the people."
)

_HURRY: Final = 1.0
"""Seconds between two renewals while an older lease may belong to a dead process."""
_LAST_WAIT: Final = 2.0
_LONGEST: Final = 255


@dataclass(frozen=True, slots=True)
class Held:
    """A lease: the node's id, its host and process id, the kind of its engine, and the time of the last renewal."""

    node: str
    process: str
    engine: str
    renewed: datetime


def this_process() -> str:
    """Return the host and the process id as one text, which identifies this process."""
    return f"{socket.gethostname()}, process {os.getpid()}"[:_LONGEST]


def engine_kind(config: Config) -> str:
    """Return the engine's name for a lease: the path of `BACKEND`, or the scheme of `ENGINE`. The rest of the URL may
    hold a password."""
    return (config.backend or config.engine.partition("://")[0])[:_LONGEST]


def splits(mine: str, other: str) -> bool:
    """Return whether two processes with these kinds of engine have separate channels. Two processes with the same back
    end of the project's own are assumed to share their channels."""
    return mine != other or mine in ONE_PROCESS


def held() -> list[Held]:
    """Return the leases that have not expired. Synchronous; one query.

    Raises:
        NotMigrated: the table of leases is missing.
    """
    rows = node_leases().exclude(_expired()).order_by("pk")
    return [Held(*row) for row in rows.values_list("node", "process", "engine", "renewed")]


def renew(node: str, process: str, engine: str) -> list[Held]:
    """Write the lease of a node, and delete the expired leases of other nodes. Synchronous.

    Args:
        node: the id of the node.
        process: the host and process id of the node, from `this_process`.
        engine: the kind of the node's engine, from `engine_kind`.

    Returns:
        The unexpired leases of the other nodes.

    Raises:
        NotMigrated: the table of leases is missing.
    """
    rows = node_leases()
    if not rows.filter(node=node).update(renewed=Now()):
        rows.create(node=node, process=process, engine=engine, renewed=Now())
    others = rows.exclude(node=node).order_by("pk")
    over = ExpressionWrapper(_expired(), output_field=BooleanField())
    found = others.annotate(over=over).values_list("node", "process", "engine", "renewed", "over")
    leases = [(Held(*row[:4]), bool(row[4])) for row in found]
    expired = [lease.node for lease, is_over in leases if is_over]
    if expired:
        # A late node may have renewed its lease after the query above.
        rows.filter(_expired(), node__in=expired).delete()
    return [lease for lease, is_over in leases if not is_over]


def _expired() -> Q:
    """The leases that were not renewed lately. A renewal in the future is from a clock that went ahead and came back;
    a node that lives renews its lease by the present clock, or writes it anew."""
    return Q(renewed__lt=Now() - LIFETIME) | Q(renewed__gt=Now() + LIFETIME)


def remove(node: str) -> None:
    """Delete the lease of a node. Synchronous.

    Raises:
        NotMigrated: the table of leases is missing.
    """
    node_leases().filter(node=node).delete()


class Neighbours:
    """Decides which other processes are alive, by comparing successive reads of the leases. Pure."""

    def __init__(self) -> None:
        self._first: dict[str, datetime] = {}
        """Node id → last renewal of the leases that the first read found, until they are renewed."""
        self._looked = False
        self._alive: frozenset[str] = frozenset()

    def look(self, others: Iterable[Held]) -> list[Held]:
        """Take the other nodes' leases, and return the leases that were written after the first call."""
        others = list(others)
        if not self._looked:
            self._looked, self._first = True, {item.node: item.renewed for item in others}
        alive = [item for item in others if self._first.get(item.node) != item.renewed or item.node in self._alive]
        self._alive = frozenset(item.node for item in alive)
        self._first = {item.node: item.renewed for item in others if item.node in self._first.keys() - self._alive}
        return alive

    @property
    def doubtful(self) -> Collection[str]:
        """The ids of the nodes whose leases may belong to dead processes."""
        return self._first.keys()


class Lease:
    """Renews this node's lease, and logs an error when another process splits the site. Belongs to one event loop."""

    def __init__(self, node: str, engine: str, pool: HookPool, *, interval: float = RENEWAL) -> None:
        """Make a lease that `start` begins to renew.

        Args:
            node: the id of this node.
            engine: the kind of this node's engine, from `engine_kind`.
            pool: the threads that query the database.
            interval: the seconds between two renewals.
        """
        self.trouble = ""
        """The reason why this process is not ready to serve, "" when it is ready. It is public: `READY_PATH` shows
        it."""
        self._node = node
        self._process = this_process()
        self._engine = engine
        self._pool = pool
        self._interval = interval
        self._neighbours = Neighbours()
        self._told: set[str] = set()
        self._failing = False
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the renewals in the running loop and return at once. A site starts without its tables or its database,
        too."""
        self._task = asyncio.create_task(self._keep(), name="hotclub lease")

    async def stop(self) -> None:
        """End the renewals and delete the lease. A lease that cannot be deleted expires, as after a cancelled call."""
        self._stopping.set()
        if self._task is not None:
            # A renewal that is under way would write the row again after its removal.
            await asyncio.wait({self._task}, timeout=_LAST_WAIT)
            self._task.cancel()
            await asyncio.wait({self._task})
        try:
            await self._pool.run(remove, self._node)
        except Exception as error:  # noqa: BLE001 - the lease expires after any error
            logger.debug("The lease of this process was not removed: %s", error)

    async def _keep(self) -> None:
        while not self._stopping.is_set():
            try:
                others = await self._pool.run(renew, self._node, self._process, self._engine)
            except Exception as error:  # noqa: BLE001 - the next renewal may succeed after any error
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
