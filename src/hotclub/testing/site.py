"""The site that the connections of a test share: started before the first of them, stopped after the last."""

import asyncio
import itertools
import threading
from collections.abc import Callable
from typing import Any, Final, ParamSpec, Protocol, TypeVar

from asgiref.sync import sync_to_async
from django.db import connections

from hotclub.access.session import Login, authenticate_all
from hotclub.durable.broker import DatabaseBroker
from hotclub.engine.broker.base import PublicationHandler
from hotclub.runtime.node import current_node, set_current_node
from hotclub.runtime.pool import HookPool
from hotclub.serving.service import Service
from hotclub.testing.threads import InlinePool, LoopThread

TIMEOUT: Final = 5.0
"""Seconds after which a test fails instead of waiting on."""

Params = ParamSpec("Params")
Result = TypeVar("Result")


class Settled(Protocol):
    """A connection, as the site sees it."""

    async def settle(self) -> None:
        """Return when everything that was sent to the connection so far has arrived."""
        ...


class SettlingBroker(DatabaseBroker):
    """A durable broker without its periodic work, which a test can wait for."""

    async def settle(self) -> None:
        """Return when the broker reads nothing from the database any more."""
        while tasks := [*self._openings.values(), *self._fillings.values()]:
            await asyncio.wait(tasks)


class SitePool(InlinePool):
    """The pool of a test, which knows the users that `force_authenticate` gave it."""

    def __init__(self) -> None:
        super().__init__()
        self._users: dict[str, Any] = {}
        self._numbers = itertools.count(1)

    def key_of(self, user: Any) -> str:
        """A session key that stands for this user."""
        key = f"hotclub.testing:{next(self._numbers)}"
        self._users[key] = user
        return key

    async def run(self, func: Callable[Params, Result], /, *args: Params.args, **kwargs: Params.kwargs) -> Result:
        """See `InlinePool.run`. The session key of such a user is answered without a query."""
        if func is authenticate_all and (known := self._users.keys() & args[0]):  # type: ignore[operator]
            return {key: Login(self._users[key], "", "", "") for key in known}  # type: ignore[return-value]
        return await super().run(func, *args, **kwargs)


class Site(Service):
    """A `Service` whose hooks run on the test's database connection, and that does no periodic work."""

    def __init__(self) -> None:
        self.pool = SitePool()
        super().__init__()
        self.loop = asyncio.get_running_loop()
        self.connections: dict[str, Settled] = {}
        self.users = 0
        """How many blocks use the site."""

    @property
    def ended(self) -> bool:
        """Whether the event loop was closed before the site was stopped."""
        return self.loop.is_closed()

    async def start(self) -> None:
        """Begin to serve the test, in the running event loop."""
        await self._backend.start()
        await self.node.start()
        set_current_node(self.node, self.pool)

    async def stop(self) -> None:
        """End every connection, and close the database connections of other threads than the main one."""
        await super().stop()
        await sync_to_async(_close_connections)()

    def abandon(self) -> None:
        """Forget the site without stopping it, because its event loop is closed."""
        if current_node() is self.node:
            set_current_node(None)

    async def settle(self) -> None:
        """Return when the node has nothing left to do, and every connection has received everything.

        Raises:
            AssertionError: that did not happen within `TIMEOUT` seconds.
        """
        try:
            async with asyncio.timeout(TIMEOUT):
                while await self._moves():
                    pass
        except TimeoutError:
            raise AssertionError(f"the site did not come to rest within {TIMEOUT:g} s: does a hook hang?") from None

    async def _moves(self) -> bool:
        """Wait for everything that has begun. Returns whether something else may have begun meanwhile."""
        before = self.pool.calls
        # Lets the callbacks run that other threads have handed to the loop so far.
        await asyncio.sleep(0)
        await self.node.channels.settle()
        await self._broker.settle()
        await asyncio.gather(*(connection.settle() for connection in list(self.connections.values())))
        return self.pool.calls != before

    def _make_pool(self, threads: int, most: int) -> HookPool:  # noqa: ARG002 - there is one, for everything
        return self.pool

    def _make_durable(self, handler: PublicationHandler) -> DatabaseBroker:
        self._broker = SettlingBroker(handler, run=self.pool.run, retention_of=self._retention_of)
        self._durable = self._broker
        return self._broker


class _Present:
    site: Site | None = None
    thread: LoopThread | None = None


async def enter_site() -> Site:
    """The site of this test, started if need be. `leave_site` must follow.

    Raises:
        RuntimeError: another node runs in this process, or this test has connections in another event loop.
    """
    site = _Present.site
    if site is not None and site.ended:
        abandon_site()
        site = None
    if site is None:
        if current_node() is not None:
            raise RuntimeError("A node runs in this process already: close it before the test connects")
        site = _Present.site = Site()
        await site.start()
    elif site.loop is not asyncio.get_running_loop():
        raise RuntimeError("This test has connections in another event loop: close them first")
    site.users += 1
    return site


async def leave_site(site: Site) -> None:
    """Undo `enter_site`. The last call stops the site."""
    site.users -= 1
    if site.users == 0 and _Present.site is site:
        _Present.site = None
        await site.stop()


def abandon_site() -> None:
    """Forget the site of the test, whose event loop was closed before the site was stopped."""
    site, _Present.site = _Present.site, None
    if site is not None:
        site.abandon()


def loop_thread() -> LoopThread:
    """The thread with the event loop of a test that is not async, started if need be."""
    if _Present.thread is None:
        _Present.thread = LoopThread()
    return _Present.thread


def end_loop_thread() -> None:
    """End the thread of `loop_thread`, unless a site is still served there."""
    thread = _Present.thread
    if thread is not None and _Present.site is None:
        _Present.thread = None
        thread.close()


def _close_connections() -> None:
    """Close this thread's database connections, if it is not the main thread: Django's tests close only those."""
    if threading.current_thread() is not threading.main_thread():
        for connection in connections.all(initialized_only=True):
            if not connection.in_atomic_block:
                connection.close()
