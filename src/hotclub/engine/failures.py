"""What must run whatever fails: failures that are logged and passed, and clean-up that a cancellation does not stop."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from hotclub.engine.observe import logger


def is_stop(error: BaseException) -> bool:
    """Whether an exception ends the running task or the process. Every other one is a failure of the code that raised.

    A BaseException can be a failure, such as a panic of an extension that is written in Rust, and so can the
    CancelledError of something that this task has awaited.
    """
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is None or task.cancelling() > 0
    return isinstance(error, GeneratorExit | KeyboardInterrupt | SystemExit)


@contextmanager
def surviving(what: str, *args: object) -> Iterator[None]:
    """Log a failure of the block, and go on behind the block: what follows must run whatever fails here.

    Args:
        what: the line for the log, with the placeholders of `logging`.
        args: the values of the placeholders.

    Raises:
        BaseException: what ends the task or the process, see `is_stop`.
    """
    try:
        yield
    except BaseException as error:
        if is_stop(error):
            raise
        logger.exception(what, *args)


async def finished(work: Coroutine[Any, Any, None]) -> None:
    """Run clean-up to its end, also while the caller is cancelled, once or more often.

    Raises:
        CancelledError: the caller was cancelled; the work is done.
    """
    task = asyncio.get_running_loop().create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()
