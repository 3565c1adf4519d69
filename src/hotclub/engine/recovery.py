"""Recovery and the position check: what a returning client gets, and when a live one has missed something.

Pure functions over positions and publications (protocol §3). The rule of this file: a client is told that it has
recovered only when it gets every publication that it missed.
"""

from collections.abc import Sequence
from enum import Enum, auto

from msgspec import Struct

from hotclub.engine.codes import Close
from hotclub.engine.errors import Disconnect
from hotclub.engine.model import Position, Publication


class Recovery(Struct, frozen=True):
    """The outcome: every publication after the asked position up to the top, or `recovered` False and none."""

    recovered: bool
    publications: tuple[Publication, ...] = ()

    def start(self, asked: Position | None, top: Position) -> int:
        """The offset that the client walks on from: where it recovers from, or the top."""
        if not self.recovered:
            return top.offset
        if self.publications:
            return self.publications[0].offset - 1
        return top.offset if asked is None else asked.offset


def recover(asked: Position, top: Position, publications: Sequence[Publication]) -> Recovery:
    """Decide whether `publications`, read after `asked` from a log whose top is `top`, close the gap completely.

    A position names its log by the epoch. The only position that fits every log is the beginning: offset 0 without an
    epoch. SDKs ask for a whole log by it (protocol §3.1).
    """
    is_beginning = not asked.epoch and asked.offset == 0
    if asked.epoch != top.epoch and not is_beginning:
        return Recovery(recovered=False)
    if asked.offset < 0:
        return Recovery(recovered=False)
    if not publications:
        return Recovery(recovered=asked.offset == top.offset)
    offsets = [publication.offset for publication in publications]
    whole = offsets == list(range(asked.offset + 1, top.offset + 1))
    return Recovery(recovered=whole, publications=tuple(publications) if whole else ())


def recover_cache(asked: Position | None, top: Position, latest: Sequence[Publication]) -> Recovery:
    """Decide as `recover` does, in a channel of which only the latest publication matters (protocol §3.1, cache mode).

    `latest` holds that publication, or nothing. A client that has the publication already gets none.
    """
    known = asked is not None and asked == top
    if not latest:
        return Recovery(recovered=known)
    if latest[0].offset != top.offset:
        return Recovery(recovered=False)
    return Recovery(recovered=True, publications=() if known else (latest[0],))


def merge(replayed: Sequence[Publication], buffered: Sequence[Publication], after: int) -> tuple[Publication, ...]:
    """The replayed publications and those that arrived meanwhile, by offset, each once, from offset `after` + 1 on.

    Raises:
        Disconnect: `INSUFFICIENT_STATE`, an offset is missing between the two.
    """
    by_offset = {publication.offset: publication for publication in (*replayed, *buffered)}
    merged = tuple(by_offset[offset] for offset in sorted(by_offset) if offset > after)
    if merged and merged[-1].offset - after != len(merged):
        raise Disconnect(Close.INSUFFICIENT_STATE)
    return merged


class Verdict(Enum):
    """What the position check says of one live publication."""

    SEND = auto()
    SKIP = auto()
    """The subscriber has it already."""
    DROP = auto()
    """Its reader is slow and the channel keeps no history."""
    HOLD = auto()
    """It is sent later, unless a newer one of the same key comes first."""
    GAP = auto()
    """Something before it is missing, or the log is another one."""


def check_position(position: Position, epoch: str, offset: int) -> Verdict:
    """What becomes of a publication after a subscriber's position. A position without an epoch fits every epoch."""
    if position.epoch and epoch != position.epoch:
        return Verdict.GAP
    if offset == position.offset + 1:
        return Verdict.SEND
    return Verdict.SKIP if offset <= position.offset else Verdict.GAP
