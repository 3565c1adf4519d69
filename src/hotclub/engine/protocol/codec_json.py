"""The JSON codec: objects separated by one line break (protocol §1.2)."""

from collections.abc import Iterator
from typing import Final, TypeVar

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from hotclub.engine.codes import Close
from hotclub.engine.errors import Disconnect
from hotclub.engine.limits import Limits
from hotclub.engine.model import Publication
from hotclub.engine.protocol.messages import Command, ConnectCommand, Emulation, Push, Reply

T = TypeVar("T")

_NULL_LEVELS: Final = 12
"""How deep fields that are null are looked for: each level costs a pass over what is below it."""
_NULL_VALUES: Final = 1_000
"""Most values looked at on the way."""
_NULL: Final = Raw(b"null")
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

    def decode(self, frame: bytes, limits: Limits) -> Iterator[Command]:
        start, end = 0, len(frame)
        if frame.endswith(b"\n"):
            end -= 1
        for _ in range(limits.commands_per_frame):
            stop = frame.find(b"\n", start, end)
            yield _read(self._commands, frame[start : end if stop < 0 else stop])
            if stop < 0:
                return
            start = stop + 1
        raise Disconnect(Close.BAD_REQUEST, why="too many commands in one frame")

    def decode_emulation(self, body: bytes) -> Emulation:
        posted = _read(self._emulations, body)
        return Emulation(posted.session, posted.node, posted.data.encode())

    def encode_reply(self, reply: Reply) -> bytes:
        return self._encoder.encode(reply)

    def encode_push(self, push: Push) -> bytes:
        return self._encoder.encode(_Pushed(push))

    def encode_publication(self, channel: str, publication: Publication, number: int = 0) -> bytes:
        return b'{"push":%b}' % self._bare_publication(channel, publication, number)

    def delta_publication(self, publication: Publication, patch: bytes | None) -> Publication:
        """Data and patches become JSON strings, so a patch that cuts a character in two cannot be carried."""
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
    """The form of the unidirectional transports: a bare connect request in, bare pushes out (protocol §6.2)."""

    def __init__(self) -> None:
        super().__init__()
        self._requests: Final = msgspec.json.Decoder(ConnectCommand)

    def decode_connect(self, body: bytes) -> ConnectCommand:
        """The request that opens the connection.

        Raises:
            Disconnect: `BAD_REQUEST` for what is not a connect request.
        """
        return _read(self._requests, body)

    def encode_reply(self, reply: Reply) -> bytes:
        """The result of connect as a push: the only reply that a unidirectional client gets."""
        return self.encode_push(Push(connect=reply.connect))

    def encode_push(self, push: Push) -> bytes:
        return self._encoder.encode(push)

    def encode_publication(self, channel: str, publication: Publication, number: int = 0) -> bytes:
        return self._bare_publication(channel, publication, number)


def _read(decoder: msgspec.json.Decoder[T], text: bytes) -> T:
    """Raises Disconnect `BAD_REQUEST`. A field that is null counts as absent; that is looked at where nothing else
    helps."""
    try:
        try:
            return decoder.decode(text)
        except msgspec.ValidationError:
            if b"null" not in text:
                raise
            return decoder.decode(_without_nulls(Raw(text.strip()), _NULL_LEVELS, iter(range(_NULL_VALUES))))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Disconnect(Close.BAD_REQUEST, why="a frame is no JSON form of a command") from None


def _without_nulls(value: Raw, levels: int, budget: Iterator[int]) -> Raw:
    """JSON without the fields that are null, down to some level; a payload may hold them, and stays as it is."""
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
