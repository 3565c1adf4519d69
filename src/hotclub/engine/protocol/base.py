"""What a codec and an encoder are to the layers above."""

from collections.abc import Iterable
from typing import Protocol

from hotclub.engine.limits import Limits
from hotclub.engine.model import Publication
from hotclub.engine.protocol.messages import Command, Emulation, Push, Reply


class Codec(Protocol):
    """One form of the protocol on the wire. Stateless; one instance serves every connection.

    Encoded messages say themselves where they end, or a transport separates them by `separator`: joined by it, they
    are one frame.
    """

    name: str
    ping: bytes
    separator: bytes
    binary: bool
    """Whether payloads may be other than JSON text, and frames other than text (protocol §6b)."""

    def decode(self, frame: bytes, limits: Limits) -> Iterable[Command]:
        """The commands of a frame, one after the other, so that a limit holds before the rest is looked at.

        Raises:
            Disconnect: `BAD_REQUEST` for what is not a command, or for more than `limits.commands_per_frame` of them.
        """
        ...

    def decode_emulation(self, body: bytes) -> Emulation:
        """The body of a POST to `/emulation`; its `data` is a frame.

        Raises:
            Disconnect: `BAD_REQUEST` for what is not such a body.
        """
        ...

    def encode_reply(self, reply: Reply) -> bytes: ...

    def encode_push(self, push: Push) -> bytes: ...

    def encode_publication(self, channel: str, publication: Publication, number: int = 0) -> bytes:
        """A push of a publication. `number` stands for the channel's name where it is not 0."""
        ...

    def delta_publication(self, publication: Publication, patch: bytes | None) -> Publication:
        """The publication as it is encoded for a subscription with differences (protocol §2.11).

        Args:
            publication: with its whole data.
            patch: what turns the subscriber's base into that data; None sends the data whole, and so does a patch
                that this form of the protocol cannot carry.
        """
        ...


class Encoder(Protocol):
    """A codec with the framing of a transport. Connections with the same encoder object share encoded messages."""

    codec: Codec

    def frame(self, message: bytes) -> bytes:
        """An encoded message as its transport writes it."""
        ...

    def frame_publication(self, message: bytes) -> bytes:
        """An encoded publication as its transport writes it: the one kind of message that may be compressed."""
        ...
