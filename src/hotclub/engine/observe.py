"""Counters of a node, and its logger. Everything that is refused, dropped or ended is counted."""

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

logger: Final = logging.getLogger("hotclub")

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
    closed: Counter[int] = field(default_factory=Counter)
    """Connections ended by the server, by the code."""


def report(event: str, **fields: object) -> None:
    """Say in one line of the log what a peer did wrong, for whoever looks for one; never what it sent.

    The line is `event: name=value name=value`. A text of the peer's stands in quotes, escaped and cut.
    """
    shown = " ".join(f"{name}={_shown(value)}" for name, value in fields.items())
    logger.warning("%s: %s", event, shown)


def _shown(value: object) -> str:
    return ascii(value[:_LONGEST]) if isinstance(value, str) else str(value)


def printable(text: str, length: int = _LONGEST) -> str:
    """Text of a peer made safe for a log line: escaped and cut (reliability A17)."""
    return text[:length].encode("unicode_escape").decode("ascii")
