"""The composition root of a server process: one `Service` makes the node and everything that the node needs."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Final

from django.utils.crypto import salted_hmac

from hotclub.access.rates import Traffic
from hotclub.channels.client import Client
from hotclub.channels.registry import Registry, get_registry
from hotclub.conf.backend import make_backend
from hotclub.conf.config import Config, get_config
from hotclub.conf.version import __version__
from hotclub.durable.broker import DatabaseBroker
from hotclub.engine.broker.base import PublicationHandler, Retention
from hotclub.engine.node import Node
from hotclub.engine.observe import logger
from hotclub.engine.target import Target
from hotclub.hooks.application import compose
from hotclub.orders.messages import Order
from hotclub.orders.perform import origin_of, perform, perform_once
from hotclub.orders.read import PATIENCE, OrderReader
from hotclub.revocation.reprove import reprove
from hotclub.revocation.watch import CHUNK, SessionWatch
from hotclub.runtime.node import current_node, set_current_node
from hotclub.runtime.pool import HookPool, name_of

_EXPIRY_CHECK: Final = 0.5
"""Seconds between two checks of the sessions that are due."""
_THREADS: Final = 4
"""Threads of each pool for Hotclub's own work, which starts others in the place of calls that take long."""
_MOST_THREADS: Final = 64
_LEAST: Final = 0.1
"""Seconds that the steps of a stop have at least, each."""
STOP_SECONDS: Final = 2.0
"""The longest time that `Service.stop` takes, in seconds."""


class Service:
    """A node with its thread pool, its durable broker and its watch over sessions. Lives in one event loop."""

    def __init__(
        self, config: Config | None = None, registry: Registry | None = None, *, patience: float = PATIENCE
    ) -> None:
        """Make a service that does nothing before `start`.

        Args:
            config: the configuration; None for the project's.
            registry: the channels and procedures; None for the project's.
            patience: the seconds without a successful read of orders after which every grant is checked again.
        """
        self.config = config or get_config()
        registry = registry or get_registry()
        self._watch = SessionWatch()
        # Each of these has threads of its own, so that one that hangs in the project's code or in the database does not
        # delay another: hooks, log-ins, the queries for clients, the relay of durable channels, orders with the lease,
        # and the looks at logins.
        self._pool = self._make_pool(self.config.threads, self.config.threads_max)
        self._logins, self._stores, self._relay, self._inner_pool, self._looks = (
            self._make_pool(_THREADS, _MOST_THREADS) for _ in range(5)
        )
        self.traffic = Traffic(self.config.rates)
        self._application = compose(
            registry,
            self.config,
            hooks=self._pool,
            inner=self._logins,
            watch=self._watch,
            traffic=self.traffic,
        )
        self._backend = make_backend(self.config)
        self.node = self._make_node()
        self._orders = OrderReader(
            self,
            run=self._inner_pool.run,
            interval=self.config.relay_interval,
            prune_interval=self.config.prune_interval,
            patience=patience,
        )
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the node, its stores and its readers in the running loop. Idempotent."""
        if self.node.started:
            return
        await self._backend.start()
        await self.node.start()
        await self._durable.start()
        await self._orders.start()
        set_current_node(self.node, self._stores, hooks=self._pool)
        self._running = asyncio.create_task(self._watch_sessions(), name="hotclub session watch")

    async def stop(self) -> None:
        """Close every connection with 3001, finish the hooks, and release threads and database connections.

        Takes `STOP_SECONDS` at most: what hangs is left behind, and the log says so.
        """
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running
            self._running = None
        end = monotonic() + STOP_SECONDS
        # The stack runs the last step first, and every step even after a failure.
        async with contextlib.AsyncExitStack() as steps:
            steps.push_async_callback(self._close_pools, end)
            steps.callback(self._abdicate)
            for step in (self._backend.stop, self._durable.stop, self.node.stop, self._orders.stop):
                steps.push_async_callback(finish, step, end)

    async def _close_pools(self, end: float) -> None:
        pools = {self._pool, self._logins, self._stores, self._relay, self._inner_pool, self._looks}
        seconds = max(_LEAST, end - monotonic())
        await asyncio.gather(*(pool.close(seconds) for pool in pools))

    def _abdicate(self) -> None:
        if current_node() is self.node:
            set_current_node(None)

    @property
    def inner_pool(self) -> HookPool:
        """The threads for the orders and the lease of this process. Nothing of the project's runs in them."""
        return self._inner_pool

    def _make_pool(self, threads: int, most: int) -> HookPool:
        """Make a thread pool. `hotclub.testing` overrides this method to wait for the calls of its pools."""
        return HookPool(threads, most=most, timeout=self.config.hook_timeout)

    def _make_node(self) -> Node:
        return Node(
            self._application,
            make_broker=self._backend.broker,
            make_maps=self._backend.maps,
            presence=self._backend.presence(),
            limits=self.config.limits,
            version=__version__,
            make_durable=self._make_durable,
            key=salted_hmac("hotclub.transports", "session secrets", algorithm="sha256").digest(),
        )

    def _make_durable(self, handler: PublicationHandler) -> DatabaseBroker:
        self._durable = DatabaseBroker(
            handler,
            run=self._stores.run,
            relay=self._relay.run,
            retention_of=self._retention_of,
            relay_interval=self.config.relay_interval,
            prune_interval=self.config.prune_interval,
        )
        return self._durable

    def _retention_of(self, channel: str) -> Retention | None:
        found = self._application.resolve(channel)
        return found.spec.retention if found is not None and found.spec.durable else None

    def receive(self, order: Order, origin: str, number: int) -> None:
        """Perform an order unless this node has performed the order by itself; see `orders.bus.Inbox.receive`."""
        if origin == origin_of(self.node):
            perform_once(self.node, number, order)
        elif origin != self.node.id:
            perform(self.node, order)

    def missed(self, reason: str) -> None:  # noqa: ARG002 - the reader has logged the reason
        """Check every grant and login that an unread order may have ended; see `orders.bus.Inbox.missed`."""
        self.node.channels.spawn(self._reprove())

    async def _reprove(self) -> None:
        await reprove(self.node, personal=self.config.personal_channel)
        await self.check_sessions(self._watch.clients())

    async def _watch_sessions(self) -> None:
        regular = self.config.login_check
        next_look, paused = monotonic() + regular, 0.0
        while True:
            await asyncio.sleep(min(_EXPIRY_CHECK, regular))
            if monotonic() < paused:
                continue
            everybody = monotonic() >= next_look
            if everybody:
                next_look = monotonic() + regular
            try:
                await self.check_sessions(self._watch.clients() if everybody else self._watch.due())
            except Exception:  # noqa: BLE001 - the next check may succeed after any error
                paused = monotonic() + regular
                logger.exception("Sessions could not be checked; tried again in %g s", regular)

    async def check_sessions(self, clients: Sequence[Client]) -> None:
        """Disconnect the given clients whose login is over, and renew `user` on the others. A database error passes
        through; a cancelled call disconnects no further client."""
        for start in range(0, len(clients), CHUNK):
            chunk = clients[start : start + CHUNK]
            look = await self._looks.run(self._watch.check, chunk)
            for client, reason in self._watch.judge(chunk, look):
                self.node.disconnect(Target(client_id=client.id), reason)


async def finish(step: Callable[[], Awaitable[None]], end: float) -> None:
    """Take a step of the stop, and leave it behind when it lasts beyond `end` on the monotonic clock."""
    task = asyncio.ensure_future(step())
    done, _ = await asyncio.wait((task,), timeout=max(_LEAST, end - monotonic()))
    if done:
        task.result()
        return
    task.cancel()
    logger.warning("%s has not ended in time; this process stops without it", name_of(step))
