"""A call for a thread pool: for whom it is made, what it runs, and how its result comes back to an event loop."""

import asyncio
import contextlib
import contextvars
from collections.abc import Callable
from typing import Any, NamedTuple

from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused


class Busy(Refused):
    """No thread took the call, which has not begun: too many calls wait, or a former call of its holder hangs."""

    def __init__(self, why: str) -> None:
        super().__init__(Code.INTERNAL_ERROR, "the server is busy", why=why)


class NoAnswer(Refused):
    """The call has begun and did not return in time. The call may still be carried out."""

    def __init__(self) -> None:
        super().__init__(Code.INTERNAL_ERROR, "no answer in time: the command may still be carried out")


class Lane(NamedTuple):
    """For whom a call is made."""

    kind: object
    """What is called. Calls of one kind share their bounds."""
    owner: str = ""
    """The user or the network that wants it, "" for nobody."""
    holder: object = None
    """What can hold one hanging call at most, such as a connection; None for no such bound."""


def tell(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: object) -> None:
    """Have an event loop call a function soon. Does nothing when the loop is closed."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(callback, *args)


class Call:
    """A function that waits for a thread or runs in one, and the future of its result."""

    __slots__ = ("began", "future", "lane", "loop", "lost", "stalled", "timer", "work")

    def __init__(self, lane: Lane, work: Callable[[], Any]) -> None:
        """Make a call for the running event loop, with a copy of the context variables of this moment."""
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.lane = lane
        self.work = (contextvars.copy_context(), work)
        self.timer: asyncio.TimerHandle | None = None
        self.began = 0.0
        self.stalled = False
        self.lost = False

    def perform(self, guard: Callable[[Callable[[], Any]], Any]) -> tuple[Any, BaseException | None]:
        """Run the function in this thread, within `guard`. Returns the result, or the error."""
        context, work = self.work
        try:
            return guard(lambda: context.run(work)), None
        except BaseException as error:  # noqa: BLE001 - the error belongs to the task that awaits the call
            return None, error

    def post(self, outcome: tuple[Any, BaseException | None]) -> None:
        """Hand the outcome to the event loop. Does nothing when the loop is closed."""
        tell(self.loop, self._settle, *outcome)

    def _settle(self, result: Any, error: BaseException | None) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if self.future.done():
            return
        if error is None:
            self.future.set_result(result)
        elif isinstance(error, StopIteration):
            # A future cannot hold a StopIteration, so the caller would wait for ever.
            self.future.set_exception(RuntimeError("a function raised StopIteration"))
        else:
            self.future.set_exception(error)
