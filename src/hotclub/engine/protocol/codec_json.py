"""The JSON codec: objects separated by one line break (protocol §1.2)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeVar

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from hotclub.engine.codes import Close
from hotclub.engine.errors import Disconnect
from hotclub.engine.limits import Limits
from hotclub.engine.model import ClientInfo, Publication
from hotclub.engine.protocol.malformed import Malformed, malformed_json
from hotclub.engine.protocol.messages import Command, ConnectCommand, Emulation, Push, Reply

T = TypeVar("T")

_NULL_LEVELS: Final = 12
"""How many levels of a command are searched for fields that are null: each level costs a pass over all below it."""
_NULL_VALUES: Final = 1_000
"""How many values of a command are searched for null at most."""
_NULL: Final = Raw(b"null")
_UNDECODABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)
_MALFORMED: Final = "a frame is no JSON form of a command"
_PAYLOAD: Final = "data"
_fields: Final = msgspec.json.Decoder(dict[str, Raw])
_items: Final = msgspec.json.Decoder(list[Raw])


class _Pushed(msgspec.Struct, frozen=True):
    push: Push


class _EmulationText(msgspec.Struct, frozen=True):
    session: str = ""
    node: str = ""
    data: str = ""


class JsonCodec:
    """The protocol as JSON text."""

    name = "json"
    ping = b"{}"
    separator = b"\n"
    binary = False

    def __init__(self) -> None:
        self._commands: Final = msgspec.json.Decoder(Command)
        self._emulations: Final = msgspec.json.Decoder(_EmulationText)
        self._encoder: Final = msgspec.json.Encoder()

    def decode(self, frame: bytes, limits: Limits) -> Iterator[Command | Malformed]:
        """See `Codec.decode`."""
        start, end = 0, len(frame)
        if frame.endswith(b"\n"):
            end -= 1
        for _ in range(limits.commands_per_frame):
            stop = frame.find(b"\n", start, end)
            line = frame[start : end if stop < 0 else stop]
            try:
                command: Command | Malformed = _decode(self._commands, line)
            except _UNDECODABLE as error:
                command = _refused(line, error)
            yield command
            if stop < 0:
                return
            start = stop + 1
        raise Disconnect(Close.BAD_REQUEST, why="too many commands in one frame")

    def decode_emulation(self, body: bytes) -> Emulation:
        """See `Codec.decode_emulation`."""
        posted = _read(self._emulations, body)
        return Emulation(posted.session, posted.node, posted.data.encode())

    def encode_reply(self, reply: Reply) -> bytes:
        """See `Codec.encode_reply`."""
        return self._encoder.encode(reply)

    def encode_members(self, command: int, members: Mapping[str, ClientInfo]) -> bytes:  # noqa: ARG002 - the port's
        """See `Codec.encode_members`: the inside of a JSON object."""
        return self._encoder.encode(members)[1:-1]

    def join_members(self, command: int, parts: Sequence[bytes]) -> bytes:
        """See `Codec.join_members`."""
        return b'{"id":%d,"presence":{"presence":{%b}}}' % (command, b",".join(parts))

    def encode_push(self, push: Push) -> bytes:
        """See `Codec.encode_push`."""
        return self._encoder.encode(_Pushed(push))

    def encode_publication(self, channel: str, publication: Publication, number: int = 0) -> bytes:
        """See `Codec.encode_publication`."""
        return b'{"push":%b}' % self._bare_publication(channel, publication, number)

    def delta_publication(self, publication: Publication, patch: bytes | None) -> Publication:
        """See `Codec.delta_publication`. A patch becomes a JSON string, so it must not cut a character in two."""
        if patch is not None:
            try:
                return replace(publication, data=self._quote(patch), delta=True)
            except UnicodeDecodeError:
                pass
        return replace(publication, data=self._quote(bytes(publication.data)))

    def _bare_publication(self, channel: str, publication: Publication, number: int) -> bytes:
        encode = self._encoder.encode
        if number:
            return b'{"id":%d,"pub":%b}' % (number, encode(publication))
        return b'{"channel":%b,"pub":%b}' % (encode(channel), encode(publication))

    def _quote(self, text: bytes) -> Raw:
        return Raw(self._encoder.encode(text.decode()))


class UniJsonCodec(JsonCodec):
    """The form of the unidirectional transports: a bare connect request comes in, bare pushes go out (protocol
    §6.2)."""

    def __init__(self) -> None:
        super().__init__()
        self._requests: Final = msgspec.json.Decoder(ConnectCommand)

    def decode_connect(self, body: bytes) -> ConnectCommand:
        """Decode the request that opens the connection.

        Raises:
            Disconnect: `BAD_REQUEST` for a malformed request.
        """
        return _read(self._requests, body)

    def encode_reply(self, reply: Reply) -> bytes:
        """Encode the result of connect as a push: the only reply that a unidirectional client gets."""
        return self.encode_push(Push(connect=reply.connect))

    def encode_push(self, push: Push) -> bytes:
        """See `Codec.encode_push`."""
        return self._encoder.encode(push)

    def encode_publication(self, channel: str, publication: Publication, number: int = 0) -> bytes:
        """See `Codec.encode_publication`."""
        return self._bare_publication(channel, publication, number)


def _read(decoder: msgspec.json.Decoder[T], text: bytes) -> T:
    """Decode the body of a request.

    Raises:
        Disconnect: `BAD_REQUEST` for malformed text.
    """
    try:
        return _decode(decoder, text)
    except _UNDECODABLE:
        raise Disconnect(Close.BAD_REQUEST, why=_MALFORMED) from None


def _decode(decoder: msgspec.json.Decoder[T], text: bytes) -> T:
    """Decode a command. A field that is null counts as absent; only a text that cannot be decoded is searched for null.

    Raises:
        MsgspecError, ValueError, RecursionError: malformed text.
    """
    try:
        return decoder.decode(text)
    except msgspec.ValidationError:
        if b"null" not in text:
            raise
        return decoder.decode(_without_nulls(Raw(text.strip()), _NULL_LEVELS, iter(range(_NULL_VALUES))))


def _refused(line: bytes, error: Exception) -> Malformed:
    """What is known of a command that cannot be decoded.

    Raises:
        Disconnect: `BAD_REQUEST`, the end or the id of the command is not known.
    """
    why = f"a field is malformed: {error}" if isinstance(error, msgspec.ValidationError) else ""
    found = malformed_json(line, why)
    if found is None:
        raise Disconnect(Close.BAD_REQUEST, why=_MALFORMED) from None
    return found


def _without_nulls(value: Raw, levels: int, budget: Iterator[int]) -> Raw:
    """The JSON text without the fields that are null, down to so many levels. Payloads stay as they are.

    Raises:
        ValueError: the budget of values is spent.
    """
    if next(budget, None) is None:
        raise ValueError("too much to look through")
    begin = bytes(memoryview(value)[:1])
    if begin == b"{" and levels:
        fields = _fields.decode(value)
        return Raw(
            msgspec.json.encode(
                {
                    name: field if name == _PAYLOAD else _without_nulls(field, levels - 1, budget)
                    for name, field in fields.items()
                    if name == _PAYLOAD or field != _NULL
                }
            )
        )
    if begin == b"[" and levels:
        return Raw(msgspec.json.encode([_without_nulls(item, levels - 1, budget) for item in _items.decode(value)]))
    return value
