"""Counters of a node, and its logger. Everything that is refused, dropped or ended is counted."""

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

logger: Final = logging.getLogger("hotclub")


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


def printable(text: str, length: int = 256) -> str:
    """Text of a peer made safe for a log line: escaped and cut (reliability A17)."""
    return text[:length].encode("unicode_escape").decode("ascii")
