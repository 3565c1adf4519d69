"""One subscription as the fan-out sees it: a position and an outbox."""

from hotclub.engine.application import ChannelSpec
from hotclub.engine.model import ClientInfo, Position, Publication
from hotclub.engine.outbox import Outbox
from hotclub.engine.protocol.base import Encoder
from hotclub.engine.recovery import Verdict, check_position


class Subscriber:
    """A connection's place in a channel.

    While `buffer` is a list the subscribe reply is not out yet: publications wait there, and joins and leaves are left
    out. In a positioned channel (`epoch`, `offset`) is what the peer has been sent.
    """

    __slots__ = (
        "buffer",
        "channel",
        "encoder",
        "epoch",
        "expelled",
        "info",
        "offset",
        "outbox",
        "positioned",
        "present",
        "server_side",
        "session_id",
        "spec",
    )

    def __init__(
        self, info: ClientInfo, channel: str, spec: ChannelSpec, outbox: Outbox, encoder: Encoder, *, server_side: bool
    ) -> None:
        self.info = info
        self.session_id = info.client
        self.channel = channel
        self.spec = spec
        self.positioned = spec.positioned
        self.outbox = outbox
        self.encoder = encoder
        self.server_side = server_side
        self.epoch = ""
        self.offset = 0
        self.buffer: list[tuple[str, Publication]] | None = []
        self.present = False
        """Whether presence knows of it."""
        self.expelled = False
        """The server has ended it before its reply was out."""

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
