"""What must not stand in logs: credentials that some clients can send in the URL only, and what forges lines."""

import logging
import re
from typing import Final

_SECRETS: Final = re.compile(r"\b((?:cf_connect|api_key|token)=)[^&\s\"]+")
_LONGEST: Final = 256
_LOGGERS: Final = ("uvicorn.access", "uvicorn.error")


class Redaction(logging.Filter):
    """Takes credentials out of the URLs of log records, escapes and cuts them, and lets every record pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(_plain(redact(value)) if isinstance(value, str) else value for value in record.args)
        return True


def redact(text: str) -> str:
    """A text with the credentials in its URLs left out."""
    return _SECRETS.sub(r"\1…", text)


def _plain(text: str) -> str:
    shown = text if text.isprintable() else text.encode("unicode_escape").decode()
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"


def redact_logs() -> None:
    """Keep credentials out of the server's logs. Idempotent."""
    for name in _LOGGERS:
        target = logging.getLogger(name)
        if not any(isinstance(known, Redaction) for known in target.filters):
            target.addFilter(Redaction())
