"""Ends this process in time, whatever keeps it alive: a thread, a task that does not end, or a blocked event loop."""

import _thread
import contextlib
import logging
import os
import sys
import threading
import time
from queue import SimpleQueue
from typing import Final, NoReturn

from hotclub.engine.observe import logger
from hotclub.runtime.threads import THREAD_NAME

_FLUSHING: Final = 0.5
"""Seconds for the output that is not written yet. A thread that hangs may hold the lock of a log handler."""


class Guard:
    """A thread that ends the process some time after `arm`. A signal handler may call `arm`."""

    def __init__(self) -> None:
        # A signal handler may put something into a SimpleQueue at any moment, and could not start a thread.
        self._orders: SimpleQueue[float | None] = SimpleQueue()
        self._armed = False
        threading.Thread(target=self._watch, name="guard of the stop", daemon=True).start()

    def arm(self, seconds: float) -> None:
        """End the process with status 0 in so many seconds, if it has not ended by then."""
        self._armed = True
        self._orders.put(seconds)

    def end(self) -> None:
        """Note that the server has stopped. When calls hang, end the process now: their threads could break its end."""
        self._orders.put(None)
        if self._armed and any(thread.name == THREAD_NAME for thread in threading.enumerate()):
            logger.warning("Calls of hooks have not returned; this process ends without them")
            leave(0)

    def _watch(self) -> None:
        seconds = self._orders.get()
        if seconds is not None:
            time.sleep(seconds)
            leave(0)


def leave(status: int) -> NoReturn:
    """End the process now. Written output is flushed, if that takes no time; nothing else is cleaned up."""
    # `threading.Thread` takes a lock that the code which a signal has interrupted may hold.
    flushed = _thread.allocate_lock()
    flushed.acquire()
    with contextlib.suppress(RuntimeError):  # the system has no more threads
        _thread.start_new_thread(_flush, (flushed,))
        flushed.acquire(timeout=_FLUSHING)
    os._exit(status)


def _flush(flushed: "_thread.LockType") -> None:
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    flushed.release()
