"""Counters of a node, and its logger. Everything that is refused, dropped or ended is counted."""

import logging
from collections import Counter
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from hotclub.engine.limits import TokenBucket

logger: Final = logging.getLogger("hotclub")

REPORT: Final = "%s: %s"
"""The text of the records of `report`, before its arguments."""
_LONGEST: Final = 256
"""Characters of a peer's text in a log line."""


@dataclass(slots=True)
class Counters:
    """Totals since the node started."""

    connections: int = 0
    commands: int = 0
    publications: int = 0
    deliveries: int = 0
    dropped: int = 0
    """Publications without history that a slow reader was not sent."""
    refused: Counter[int] = field(default_factory=Counter)
    """Commands answered with an error, by its code."""
    undone: int = 0
    """Publications and other work of commits that failed, or that came when the event loop had ended."""
    closed: Counter[int] = field(default_factory=Counter)
    """Connections ended by the server, by the code."""


def report(event: str, *, level: int = logging.WARNING, **fields: object) -> None:
    """Write to the log, in one line, what a peer did wrong; never what the peer sent.

    Args:
        event: what happened.
        level: the level of the line.
        fields: its circumstances. The line is `event: name=value name=value`; text stands in quotes, escaped and cut.
            An empty `why` is left out.
    """
    shown = " ".join(f"{name}={_shown(value)}" for name, value in fields.items() if value or name != "why")
    logger.log(level, REPORT, event, shown)


class FloodFilter(logging.Filter):
    """Lets 1,000 lines of `report` through at once and 100 a second after that, and says how many it left out.

    A peer can open connections faster than a log can be read.
    """

    def __init__(self) -> None:
        super().__init__()
        self._bucket = TokenBucket(100.0, 1_000, monotonic())
        self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter.filter`. Other lines than those of `report` pass."""
        if record.msg != REPORT:
            return True
        if not self._bucket.take(monotonic()):
            self._left_out += 1
            return False
        if self._left_out:
            record.msg, self._left_out = f"{REPORT} left_out={self._left_out}", 0
        return True


def _shown(value: object) -> str:
    return ascii(value[:_LONGEST]) if isinstance(value, str) else str(value)


def printable(text: str, length: int = _LONGEST) -> str:
    """Text of a peer made safe for a log line: escaped and cut (reliability A17)."""
    return text[:length].encode("unicode_escape").decode("ascii")
