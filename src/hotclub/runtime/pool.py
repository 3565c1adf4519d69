"""The thread pool for synchronous hooks, which keeps and checks the database connections of its threads.

Django closes old connections at the end of a request. A WebSocket has no such end, so the pool tidies up after each
call: it closes a connection that is broken or too old, or that a hook left inside a transaction.
"""

import asyncio
import contextvars
import functools
import math
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any, Final, ParamSpec, Protocol, TypeVar
from weakref import WeakSet

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from hotclub.engine.observe import logger

Params = ParamSpec("Params")
Result = TypeVar("Result")

KEPT: Final = 60.0
"""Seconds for which a thread keeps a database connection whose `CONN_MAX_AGE` is Django's default, 0."""

_TRUSTED_IDLE: Final = 1.0
"""Seconds for which an unused connection counts as alive without a check."""


class Run(Protocol):
    """Runs a synchronous function in a thread where it may use the database, such as `HookPool.run`."""

    def __call__(
        self, func: Callable[Params, Result], /, *args: Params.args, **kwargs: Params.kwargs
    ) -> Awaitable[Result]: ...


class HookPool:
    """A thread pool for code that uses the ORM. Belongs to no event loop; `run` may be awaited in any."""

    def __init__(self, threads: int) -> None:
        """`threads` is the most threads. They start when calls need them."""
        self._executor = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="hotclub")
        self._local = threading.local()
        self._opened: WeakSet[BaseDatabaseWrapper] = WeakSet()
        self._lock = threading.Lock()

    async def run(self, func: Callable[Params, Result], /, *args: Params.args, **kwargs: Params.kwargs) -> Result:
        """Call `func` in a free thread of the pool, with a copy of the caller's context variables.

        Returns:
            The result of `func`.

        Raises:
            RuntimeError: the pool is closed.
            Exception: an error of `func`.

        When the caller is cancelled, a call that waits for a thread is dropped. A call that has begun runs to its end.
        """
        call = functools.partial(contextvars.copy_context().run, func, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._guarded, call)

    async def close(self) -> None:
        """Wait for the calls that have begun, drop the waiting ones, and close the threads' connections.

        The pool also closes when the caller is cancelled.
        """
        await asyncio.to_thread(self._shutdown)

    def _shutdown(self) -> None:
        self._executor.shutdown(cancel_futures=True)
        for connection in list(self._opened):
            # The thread that opened the connection has ended, so this thread may close it.
            connection.inc_thread_sharing()
            connection.close()

    def _guarded(self, call: Callable[[], Result]) -> Result:
        self._wake_connections()
        try:
            return call()
        except StopIteration as error:
            # A future cannot hold a StopIteration, so the caller would wait for ever.
            raise RuntimeError("a function raised StopIteration") from error
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
            if connection.connection is not None and now - used > _TRUSTED_IDLE and not connection.is_usable():
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
            with self._lock:
                self._opened.add(connection)
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
