"""Keeps what strangers can cause from filling the log: a cause is logged once, and then counted.

The cause of a record with an exception is the type of the exception and the line that raised it. The cause of any other
record is the line of code that logged it. Of an exception the first record of a period passes, of other records the
first few. When the period is over, one line says how many followed.
"""

import logging
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Final

from django.conf import settings
from django.core.exceptions import SuspiciousOperation

from hotclub.engine.observe import REPORT, FloodFilter

_BURST: Final = 10
"""Records of one cause without an exception that pass in one period."""
_CAUSES: Final = 500
"""Causes that are remembered. The one that was seen longest ago is forgotten first."""
_LONGEST: Final = 200
_CHAIN: Final = 20
_WITH_DEBUG: Final = 5.0
"""Seconds of the period with DEBUG, where a developer causes the same error again and wants to see it."""
_SUMMARY: Final = "hotclub_summary"
_LOGGERS: Final = (
    *("hotclub", "uvicorn.error", "uvicorn.asgi", "asyncio", "websockets.server", "gunicorn.error", "hypercorn.error"),
    *("daphne.http_protocol", "daphne.server", "daphne.ws_protocol", "_granian", "django.request"),
    *("django.channels.server", "django.security", "django.security.csrf"),
)
"""The loggers on which a request or a connection can cause a record, without those below `hotclub` and with one for
each kind of `SuspiciousOperation`."""


@dataclass(slots=True)
class _Seen:
    """A cause in the present period: its first record, and how many records followed."""

    record: logging.LogRecord
    since: float
    passed: int = 1
    left_out: int = 0


class Repeats(logging.Filter):
    """Lets the first records of a cause pass, and counts the others of the same period. May be added to many loggers.

    Its own lines about what it left out come when the period is over, also when nothing follows.
    """

    def __init__(self, period: float, clock: Callable[[], float] = monotonic) -> None:
        """`period` is in seconds of `clock`."""
        super().__init__()
        self._period = period
        self._clock = clock
        self._causes: OrderedDict[Hashable, _Seen] = OrderedDict()
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter.filter`. Escapes the text of exceptions of the records that pass."""
        if hasattr(record, _SUMMARY) or record.msg == REPORT:
            return True
        cause, error = _cause_of(record), _error_of(record)
        with self._lock:
            over = self._forget_over(cause)
            seen = self._causes.get(cause)
            passes = seen is None or (error is None and seen.passed < _BURST)
            if seen is None:
                self._causes[cause] = _Seen(record, self._clock())
            elif passes:
                seen.passed += 1
            else:
                seen.left_out += 1
                self._wake_later()
        _tell(over, self._clock())
        if passes and error is not None:
            record.exc_text = _escaped_traceback(error)
        return passes

    def flush(self) -> None:
        """Write the lines about what was left out so far, and forget all causes."""
        with self._lock:
            over, self._causes = [*self._causes.values()], OrderedDict()
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        _tell(over, self._clock())

    def _forget_over(self, cause: Hashable) -> list[_Seen]:
        """Forget the cause if its period is over, and the oldest ones beyond the bound. Returns what was forgotten."""
        over = []
        seen = self._causes.get(cause)
        if seen is not None and self._clock() - seen.since >= self._period:
            over.append(self._causes.pop(cause))
        while len(self._causes) >= _CAUSES:
            over.append(self._causes.popitem(last=False)[1])
        return over

    def _wake_later(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(self._period, self._wake)
            self._timer.daemon = True
            self._timer.start()

    def _wake(self) -> None:
        with self._lock:
            now, self._timer = self._clock(), None
            over = [cause for cause, seen in self._causes.items() if now - seen.since >= self._period]
            told = [self._causes.pop(cause) for cause in over]
            if any(seen.left_out for seen in self._causes.values()):
                self._wake_later()
        _tell(told, now)


class Quiet:
    """The filters that bound the log of this process, from `install` to `remove`."""

    def __init__(self, period: float) -> None:
        """`period` is the seconds in which a cause is logged once; it is shorter with DEBUG."""
        self._repeats = Repeats(min(period, _WITH_DEBUG) if settings.DEBUG else period)
        self._flood = FloodFilter()
        self._loggers: list[logging.Logger] = []

    def install(self) -> None:
        """Begin to filter."""
        self._loggers = [logging.getLogger(name) for name in _names()]
        for target in self._loggers:
            target.addFilter(self._repeats)
        logging.getLogger("hotclub").addFilter(self._flood)

    def remove(self) -> None:
        """Say what was left out, and filter no longer. Idempotent."""
        self._repeats.flush()
        loggers, self._loggers = self._loggers, []
        for target in loggers:
            target.removeFilter(self._repeats)
        logging.getLogger("hotclub").removeFilter(self._flood)


def _names() -> Iterator[str]:
    yield from _LOGGERS
    # A filter of a logger does not see the records of the loggers below it.
    yield from (name for name in list(logging.root.manager.loggerDict) if name.startswith("hotclub."))
    kinds = [SuspiciousOperation]
    for kind in kinds:
        yield f"django.security.{kind.__name__}"
        kinds += kind.__subclasses__()


def _error_of(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


def _cause_of(record: logging.LogRecord) -> Hashable:
    error = _error_of(record)
    if error is None:
        # A message without arguments may be made anew each time, with what a stranger sent.
        return record.name, record.levelno, record.pathname, record.lineno, record.msg if record.args else ""
    place, trace = ("", 0), error.__traceback__
    while trace is not None:
        place, trace = (trace.tb_frame.f_code.co_filename, trace.tb_lineno), trace.tb_next
    return record.name, record.levelno, type(error).__module__, type(error).__qualname__, place


def _tell(over: list[_Seen], now: float) -> None:
    for seen in over:
        if seen.left_out:
            _tell_of(seen, now)


def _tell_of(seen: _Seen, now: float) -> None:
    """Write the line about what followed a record, where the record itself was written."""
    first, error = seen.record, _error_of(seen.record)
    text = _escaped(first.getMessage())[:_LONGEST]
    kind = "" if error is None else f" ({type(error).__qualname__})"
    line = "… and %d more in %.0f s: %s%s"
    values = (seen.left_out, max(1.0, now - seen.since), text, kind)
    target = logging.getLogger(first.name)
    summary = target.makeRecord(first.name, first.levelno, first.pathname, first.lineno, line, values, None)
    setattr(summary, _SUMMARY, True)
    target.handle(summary)


def _escaped_traceback(error: BaseException) -> str:
    """The traceback, in which no text of an exception can pass for a line of the log."""
    text = "".join(traceback.format_exception(error)).rstrip("\n")
    link: BaseException | None = error
    for _ in range(_CHAIN):
        if link is None:
            break
        shown = "".join(traceback.format_exception_only(link)).rstrip("\n")
        text = text.replace(shown, "\n    ".join(_escaped(line) for line in shown.split("\n")))
        link = link.__cause__ or link.__context__
    return text


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
