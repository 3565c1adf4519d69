"""Converts between JSON objects and the protobuf form of the protocol, with the classes of the PyPI SDK."""

import base64
import json
from typing import Any, Final

from centrifuge.protocol import client_pb2
from google.protobuf.json_format import ParseDict

_PAYLOADS: Final = frozenset({"data", "info", "conn_info", "chan_info"})


def commands(text: str) -> bytes:
    """A frame of these commands, one JSON object a line; payloads are the JSON text of their values."""
    return b"".join(delimited(_command(json.loads(line))) for line in text.split("\n"))


def publish(command: int, channel: str, data: bytes) -> bytes:
    """A publish command whose payload are these very bytes."""
    request = client_pb2.PublishRequest(channel=channel, data=data)
    return delimited(client_pb2.Command(id=command, publish=request).SerializeToString())


def emulation(session: str, node: str, data: bytes) -> bytes:
    """The body of a POST of commands."""
    body: bytes = client_pb2.EmulationRequest(session=session, node=node, data=data).SerializeToString()
    return body


def delimited(message: bytes) -> bytes:
    """A message with its length in front."""
    return varint(len(message)) + message


def varint(value: int) -> bytes:
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def split(buffer: bytes) -> tuple[list[bytes], bytes]:
    """The whole messages at the beginning of the buffer, and the rest."""
    found = []
    while buffer:
        try:
            size, start = read_varint(buffer)
        except IndexError:
            break
        if len(buffer) < start + size:
            break
        found.append(buffer[start : start + size])
        buffer = buffer[start + size :]
    return found, buffer


def read_varint(data: bytes) -> tuple[int, int]:
    """The number at the beginning of the data, and the index after it. Raises IndexError for a cut number."""
    value = shift = index = 0
    while True:
        byte = data[index]
        value |= (byte & 0x7F) << shift
        shift, index = shift + 7, index + 1
        if not byte & 0x80:
            return value, index


def reply(message: bytes) -> dict[str, Any]:
    """A reply or push as the object that the JSON form has; fields with their default are left out."""
    return _plain(client_pb2.Reply.FromString(message))


def _command(command: dict[str, Any]) -> bytes:
    encoded: bytes = ParseDict(_with_bytes(command), client_pb2.Command()).SerializeToString()
    return encoded


def _with_bytes(value: Any) -> Any:
    """What the JSON mapping of protobuf wants: bytes in base64."""
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64encode(json.dumps(item).encode()).decode() if key in _PAYLOADS else _with_bytes(item)
        for key, item in value.items()
    }


def _plain(message: Any) -> dict[str, Any]:
    return {field.name: _value(value) for field, value in message.ListFields()}


def _value(value: Any) -> Any:
    if isinstance(value, bytes):
        return json.loads(value)
    if isinstance(value, str | int | float):
        return value
    if hasattr(value, "ListFields"):
        return _plain(value)
    if hasattr(value, "items"):
        return {key: _value(item) for key, item in value.items()}
    return [_value(item) for item in value]
