"""Bounds the time of the project's coroutines, also of those that do not end when they are cancelled."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from hotclub.runtime.calls import Busy, NoAnswer
from hotclub.runtime.eager import start_eagerly

Result = TypeVar("Result")

_CLEAN_UP: Final = 1.0
"""Seconds for which a cancelled coroutine may clean up before its caller goes on."""


class Deadline:
    """Runs coroutines, each in a task of its own, for at most so many seconds. Belongs to one event loop."""

    def __init__(self, seconds: float) -> None:
        """`seconds` is the longest time of one coroutine."""
        self._seconds = seconds
        self._strays: dict[asyncio.Future[Any], object] = {}
        self._holders: Counter[object] = Counter()

    async def run(self, work: Coroutine[Any, Any, Result], holder: object = None) -> Result:
        """Run a coroutine and return its result. A cancelled call cancels the coroutine.

        Args:
            work: the coroutine.
            holder: what can hold one hanging coroutine at most, such as a connection; None for no such bound.

        Raises:
            Busy: a former coroutine of the holder hangs. This one has not begun.
            NoAnswer: the time is over. The coroutine was cancelled.
            Exception: an error of the coroutine.
        """
        if holder in self._holders:
            work.close()
            raise Busy("a former hook of this connection hangs")
        task = start_eagerly(work)
        if task.done():
            return task.result()
        try:
            await asyncio.wait((task,), timeout=self._seconds)
        except asyncio.CancelledError:
            await self._end(task, holder)
            raise
        if not task.done():
            await self._end(task, holder)
            raise NoAnswer
        return task.result()

    async def _end(self, task: "asyncio.Future[Any]", holder: object) -> None:
        task.cancel()
        try:
            await asyncio.wait((task,), timeout=_CLEAN_UP)
        finally:
            # The event loop itself keeps no task alive.
            self._strays[task] = holder
            if holder is not None:
                self._holders[holder] += 1
            if task.done():
                self._forget(task)
            else:
                task.add_done_callback(self._forget)

    def _forget(self, task: "asyncio.Future[Any]") -> None:
        holder = self._strays.pop(task)
        if holder is not None:
            self._holders[holder] -= 1
            if not self._holders[holder]:
                del self._holders[holder]
        if not task.cancelled():
            # An error that nobody has asked for would be logged.
            task.exception()
