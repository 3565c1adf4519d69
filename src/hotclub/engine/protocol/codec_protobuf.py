"""The binary codec: protobuf messages, each after its length (protocol §6b).

The schema stands in `client.proto`. The codec reads its compiled form, `client.binpb`, into a pool of its own: so it
cannot collide with another schema of the process, and needs no code that a compiler generated for one version of the
library.
"""

from collections.abc import Iterator, Mapping, Sequence, Sized
from importlib.resources import files
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from msgspec import UNSET, Raw, Struct
from msgspec.structs import replace

from hotclub.engine.codes import Close
from hotclub.engine.errors import Disconnect
from hotclub.engine.limits import Limits
from hotclub.engine.model import ClientInfo, Publication
from hotclub.engine.protocol import messages as wire
from hotclub.engine.protocol.malformed import Malformed, malformed_protobuf

_PACKAGE: Final = "hotclub.protocol"
_KINDS: Final[dict[str, type[Struct]]] = {
    "Command": wire.Command,
    "ConnectRequest": wire.ConnectCommand,
    "SubscribeRequest": wire.SubscribeCommand,
    "FilterNode": wire.FilterNode,
    "UnsubscribeRequest": wire.UnsubscribeCommand,
    "PublishRequest": wire.PublishCommand,
    "PresenceRequest": wire.PresenceCommand,
    "PresenceStatsRequest": wire.PresenceStatsCommand,
    "HistoryRequest": wire.HistoryCommand,
    "StreamPosition": wire.Since,
    "PingRequest": wire.PingCommand,
    "SendRequest": wire.SendCommand,
    "RPCRequest": wire.RpcCommand,
    "RefreshRequest": wire.RefreshCommand,
    "SubRefreshRequest": wire.SubRefreshCommand,
    "TrackBatch": wire.TrackBatch,
    "KeyedItem": wire.KeyedItem,
}
"""The structs of what a client sends, by the names of the schema's messages."""
_SERVER_ONLY: Final = frozenset({"binary"})
"""Fields of our structs that are not on the wire."""
_MALFORMED: Final = "a frame is no protobuf form of commands"
_LONGEST_LENGTH: Final = 5
"""Most bytes that a message's length may take; five hold 32 bits."""
_MAX_PARTS: Final = 4 * wire.MAX_ITEMS
"""Most elements that all lists and maps of one command may have together: each is converted by Python code."""


class ProtobufCodec:
    """The protocol in its binary form. Payloads are bytes of any kind, kept as they are."""

    name = "protobuf"
    ping = b"\x00"
    separator = b""
    binary = True

    def __init__(self) -> None:
        pool = _pool()
        self._command: Final = _message_class(pool, "Command")
        self._connect: Final[int] = self._command.DESCRIPTOR.fields_by_name["connect"].number
        self._emulation: Final = _message_class(pool, "EmulationRequest")
        self._reply: Final = _message_class(pool, "Reply")

    def decode(self, frame: bytes, limits: Limits) -> Iterator[wire.Command | Malformed]:
        """See `Codec.decode`."""
        at = 0
        for _ in range(limits.commands_per_frame):
            start, at = _extent(frame, at)
            yield self._decode_command(frame[start:at])
            if at == len(frame):
                return
        raise Disconnect(Close.BAD_REQUEST, why="too many commands in one frame")

    def decode_emulation(self, body: bytes) -> wire.Emulation:
        """See `Codec.decode_emulation`."""
        posted = _parse(self._emulation, body)
        return wire.Emulation(posted.session, posted.node, posted.data)

    def encode_reply(self, reply: wire.Reply) -> bytes:
        """See `Codec.encode_reply`."""
        message = self._reply()
        _write(reply, message)
        return _delimited(message)

    def encode_members(self, command: int, members: Mapping[str, ClientInfo]) -> bytes:
        """See `Codec.encode_members`: a reply without its length. Replies in a row read as one (protobuf: merging)."""
        message = self._reply()
        _write(wire.Reply(command, presence=wire.PresenceResult(dict(members))), message)
        encoded: bytes = message.SerializeToString()
        return encoded

    def join_members(self, command: int, parts: Sequence[bytes]) -> bytes:  # noqa: ARG002 - the port's
        """See `Codec.join_members`."""
        return _after_length(b"".join(parts))

    def encode_push(self, push: wire.Push) -> bytes:
        """See `Codec.encode_push`."""
        message = self._reply()
        _write(push, message.push)
        return _delimited(message)

    def encode_publication(self, channel: str, publication: Publication, number: int = 0) -> bytes:
        """See `Codec.encode_publication`."""
        message = self._reply()
        push = message.push
        if number:
            push.id = number
        else:
            push.channel = channel
        push.pub.SetInParent()
        _write(publication, push.pub)
        return _delimited(message)

    def delta_publication(self, publication: Publication, patch: bytes | None) -> Publication:
        """See `Codec.delta_publication`. This form carries every patch, and whole data as it is."""
        return publication if patch is None else replace(publication, data=Raw(patch), delta=True)

    def _decode_command(self, encoded: bytes) -> wire.Command | Malformed:
        try:
            command = _Reader().read(_parse(self._command, encoded))
        except Disconnect as end:
            found = malformed_protobuf(encoded, self._connect, end.why)
            if found is None:
                raise
            return found
        assert isinstance(command, wire.Command)
        return command


class _Reader:
    """Turns one received message into structs."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = _MAX_PARTS

    def read(self, message: Any) -> Struct:
        kind = _KINDS[message.DESCRIPTOR.name]
        return kind(**{field.name: self._value(field, value) for field, value in message.ListFields()})

    def _value(self, field: Any, value: Any) -> Any:
        if isinstance(value, bytes):
            return Raw(value)
        if isinstance(value, str):
            return value
        if isinstance(value, int):
            return _integer(field, value)
        if isinstance(value, Message):
            return self.read(value)
        self._spend(value)
        if hasattr(value, "items"):
            return {key: self._value(field, item) for key, item in value.items()}
        return tuple(self._value(field, item) for item in value)

    def _spend(self, parts: Sized) -> None:
        self._left -= len(parts)
        if len(parts) > wire.MAX_ITEMS or self._left < 0:
            raise Disconnect(Close.BAD_REQUEST, why="a command has too many parts")


def _pool() -> Any:
    compiled = files(__package__).joinpath("client.binpb").read_bytes()
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(compiled).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


def _message_class(pool: Any, name: str) -> Any:
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


def _integer(field: Any, value: int) -> int:
    if field.type == FieldDescriptor.TYPE_UINT64 and value > wire.MAX_SAFE_INTEGER:
        raise Disconnect(Close.BAD_REQUEST, why="a number is too large for JavaScript")
    return value


def _parse(kind: Any, encoded: bytes) -> Any:
    try:
        return kind.FromString(encoded)
    except (DecodeError, ValueError, RecursionError):
        raise Disconnect(Close.BAD_REQUEST, why=_MALFORMED) from None


def _extent(frame: bytes, at: int) -> tuple[int, int]:
    """Read the length that stands at `at`. Returns where the message after it begins, and where it ends."""
    length = 0
    for number, byte in enumerate(frame[at : at + _LONGEST_LENGTH]):
        length |= (byte & 0x7F) << 7 * number
        if byte < 0x80:
            start = at + number + 1
            if start + length > len(frame):
                break
            return start, start + length
    raise Disconnect(Close.BAD_REQUEST, why=_MALFORMED)


def _delimited(message: Any) -> bytes:
    return _after_length(message.SerializeToString(deterministic=True))


def _after_length(encoded: bytes) -> bytes:
    length = len(encoded)
    prefix = bytearray()
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    prefix.append(length)
    return bytes(prefix) + encoded


def _write(struct: Struct, message: Any) -> None:
    """Copy the fields of a struct into the message that has the same fields."""
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        if name in _SERVER_ONLY or value is UNSET or not (value or isinstance(value, Struct)):
            continue
        if isinstance(value, Struct):
            part = getattr(message, name)
            part.SetInParent()
            _write(value, part)
        elif isinstance(value, dict):
            _write_map(value, getattr(message, name))
        elif isinstance(value, tuple):
            _write_list(value, getattr(message, name))
        else:
            setattr(message, name, bytes(value) if isinstance(value, Raw) else value)


def _write_map(values: dict[str, Any], target: Any) -> None:
    for key, value in values.items():
        if isinstance(value, Struct):
            target[key].SetInParent()
            _write(value, target[key])
        else:
            target[key] = value


def _write_list(values: tuple[Any, ...], target: Any) -> None:
    for value in values:
        if isinstance(value, Struct):
            _write(value, target.add())
        else:
            target.append(value)
