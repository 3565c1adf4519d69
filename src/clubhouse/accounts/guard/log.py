"""Logs failed and refused log-ins: the name that was tried and the address, never the password."""

import logging
import threading
from collections.abc import Mapping
from time import monotonic
from typing import Any, Final

from django.http import HttpRequest

from clubhouse.accounts.guard.errors import TryLater

logger: Final = logging.getLogger("clubhouse.accounts")

LINES: Final = 60
"""The most lines in a period."""

PERIOD: Final = 60.0
"""Seconds."""


class Sparingly(logging.Filter):
    """Lets `LINES` lines through in each period, and tells with the first line of the next how many it left out."""

    def __init__(self, lines: int = LINES, period: float = PERIOD) -> None:
        super().__init__()
        self._lines, self._period = lines, period
        self._lock = threading.Lock()
        self._began = self._shown = self._left_out = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter.filter`."""
        with self._lock:
            if self._began + self._period <= (now := monotonic()) or not self._began:
                self._began, self._shown = now, 0
            self._shown += 1
            if self._shown > self._lines:
                self._left_out += 1
                return False
            if self._left_out:
                record.msg, self._left_out = f"{record.msg} (left out {self._left_out:.0f} lines)", 0
        return True


def log_failure(request: HttpRequest | None = None, credentials: Mapping[str, Any] | None = None, **_: Any) -> None:
    """Log a wrong name or password. A receiver of Django's signal `user_login_failed`."""
    logger.warning("Log-in failed: name=%s address=%s", _shown((credentials or {}).get("username")), _address(request))


def log_refusal(request: HttpRequest | None, name: str, refused: TryLater) -> None:
    """Log a log-in that was not looked at."""
    logger.warning("Log-in refused for %d s: name=%s address=%s", refused.seconds, _shown(name), _address(request))


def _address(request: HttpRequest | None) -> str:
    return _shown("" if request is None else request.META.get("REMOTE_ADDR", ""))


def _shown(text: object) -> str:
    return ascii(str(text)[:150])
