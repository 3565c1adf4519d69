"""The thread pool for synchronous hooks, which keeps and checks the database connections of its threads.

Django closes old connections at the end of a request. A WebSocket has no such end, so the pool tidies up after each
call: it closes a connection that is broken or too old, or that a hook left inside a transaction.
"""

import asyncio
import contextlib
import functools
import math
import threading
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, ClassVar, Final, ParamSpec, Protocol, TypeVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from hotclub.engine.observe import logger
from hotclub.runtime.calls import Busy, Call, Lane, NoAnswer, tell
from hotclub.runtime.files import is_replaced
from hotclub.runtime.threads import Threads

Params = ParamSpec("Params")
Result = TypeVar("Result")

KEPT: Final = 60.0
"""Seconds for which a thread keeps a database connection whose `CONN_MAX_AGE` is Django's default, 0."""

LAST_WAIT: Final = 2.0
"""Seconds for which a pool that closes waits for the calls that have begun."""
_TRUSTED_IDLE: Final = 1.0
"""Seconds for which an unused connection counts as alive without a check."""


_LONGEST_NAME: Final = 100


class Run(Protocol):
    """Runs a synchronous function in a thread where it may use the database, such as `HookPool.run`."""

    def __call__(
        self, func: Callable[Params, Result], /, *args: Params.args, **kwargs: Params.kwargs
    ) -> Awaitable[Result]: ...


class HookPool:
    """A thread pool for code that uses the ORM. Belongs to no event loop; `run` may be awaited in any."""

    is_shared: ClassVar[bool] = True
    """Whether one call may do the work of several connections."""

    def __init__(self, threads: int, *, most: int = 0, timeout: float | None = None) -> None:
        """Make a pool without threads. They start when calls need them.

        Args:
            threads: the threads for calls that return soon.
            most: the most threads, with those in the place of calls that take long or hang; 0 for `threads`.
            timeout: the seconds after which a call is given up; None for never.
        """
        self._threads = Threads(threads, most or threads, self._guarded, connections.close_all)
        self._timeout = timeout
        self._local = threading.local()

    @property
    def lost(self) -> int:
        """How many calls were given up and have not returned."""
        return self._threads.lost

    async def run(self, func: Callable[Params, Result], /, *args: Params.args, **kwargs: Params.kwargs) -> Result:
        """Call `func` in a free thread of the pool, with a copy of the caller's context variables.

        Returns:
            The result of `func`.

        Raises:
            RuntimeError: the pool is closed.
            Busy: the call has not begun; see `Threads.submit`.
            NoAnswer: the call has taken longer than the pool's timeout. It may still end.
            Exception: an error of `func`.

        When the caller is cancelled, a call that waits for a thread is dropped. A call that has begun runs to its end.
        """
        return await self.call(Lane(kind_of(func)), functools.partial(func, *args, **kwargs))

    async def call(self, lane: Lane, work: Callable[[], Result], *, patient: bool = False) -> Result:
        """Call `work` as `run` does, for a lane.

        Args:
            lane: for whom the call is made.
            work: what is called.
            patient: the pool's timeout does not apply.
        """
        call = Call(lane, work)
        self._threads.submit(call)
        if self._timeout is not None and not patient:
            call.timer = call.loop.call_later(self._timeout, self._expire, call)
        try:
            result: Result = await call.future
        except asyncio.CancelledError:
            if self._threads.withdraw(call) and call.timer is not None:
                call.timer.cancel()
            raise
        return result

    def _expire(self, call: Call) -> None:
        runs = self._threads.give_up(call)
        if runs is None:
            return
        if runs:
            logger.error(
                "%s has not returned within %g s. Its thread is lost until it returns; %d are lost now",
                name_of(call.lane.kind),
                self._timeout,
                self.lost,
            )
        if not call.future.done():
            call.future.set_exception(NoAnswer() if runs else Busy("no thread was free in time"))

    async def close(self, seconds: float = LAST_WAIT) -> None:
        """Drop the calls that wait, and wait for those that have begun. Threads close their database connections.

        A call that has not returned after `seconds` is left alone; its thread does not keep the process alive. The pool
        also closes when the caller is cancelled.
        """
        loop = asyncio.get_running_loop()
        empty = loop.create_future()

        for call in self._threads.close(lambda: tell(loop, _resolve, empty)):
            tell(call.loop, call.future.cancel)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await empty

    def _guarded(self, call: Callable[[], Result]) -> Result:
        self._wake_connections()
        try:
            return call()
        finally:
            self._tidy_connections()

    @property
    def _ages(self) -> dict[str, tuple[Any, float, float]]:
        """This thread's open connections by alias: the driver's connection, and the times of its first and last use."""
        ages: dict[str, tuple[Any, float, float]] = self._local.__dict__.setdefault("ages", {})
        return ages

    def _wake_connections(self) -> None:
        now = monotonic()
        for connection in connections.all(initialized_only=True):
            _, _, used = self._ages.get(connection.alias, (None, now, now))
            if connection.connection is not None and (
                is_replaced(connection) or (now - used > _TRUSTED_IDLE and not connection.is_usable())
            ):
                connection.close()

    def _tidy_connections(self) -> None:
        now = monotonic()
        for connection in connections.all(initialized_only=True):
            if connection.in_atomic_block:
                logger.error("A hook left a transaction open on the database %r; it is rolled back", connection.alias)
                _discard(connection)
            elif connection.connection is not None:
                self._keep_or_close(connection, now)

    def _keep_or_close(self, connection: BaseDatabaseWrapper, now: float) -> None:
        driver, seen, _ = self._ages.get(connection.alias, (None, now, now))
        if driver is not connection.connection:
            seen = now
        if connection.errors_occurred and connection.is_usable():
            connection.errors_occurred = False
        pooled = bool(connection.settings_dict["OPTIONS"].get("pool"))
        left_open = not connection.get_autocommit() and connection.settings_dict["AUTOCOMMIT"]
        if connection.errors_occurred or pooled or left_open or now - seen >= _max_age(connection):
            connection.close()
            self._ages.pop(connection.alias, None)
        else:
            self._ages[connection.alias] = (connection.connection, seen, now)


def _discard(connection: BaseDatabaseWrapper) -> None:
    """Close and forget a connection inside a transaction, which Django would not use again in this thread."""
    connection.close()
    del connections[connection.alias]


def _max_age(connection: BaseDatabaseWrapper) -> float:
    """Return the seconds for which a connection is kept: its `CONN_MAX_AGE`, infinity for None, and `KEPT` for 0."""
    age: float | None = connection.settings_dict["CONN_MAX_AGE"]
    return math.inf if age is None else age or KEPT


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


def kind_of(function: Callable[..., Any]) -> object:
    """What calls of this function have in common in any object: the function itself, without the object of a method."""
    return getattr(function, "__func__", function)


def name_of(kind: object) -> str:
    """The name of a function for the log, `module.name`."""
    name = getattr(kind, "__qualname__", None)
    return f"{getattr(kind, '__module__', '')}.{name}" if name else str(kind)[:_LONGEST_NAME]
