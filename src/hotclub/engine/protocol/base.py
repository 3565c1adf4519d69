"""What a codec and an encoder are to the layers above."""

from collections.abc import Iterable
from typing import Protocol

from hotclub.engine.limits import Limits
from hotclub.engine.model import Publication
from hotclub.engine.protocol.messages import Command, Push, Reply


class Codec(Protocol):
    """One form of the protocol on the wire. Stateless; one instance serves every connection."""

    name: str
    ping: bytes

    def decode(self, frame: bytes, limits: Limits) -> Iterable[Command]:
        """The commands of a frame, one after the other, so that a limit holds before the rest is looked at.

        Raises:
            Disconnect: 3501 for what is not a command, or for more than `limits.commands_per_frame` of them.
        """
        ...

    def encode_reply(self, reply: Reply) -> bytes: ...

    def encode_push(self, push: Push) -> bytes: ...

    def encode_publication(self, channel: str, publication: Publication) -> bytes: ...


class Encoder(Protocol):
    """A codec with the framing of a transport. Connections with the same encoder object share encoded messages."""

    codec: Codec

    def frame(self, message: bytes) -> bytes:
        """An encoded message as its transport writes it."""
        ...
