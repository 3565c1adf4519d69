"""Which thread runs what: hooks run where the test's database connection is, the event loop in another thread.

- An async test of Django's test cases: `sync_to_async` runs hooks in the test's thread.
- An async test of pytest: the event loop runs in the test's thread, and `sync_to_async` runs hooks in a thread of its
  own, which `lend_connections` lets use the test's transaction.
- A test that is not async: the event loop runs in a `LoopThread`, and hooks run in the test's thread while it waits.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import AsyncToSync, SyncToAsync, sync_to_async
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from hotclub.runtime.calls import Lane
from hotclub.runtime.pool import HookPool
from hotclub.testing.commits import committing

Params = ParamSpec("Params")
Result = TypeVar("Result")


class InlinePool(HookPool):
    """The `HookPool` of a test: runs hooks on the test's own database connection, one after another."""

    def __init__(self) -> None:
        super().__init__(threads=1)
        self.calls = 0
        """How many calls have been made so far."""

    async def run(self, func: Callable[Params, Result], /, *args: Params.args, **kwargs: Params.kwargs) -> Result:
        """See `HookPool.run`. The `on_commit` callbacks of the call have run when this returns."""
        self.calls += 1
        return await sync_to_async(committing, thread_sensitive=True)(lambda: func(*args, **kwargs))

    async def call(self, lane: Lane, work: Callable[[], Result], *, patient: bool = False) -> Result:  # noqa: ARG002 - every lane has the same thread
        """See `HookPool.call`. A test that takes too long fails by itself."""
        return await self.run(work)


class LoopThread(Executor):
    """An event loop in a thread of its own, for a test that is not async.

    As an `Executor` it hands functions to the test's thread, which runs them while it waits in `call`.
    """

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hotclub test loop", daemon=True)
        # Where `sync_to_async` looks for the thread that belongs to a loop.
        AsyncToSync.loop_thread_executors[self._loop] = self  # type: ignore[assignment]
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine to its end in the loop's thread, and hooks in this thread meanwhile. Returns its result."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        future.add_done_callback(lambda _: self._work.put(None))
        while not future.done():
            task = self._work.get()
            if task is not None:
                task()
        return future.result()

    def submit(self, fn: Callable[Params, Result], /, *args: Params.args, **kwargs: Params.kwargs) -> "Future[Result]":
        """See `Executor.submit`."""
        future: Future[Result] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the future
                future.set_exception(error)

        self._work.put(work)
        return future

    def close(self) -> None:
        """End the event loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        AsyncToSync.loop_thread_executors.pop(self._loop, None)
        self._loop.close()


@contextmanager
def lend_connections() -> Iterator[None]:
    """Let `sync_to_async` code use the transactions that are open in this thread, until the end of the block.

    Belongs around an event loop that runs in this thread: the thread makes no queries of its own meanwhile. Does
    nothing when no transaction is open.
    """
    lent = [connection for connection in connections.all(initialized_only=True) if connection.in_atomic_block]
    before = _in_sensitive_thread(_exchange, lent, [])
    for connection in lent:
        connection.inc_thread_sharing()
    try:
        yield
    finally:
        _in_sensitive_thread(_exchange, before, lent)
        for connection in lent:
            connection.dec_thread_sharing()


def _in_sensitive_thread(function: Callable[Params, Result], *args: Params.args, **kwargs: Params.kwargs) -> Result:
    return SyncToAsync.single_thread_executor.submit(function, *args, **kwargs).result()


def _exchange(to_set: list[BaseDatabaseWrapper], to_forget: list[BaseDatabaseWrapper]) -> list[BaseDatabaseWrapper]:
    """Change this thread's database connections. Returns the connections that were replaced."""
    present = {connection.alias: connection for connection in connections.all(initialized_only=True)}
    for connection in to_forget:
        if present.get(connection.alias) is connection:
            del connections[connection.alias]
    for connection in to_set:
        connections[connection.alias] = connection
    return [present[connection.alias] for connection in to_set if connection.alias in present]
