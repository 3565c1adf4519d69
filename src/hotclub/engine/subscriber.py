"""One subscription as the fan-out sees it: a position, a form and an outbox."""

from asyncio import TimerHandle

from hotclub.engine.application import ChannelSpec, Predicate
from hotclub.engine.model import ClientInfo, Position, Publication
from hotclub.engine.outbox import Outbox
from hotclub.engine.recovery import Verdict, check_position
from hotclub.engine.shape import Form


class Subscriber:
    """A connection's place in a channel.

    While `buffer` is a list the subscribe reply is not out yet: publications wait there, and joins and leaves are left
    out. In a positioned channel (`epoch`, `offset`) is what the peer has been sent.
    """

    __slots__ = (
        "admits",
        "bases",
        "buffer",
        "channel",
        "epoch",
        "expelled",
        "expiry",
        "form",
        "info",
        "offset",
        "outbox",
        "plain",
        "positioned",
        "present",
        "server_side",
        "session_id",
        "spec",
    )

    def __init__(
        self,
        info: ClientInfo,
        channel: str,
        spec: ChannelSpec,
        outbox: Outbox,
        form: Form,
        *,
        server_side: bool = False,
    ) -> None:
        self.info = info
        self.session_id = info.client
        self.channel = channel
        self.spec = spec
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
            self.buffer.append((epoch, publication))
            return Verdict.SKIP
        if publication.offset == 0:
            return Verdict.SEND if self.outbox.has_room(ephemeral_bytes) else Verdict.DROP
        if not self.positioned:
            return Verdict.SEND
        verdict = check_position(Position(self.epoch, self.offset), epoch, publication.offset)
        if verdict is Verdict.SEND:
            self.epoch, self.offset = epoch, publication.offset
        return verdict

    def is_behind(self, top: Position) -> bool:
        """Whether the log has gone on without this subscriber; `top` must have been read before the call."""
        if self.buffer is not None or not self.positioned or not self.epoch:
            return False
        return self.epoch != top.epoch or self.offset < top.offset
