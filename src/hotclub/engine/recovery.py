"""Recovery and the position check: what a returning client gets, and when a live one has missed something.

Pure functions over positions and publications (protocol §3). The rule of this file: a replay is whole or is not
reported as one.
"""

from collections.abc import Sequence
from enum import Enum, auto

from msgspec import Struct

from hotclub.engine.errors import disconnect
from hotclub.engine.model import Position, Publication


class Recovery(Struct, frozen=True):
    """The outcome: every publication after the asked position up to the top, or `recovered` False and none."""

    recovered: bool
    publications: tuple[Publication, ...] = ()


def recover(asked: Position, top: Position, publications: Sequence[Publication]) -> Recovery:
    """Decide whether `publications`, read after `asked` from a log whose top is `top`, close the gap completely.

    An empty `asked.epoch` means any epoch (protocol §3.1).
    """
    if (asked.epoch and asked.epoch != top.epoch) or asked.offset < 0:
        return Recovery(recovered=False)
    if not publications:
        return Recovery(recovered=asked.offset == top.offset)
    offsets = [publication.offset for publication in publications]
    whole = offsets == list(range(asked.offset + 1, top.offset + 1))
    return Recovery(recovered=whole, publications=tuple(publications) if whole else ())


def merge(replayed: Sequence[Publication], buffered: Sequence[Publication], after: int) -> tuple[Publication, ...]:
    """What was replayed and what arrived meanwhile, by offset and each once, beginning right after offset `after`.

    Raises:
        Disconnect: 3010, the two do not join without a hole.
    """
    by_offset = {publication.offset: publication for publication in (*replayed, *buffered)}
    merged = tuple(by_offset[offset] for offset in sorted(by_offset) if offset > after)
    if merged and merged[-1].offset - after != len(merged):
        raise disconnect(3010)
    return merged


class Verdict(Enum):
    """What the position check says of one live publication."""

    SEND = auto()
    SKIP = auto()
    """The subscriber has it already."""
    DROP = auto()
    """Its reader is slow and the channel keeps no history."""
    GAP = auto()
    """Something before it is missing, or the log is another one."""


def check_position(position: Position, epoch: str, offset: int) -> Verdict:
    """Hold a publication against the last position of a subscriber. An empty epoch adopts the first it meets."""
    if position.epoch and epoch != position.epoch:
        return Verdict.GAP
    if offset == position.offset + 1:
        return Verdict.SEND
    return Verdict.SKIP if offset <= position.offset else Verdict.GAP
