"""One answer for all who ask the same at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

_Answer = TypeVar("_Answer")


class SharedReads(Generic[_Answer]):
    """Reads that wait for their turn are joined by everybody who asks the same; those under way are joined by nobody.

    So the answer is never older than the question, and a crowd that comes back at once costs as few reads as fit one
    after the other into its arrival. Belongs to one event loop.
    """

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Task[_Answer]] = {}
        self._waiting: dict[Hashable, asyncio.Task[_Answer]] = {}

    async def read(self, key: Hashable, work: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """The answer of `work()`, or of the same work for another caller with this key, begun after this call.

        A cancelled caller leaves the work to go on. Raises what `work` raises.
        """
        task = self._waiting.get(key)
        if task is None:
            task = self._waiting[key] = asyncio.create_task(self._read(key, work))
            task.add_done_callback(_look)
        return await asyncio.shield(task)

    async def stop(self) -> None:
        """Cancel everything under way; its callers are cancelled with it."""
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
    """Every caller may have been cancelled, and then nobody else asks for the exception."""
    if not task.cancelled():
        task.exception()
