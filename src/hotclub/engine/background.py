"""Work of a node that nobody waits for: clean-up in tasks of its own, and work on many things in short turns."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, Final, TypeVar

from hotclub.engine.failures import surviving
from hotclub.engine.observe import logger
from hotclub.engine.turns import Turn

Item = TypeVar("Item")
_AT_LEAST: Final = 32
"""How many items one turn takes however slow they are, so that what is for a few takes effect at once."""


class Background:
    """The tasks of one node that nobody waits for. Belongs to the node's event loop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work in a task of its own. A failure is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def in_turns(self, work: Callable[[Item], None], items: Iterable[Item], failure: str) -> None:
        """Call `work` with each item, in order: at once as far as one turn reaches, the rest in later turns.

        Args:
            work: does not wait.
            items: are taken one after the other, so they must stay as they are.
            failure: the line for the log when `work` raises. The next item follows.
        """
        rest = iter(items)
        if not _take_turn(work, rest, failure):
            self.spawn(_take_turns(work, rest, failure))

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("Background work failed", exc_info=task.exception())

    async def settle(self) -> None:
        """Wait until no work runs. When the caller is cancelled, the work goes on."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))


def _take_turn(work: Callable[[Item], None], rest: Iterator[Item], failure: str) -> bool:
    """Work for one turn. Returns whether nothing is left."""
    turn = Turn()
    for number, item in enumerate(rest, 1):
        with surviving(failure):
            work(item)
        if number >= _AT_LEAST and turn.over:
            return False
    return True


async def _take_turns(work: Callable[[Item], None], rest: Iterator[Item], failure: str) -> None:
    while True:
        await asyncio.sleep(0)
        if _take_turn(work, rest, failure):
            return
