"""One subscription as the fan-out sees it: a position, a form and an outbox."""

from asyncio import TimerHandle
from typing import Final

from msgspec import Raw, Struct

from hotclub.engine.kept_grants import Given
from hotclub.engine.model import EMPTY, ClientInfo, Position, Publication
from hotclub.engine.outbox import Outbox
from hotclub.engine.port import Predicate, ResolvedChannel
from hotclub.engine.recovery import Verdict, check_position
from hotclub.engine.shape import Form

_OVERHEAD: Final = 100


class CatchUp(Struct):
    """How far the subscriber of a map has come on its way to live (protocol §2.13).

    `until` is when it must have arrived; `frozen` is where the map stood when its first entries were read, `goal` where
    the log stood when its first page was read. `data` and `ttl` are for the reply that ends it.
    """

    until: float
    data: Raw = EMPTY
    ttl: int = 0
    frozen: Position | None = None
    goal: int | None = None
    joining: bool = False
    """The last read of the log has begun, so that what comes from now on must be put behind it."""


class Tracked(Struct):
    """A key that a subscriber of a shared poll follows: the version it has, and when it may follow it no longer."""

    version: int
    until: float


class Subscriber:
    """A connection's place in a channel.

    While `buffer` is a list the subscribe reply is not out yet: publications wait there, and joins and leaves are left
    out. In a positioned channel (`epoch`, `offset`) is what the peer has been sent.

    Where only the newest value of a key matters, `held` has what waits to be sent, one publication per key: until the
    reply is out, and while the reader is slow.
    """

    __slots__ = (
        "admits",
        "bases",
        "buffer",
        "catch_up",
        "channel",
        "epoch",
        "expelled",
        "expiry",
        "form",
        "given",
        "held",
        "held_bytes",
        "info",
        "offset",
        "outbox",
        "plain",
        "positioned",
        "present",
        "resolved",
        "server_side",
        "session_id",
        "spec",
        "tracked",
    )

    def __init__(
        self,
        info: ClientInfo,
        channel: ResolvedChannel,
        outbox: Outbox,
        form: Form,
        *,
        server_side: bool = False,
    ) -> None:
        self.info = info
        self.session_id = info.client
        self.resolved = channel
        self.channel = channel.name
        self.spec = spec = channel.spec
        self.positioned = spec.positioned
        self.outbox = outbox
        self.form = form
        self.server_side = server_side
        self.admits: Predicate | None = None
        self.bases: dict[str, Publication] = {}
        """By key, what the next difference is made against; "" is the key of channels that have none."""
        self.plain = not form.delta
        """Every publication goes out as it is: neither filtered nor as a difference."""
        self.epoch = ""
        self.offset = 0
        self.buffer: list[tuple[str, Publication]] | None = []
        self.held: dict[str, Publication] | None = {} if spec.latest else None
        self.held_bytes = 0
        self.catch_up: CatchUp | None = None
        self.tracked: dict[str, Tracked] | None = None if spec.poll is None else {}
        """The keys of a shared poll that it follows."""
        self.given: Given | None = None
        """What the server granted after the connect reply; the next connection of its client gets it again."""
        self.expiry: TimerHandle | None = None
        self.present = False
        """Whether presence knows of it."""
        self.expelled = False
        """The server has ended it before its reply was out."""

    def filter(self, admits: Predicate | None) -> None:
        """Let only publications through whose tags the predicate admits."""
        self.admits = admits
        self.plain = admits is None and not self.form.delta

    def check(self, epoch: str, publication: Publication, ephemeral_bytes: int) -> Verdict:
        """What becomes of a publication here; a positioned subscriber moves on when it is to be sent."""
        if self.buffer is not None:
            return self._wait(self.buffer, epoch, publication)
        if publication.offset == 0:
            if not self.held and self.outbox.has_room(ephemeral_bytes):
                return Verdict.SEND
            return Verdict.DROP if self.held is None else Verdict.HOLD
        if not self.positioned:
            return Verdict.SEND
        verdict = check_position(Position(self.epoch, self.offset), epoch, publication.offset)
        if verdict is Verdict.SEND:
            self.epoch, self.offset = epoch, publication.offset
        return verdict

    def _wait(self, buffer: list[tuple[str, Publication]], epoch: str, publication: Publication) -> Verdict:
        if self.held is not None:
            return Verdict.HOLD
        if self.catch_up is None or self.catch_up.joining:
            buffer.append((epoch, publication))
        return Verdict.SKIP

    def hold(self, publication: Publication) -> None:
        """Keep a publication for later, in place of what is held of its key."""
        assert self.held is not None
        former = self.held.pop(publication.key, None)
        if former is not None:
            self.held_bytes -= _weight(former)
        self.held[publication.key] = publication
        self.held_bytes += _weight(publication)

    def drop_held(self, key: str) -> None:
        """Forget what is held of this key."""
        assert self.held
        self.held_bytes -= _weight(self.held.pop(key))

    def next_held(self) -> Publication:
        """Take out what has been held longest."""
        assert self.held
        publication = self.held.pop(next(iter(self.held)))
        self.held_bytes -= _weight(publication)
        return publication

    def is_behind(self, top: Position) -> bool:
        """Whether the log has gone on without this subscriber; `top` must have been read before the call."""
        if self.buffer is not None or not self.positioned or not self.epoch:
            return False
        return self.epoch != top.epoch or self.offset < top.offset


def _weight(publication: Publication) -> int:
    """About the bytes that it takes; a removal has no data, but is not for nothing either."""
    return len(bytes(publication.data)) + len(publication.key) + _OVERHEAD
