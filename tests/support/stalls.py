"""How long one turn of the event loop takes, in CPU time of its thread: a busy machine does not count."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator
from dataclasses import dataclass
from time import thread_time


@dataclass
class Longest:
    """The longest turn so far, in seconds."""

    turn: float = 0.0


@contextlib.asynccontextmanager
async def longest_turn() -> AsyncIterator[Longest]:
    """Measure the turns of the running loop within the block."""
    longest, going = Longest(), True

    async def measure() -> None:
        before = thread_time()
        while going:
            await asyncio.sleep(0)
            now = thread_time()
            longest.turn, before = max(longest.turn, now - before), now

    # A collection looks at everything that the test has made, which is no part of the work.
    gc.collect()
    gc.disable()
    task = asyncio.create_task(measure())
    await asyncio.sleep(0)
    try:
        yield longest
        await asyncio.sleep(0)
    finally:
        going = False
        await task
        gc.enable()
