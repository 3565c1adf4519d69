"""Ends this process in time, whatever keeps it alive: a thread, a task that does not end, or a blocked event loop."""

import _thread
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from time import monotonic
from typing import Final, NoReturn

from hotclub.engine.observe import logger
from hotclub.runtime.threads import THREAD_NAME

_STOPS: Final = frozenset((signal.SIGINT, signal.SIGTERM))
_LEAST: Final = 0.001
_FLUSHING: Final = 0.5
"""Seconds for the output that is not written yet. A thread that hangs may hold the lock of a log handler."""


class Guard:
    """A thread that ends the process with status 0 some time after a signal that stops the server.

    Signals reach the thread although the event loop waits in code that is not Python's, such as a database driver.
    """

    def __init__(self, seconds: float) -> None:
        """`seconds` is the time from the signal to the end of a process that has not ended by then."""
        self._seconds = seconds
        self._armed = False
        self._end: float | None = None
        self._signals, self._wakes = socket.socketpair()
        self._wakes.setblocking(False)
        self._loop_wakes = -1
        threading.Thread(target=self._watch, name="guard of the stop", daemon=True).start()

    def hear(self) -> None:
        """Hear the signals of this process. For the main thread, while its event loop runs."""
        before = signal.set_wakeup_fd(self._wakes.fileno(), warn_on_full_buffer=False)
        if before >= 0:
            # An event loop may need the signals, too. It closes its own descriptor, whose number comes again.
            self._loop_wakes = os.dup(before)

    def arm(self) -> None:
        """Begin to count the seconds, as a signal does that is heard. A signal handler may call this."""
        self._armed = True
        with contextlib.suppress(OSError):  # closed, or full of signals
            self._wakes.send(bytes((signal.SIGTERM,)))

    def end(self) -> None:
        """Note that the server has stopped. When calls hang, end the process now: their threads could break its end."""
        heard = signal.set_wakeup_fd(-1)
        if heard != self._wakes.fileno():
            # An event loop or the project has taken the place since `hear`.
            signal.set_wakeup_fd(heard)
        if not self._armed and self._end is None:
            self._wakes.close()
        elif any(thread.name == THREAD_NAME for thread in threading.enumerate()):
            logger.warning("Calls of hooks have not returned; this process ends without them")
            leave(0)

    def _watch(self) -> None:
        while told := self._heard():
            if self._loop_wakes >= 0:
                with contextlib.suppress(OSError):  # the loop has ended, or has enough to read
                    os.write(self._loop_wakes, told)
            if self._end is None and not _STOPS.isdisjoint(told):
                self._end = monotonic() + self._seconds

    def _heard(self) -> bytes:
        """Wait for signals and return their numbers; b"" when no more can come."""
        self._signals.settimeout(None if self._end is None else max(_LEAST, self._end - monotonic()))
        try:
            return self._signals.recv(64)
        except TimeoutError:
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
