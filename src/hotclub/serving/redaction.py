"""A log filter against credentials and forged lines. Some clients can send their credentials only in the URL."""

import logging
import re
from typing import Final

_SECRETS: Final = re.compile(r"\b((?:cf_connect|api_key|token)=)[^&\s\"]+")
_LONGEST: Final = 256
_LOGGERS: Final = ("uvicorn.access", "uvicorn.error")


class Redaction(logging.Filter):
    """Removes credentials from the arguments of log records, escapes control characters, and cuts long text. Every
    record passes."""

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter.filter`. Changes the record and returns True."""
        if isinstance(record.args, tuple):
            record.args = tuple(_plain(redact(value)) if isinstance(value, str) else value for value in record.args)
        return True


def redact(text: str) -> str:
    """Return the text with `…` in place of each credential in a URL."""
    return _SECRETS.sub(r"\1…", text)


def _plain(text: str) -> str:
    shown = text if text.isprintable() else text.encode("unicode_escape").decode()
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"


def redact_logs() -> None:
    """Add a `Redaction` to uvicorn's loggers. Idempotent."""
    for name in _LOGGERS:
        target = logging.getLogger(name)
        if not any(isinstance(known, Redaction) for known in target.filters):
            target.addFilter(Redaction())
