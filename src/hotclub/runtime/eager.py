"""Starts a coroutine as a task that takes its first step at once. Python 3.12 has `asyncio.Task(eager_start=True)`.

Most hooks end at their first step. Without a turn of the event loop between the publishes of one frame, they all leave
in one write per connection.
"""

import asyncio
import contextvars
import sys
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

Result = TypeVar("Result")


def start_eagerly(work: Coroutine[Any, Any, Result]) -> "asyncio.Future[Result]":
    """Run a coroutine up to its first suspension, in a task and a context of its own, and return the task.

    The coroutine has ended if the task is done.
    """
    loop = asyncio.get_running_loop()
    if sys.version_info >= (3, 12):
        return asyncio.Task(work, loop=loop, eager_start=True)
    started: _Started[Result] = _Started(work)
    context = contextvars.copy_context()
    task = loop.create_task(started, context=context)
    caller = asyncio.current_task()
    # What the first step learns of its task must hold for the later steps, such as for `asyncio.timeout`.
    if caller is not None:
        asyncio.tasks._leave_task(loop, caller)  # noqa: SLF001 - documented for those who extend asyncio
    asyncio.tasks._enter_task(loop, task)  # noqa: SLF001 - the same
    try:
        context.run(started.begin)
    finally:
        asyncio.tasks._leave_task(loop, task)  # noqa: SLF001 - the same
        if caller is not None:
            asyncio.tasks._enter_task(loop, caller)  # noqa: SLF001 - the same
    return task if started.outcome is None else started.outcome


class _Started(Coroutine[Any, Any, Result]):
    """A coroutine that has taken its first step before its task runs. The task gets what that step awaits."""

    def __init__(self, work: Coroutine[Any, Any, Result]) -> None:
        self._work = work
        self._awaits: Any = None
        self._is_told = False
        self.outcome: asyncio.Future[Result] | None = None
        """The result of a coroutine that has ended at its first step."""

    def begin(self) -> None:
        """Take the first step."""
        try:
            self._awaits = self._work.send(None)
        except StopIteration as end:
            self._end().set_result(end.value)
        except asyncio.CancelledError:
            self._end().cancel()
        except (KeyboardInterrupt, SystemExit):
            # The caller gets these at once, as from the first step of an eager task.
            self._end()
            raise
        except BaseException as error:  # noqa: BLE001 - the caller gets the error, as from a task
            self._end().set_exception(error)

    def _end(self) -> "asyncio.Future[Result]":
        self.outcome = asyncio.get_running_loop().create_future()
        return self.outcome

    def send(self, value: Any) -> Any:
        """See `Coroutine.send`."""
        if self._is_told:
            return self._work.send(value)
        self._is_told = True
        if self.outcome is not None:
            raise StopIteration
        return self._awaits

    def throw(self, *error: Any) -> Any:
        """See `Coroutine.throw`."""
        self._is_told = True
        return self._work.throw(*error)

    def close(self) -> None:
        """See `Coroutine.close`."""
        self._work.close()

    def __await__(self) -> Generator[Any, Any, Result]:
        raise TypeError("only a task may run this")
