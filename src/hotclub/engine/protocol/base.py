"""What a codec and an encoder are to the layers above."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from hotclub.engine.limits import Limits
from hotclub.engine.model import ClientInfo, Publication
from hotclub.engine.protocol.malformed import Malformed
from hotclub.engine.protocol.messages import Command, Emulation, Push, Reply


class Codec(Protocol):
    """One form of the protocol on the wire. Stateless: one instance serves every connection.

    Several encoded messages, joined by `separator`, are one frame.
    """

    name: str
    ping: bytes
    separator: bytes
    binary: bool
    """Whether payloads may be other than JSON text, and frames other than text (protocol §6b)."""

    def decode(self, frame: bytes, limits: Limits) -> Iterable[Command | Malformed]:
        """Decode the commands of a frame one by one, so that a caller can stop before the rest is decoded.

        A malformed command whose end and id are known is a `Malformed`.

        Raises:
            Disconnect: `BAD_REQUEST` for any other malformed command, or for more than `limits.commands_per_frame`
                commands.
        """
        ...

    def decode_emulation(self, body: bytes) -> Emulation:
        """The body of a POST to `/emulation`; its `data` is a frame.

        Raises:
            Disconnect: `BAD_REQUEST` for a malformed body.
        """
        ...

    def encode_reply(self, reply: Reply) -> bytes:
        """Encode the answer to a command."""
        ...

    def encode_members(self, command: int, members: Mapping[str, ClientInfo]) -> bytes:
        """Encode a part of the answer to a presence command, for `join_members`."""
        ...

    def join_members(self, command: int, parts: Sequence[bytes]) -> bytes:
        """The answer to a presence command, from its parts in any number but none."""
        ...

    def encode_push(self, push: Push) -> bytes:
        """Encode any push; `encode_publication` does it faster for publications."""
        ...

    def encode_publication(self, channel: str, publication: Publication, number: int = 0) -> bytes:
        """Encode the push of a publication. `number` stands for the channel's name; 0 is no number."""
        ...

    def delta_publication(self, publication: Publication, patch: bytes | None) -> Publication:
        """The publication as it is encoded for a subscription with differences (protocol §2.11).

        Args:
            publication: the publication with its whole data.
            patch: what turns the subscriber's base into that data. The data is sent whole for None, and for a patch
                that this form of the protocol cannot carry.
        """
        ...


class Encoder(Protocol):
    """A codec with the framing of a transport. Connections that have the same encoder object share encoded messages."""

    codec: Codec

    def frame(self, message: bytes) -> bytes:
        """An encoded message as its transport writes it."""
        ...

    def frame_publication(self, message: bytes) -> bytes:
        """An encoded publication as its transport writes it. No other kind of message is ever compressed."""
        ...
