"""One subscription as the fan-out sees it: a position, a form and an outbox.

What a kind of channel needs beside that stands in a subclass or in `held`, and takes no memory in the other kinds.
"""

from asyncio import TimerHandle
from typing import Any, Final

from msgspec import Raw, Struct

from hotclub.engine.kept_grants import Given
from hotclub.engine.model import EMPTY, ClientInfo, Position, Publication
from hotclub.engine.outbox import Outbox
from hotclub.engine.port import Predicate, ResolvedChannel
from hotclub.engine.recovery import Verdict, check_position
from hotclub.engine.shape import Form, remember

_OVERHEAD: Final = 100
"""Bytes that a publication takes beside its data and its key, roughly."""


class Held:
    """Publications that wait to be sent: the newest one of each key, and their size in bytes."""

    __slots__ = ("bytes", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[str, Publication] = {}
        """By key, what has waited longest first."""
        self.bytes = 0

    def put(self, publication: Publication) -> None:
        """Keep a publication, in place of the one that is held of its key."""
        self.drop(publication.key)
        self.waiting[publication.key] = publication
        self.bytes += _weight(publication)

    def drop(self, key: str) -> None:
        """Forget what is held of this key. Idempotent."""
        publication = self.waiting.pop(key, None)
        if publication is not None:
            self.bytes -= _weight(publication)

    def take(self) -> Publication:
        """Take out what has been held longest. Raises StopIteration when nothing is held."""
        publication = self.waiting.pop(next(iter(self.waiting)))
        self.bytes -= _weight(publication)
        return publication


class Subscriber:
    """A connection's place in a channel.

    While `buffer` is a list, the subscribe reply is not out yet: publications wait in the list, and joins and leaves
    are left out. In a positioned channel (`epoch`, `offset`) is what the client has been sent.
    """

    __slots__ = (
        "_bases",
        "admits",
        "buffer",
        "channel",
        "epoch",
        "expelled",
        "expiry",
        "form",
        "given",
        "held",
        "info",
        "joined",
        "offset",
        "outbox",
        "plain",
        "positioned",
        "present",
        "resolved",
        "server_side",
        "spec",
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
        """A place that is not in the hub yet. `server_side` is one that the client did not ask for."""
        self.info = info
        self.resolved = channel
        self.channel = channel.name
        self.spec = channel.spec
        self.positioned = channel.spec.positioned
        self.outbox = outbox
        self.form = form
        self.server_side = server_side
        self.admits: Predicate | None = None
        self._bases: dict[str, Publication] | None = None
        """By key, what the next difference is made against; "" is the key of channels that have none."""
        self.plain = not form.delta
        """Every publication goes out as it is: neither filtered nor as a difference."""
        self.epoch = ""
        self.offset = 0
        self.buffer: list[tuple[str, Publication]] | None = []
        self.held: Held | None = None
        """Where only the newest value of a key matters: what waits for the reply or a slow reader, None for nothing."""
        self.given: Given | None = None
        """What the server granted after the connect reply; the next connection of its client gets it again."""
        self.expiry: TimerHandle | None = None
        self.present = False
        """Whether presence knows of it."""
        self.joined = 0
        """How many subscribers had joined the hub when this one did, itself included; 0 while it is not there."""
        self.expelled = False
        """The server has ended it before its reply was out."""

    @property
    def client_id(self) -> str:
        """The id of the connection."""
        return self.info.client

    def rebase(self, publication: Publication) -> Publication | None:
        """Make the publication the base of its key's next difference. Returns the base before it, None for none."""
        bases = self._bases
        if bases is None:
            bases = self._bases = {}
        base = bases.get(publication.key)
        remember(bases, publication)
        return base

    def drop_base(self, key: str) -> None:
        """Send the next publication of this key whole. Idempotent."""
        if self._bases is not None:
            self._bases.pop(key, None)

    def filter(self, admits: Predicate | None) -> None:
        """Let only publications through whose tags the predicate admits."""
        self.admits = admits
        self.plain = admits is None and not self.form.delta

    def check(self, epoch: str, publication: Publication, ephemeral_bytes: int) -> Verdict:
        """What becomes of a publication here; a positioned subscriber moves on when it is to be sent."""
        if self.buffer is not None:
            return self._wait(self.buffer, epoch, publication)
        if publication.offset == 0:
            if self.held is None and self.outbox.has_room(ephemeral_bytes):
                return Verdict.SEND
            return Verdict.HOLD if self.spec.latest else Verdict.DROP
        if not self.positioned:
            return Verdict.SEND
        verdict = check_position(Position(self.epoch, self.offset), epoch, publication.offset)
        if verdict is Verdict.SEND:
            self.epoch, self.offset = epoch, publication.offset
        return verdict

    def _wait(self, buffer: list[tuple[str, Publication]], epoch: str, publication: Publication) -> Verdict:
        if self.spec.latest:
            return Verdict.HOLD
        if self.collects:
            buffer.append((epoch, publication))
        return Verdict.SKIP

    @property
    def collects(self) -> bool:
        """Whether what arrives before the reply belongs behind what the reply brings."""
        return True

    def hold(self, publication: Publication) -> int:
        """Keep a publication for later, in place of what is held of its key. Returns the bytes that are held now."""
        if self.held is None:
            self.held = Held()
        self.held.put(publication)
        return self.held.bytes

    def drop_held(self, key: str) -> None:
        """Forget what is held of this key. Idempotent."""
        if self.held is not None:
            self.held.drop(key)
            self._tidy(self.held)

    def next_held(self) -> Publication:
        """Take out what has been held longest; something must be held."""
        assert self.held is not None
        publication = self.held.take()
        self._tidy(self.held)
        return publication

    def _tidy(self, held: Held) -> None:
        if not held.waiting:
            self.held = None

    def stand_before(self, publication: Publication) -> None:
        """Take back that `check` moved on: this publication could not be sent."""
        if publication.offset:
            self.offset = publication.offset - 1

    def is_behind(self, top: Position) -> bool:
        """Whether the log has gone on without this subscriber; `top` must have been read before the call."""
        if self.buffer is not None or not self.positioned or not self.epoch:
            return False
        return self.epoch != top.epoch or self.offset < top.offset


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
    """The last read of the log has begun: the changes that arrive from now on belong behind it."""


class MapSubscriber(Subscriber):
    """A place in a map; `catch_up` is None once it is live."""

    __slots__ = ("catch_up",)

    def __init__(self, *args: Any, **options: Any) -> None:
        """As a `Subscriber`."""
        super().__init__(*args, **options)
        self.catch_up: CatchUp | None = None

    @property
    def collects(self) -> bool:
        """See `Subscriber.collects`: until the last read of the log begins, its pages bring what arrives."""
        return self.catch_up is None or self.catch_up.joining


class Tracked(Struct):
    """A key that a subscriber of a shared poll follows: the version it has, and when it may follow it no longer."""

    version: int
    until: float


class PollSubscriber(Subscriber):
    """A place in a shared poll; `tracked` are the keys that it follows."""

    __slots__ = ("tracked",)

    def __init__(self, *args: Any, **options: Any) -> None:
        """As a `Subscriber`."""
        super().__init__(*args, **options)
        self.tracked: dict[str, Tracked] = {}


def _weight(publication: Publication) -> int:
    """About the bytes that a publication takes; also a removal, which has no data, takes some."""
    return len(bytes(publication.data)) + len(publication.key) + _OVERHEAD
