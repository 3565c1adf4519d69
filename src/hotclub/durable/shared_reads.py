"""Shares one read among the callers that ask the same at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

_Answer = TypeVar("_Answer")


class SharedReads(Generic[_Answer]):
    """Runs the reads of each key one after the other. Callers that come while one runs share the next read.

    So every read begins after its callers have asked, and a crowd of callers costs few reads. For one event loop.
    """

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Task[_Answer]] = {}
        self._waiting: dict[Hashable, asyncio.Task[_Answer]] = {}

    async def read(self, key: Hashable, work: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Return the answer of a read that begins after this call.

        Args:
            key: callers with the same key ask the same.
            work: does the read. Of callers that share a read, the work of the first one is called.

        Raises:
            Exception: an error of `work`.

        When a caller is cancelled, the read goes on for the others.
        """
        task = self._waiting.get(key)
        if task is None:
            task = self._waiting[key] = asyncio.create_task(self._read(key, work))
            task.add_done_callback(_look)
        return await asyncio.shield(task)

    async def stop(self) -> None:
        """Cancel all reads, and with them their callers. The object cannot be used afterwards."""
        tasks = [*self._running.values(), *self._waiting.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, key: Hashable, work: Callable[[], Awaitable[_Answer]]) -> _Answer:
        task = self._waiting[key]
        try:
            if key in self._running:
                await asyncio.wait({self._running[key]})
        finally:
            del self._waiting[key]
        self._running[key] = task
        try:
            return await work()
        finally:
            del self._running[key]


def _look(task: "asyncio.Task[_Answer]") -> None:
    """Retrieve the exception, which asyncio would log as lost when every caller was cancelled."""
    if not task.cancelled():
        task.exception()
