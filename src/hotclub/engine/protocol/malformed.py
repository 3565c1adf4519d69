"""Commands that cannot be decoded, and whose ids are known all the same.

A command whose id is known is refused, and its connection lives on. A frame whose commands cannot be told apart, or a
command that no reply could name, ends the connection.
"""

import re
from typing import Final

from msgspec import Struct

_LARGEST_ID: Final = 2**32 - 1
# A string without an end reaches to the end of the line, so that each character is looked at once.
_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?')
_HEAD: Final = re.compile(rb'\s*\{\s*(?:"id"\s*:\s*(\d{1,10})\s*,\s*)?"(\w{1,32})"\s*:')
"""The id of a command, where it comes first, and the name of the method."""
_TAIL: Final = re.compile(rb',\s*"id"\s*:\s*(\d{1,10})\s*\}\s*\Z')
_TAIL_BYTES: Final = 64
_TOKEN: Final = re.compile(rb'"id"\s*:\s*(\d{1,10})(?=\s*[,}])|"[^"\\]*(?:\\.[^"\\]*)*"?|([\[{]+)|([\]}]+)')
_MOST_TOKENS: Final = 4_096
"""The most strings and brackets of a command that are looked through for an id between other fields."""
_TWO_OBJECTS: Final = re.compile(rb"\}\s*\{")
_NO_JSON: Final = (
    "a command is nested too deeply, or holds a value that JSON does not have: NaN, an infinity, half a surrogate pair "
    "or a control character"
)

_VARINT: Final = 0
_FIXED64: Final = 1
_BYTES: Final = 2
_FIXED32: Final = 5
_MOST_FIELDS: Final = 64
"""The most fields of a protobuf command that are looked through for its id."""


class Malformed(Struct, frozen=True, kw_only=True):
    """A command with a value that it must not have.

    `id` is 0 for a `send`, which is dropped, because it has no reply. `connects` marks a connect command.
    """

    id: int
    why: str
    connects: bool = False


def malformed_json(line: bytes, why: str) -> Malformed | None:
    """The command that stands in a line of JSON and cannot be decoded, None when its end or its id is not known.

    No value is converted, so a hostile line costs about as much as an ordinary one.

    Args:
        line: the line.
        why: what the decoder found wrong with a field, "" when the line is no JSON.
    """
    head = _HEAD.match(line)
    if head is None or not _is_one_object(line):
        return None
    tail = _TAIL.search(line, max(0, len(line) - _TAIL_BYTES))
    number = int(head[1] or (tail and tail[1]) or _id_between(line))
    if not 0 < number <= _LARGEST_ID and (number or head[2] != b"send"):
        return None
    return Malformed(id=number, why=why or _NO_JSON, connects=head[2] == b"connect")


def _is_one_object(line: bytes) -> bool:
    """Whether the line holds one object, by its brackets and quotes."""
    bare = _STRING.sub(b"", line).strip()
    closed = bare.count(b"{") == bare.count(b"}") and bare.count(b"[") == bare.count(b"]")
    return closed and bare.endswith(b"}") and b'"' not in bare and _TWO_OBJECTS.search(bare) is None


def _id_between(line: bytes) -> int:
    """The id of a command whose id is neither its first nor its last field; 0 for none."""
    depth = number = 0
    for count, token in enumerate(_TOKEN.finditer(line)):
        if count >= _MOST_TOKENS:
            return 0
        if token[1] is not None and depth == 1:
            number = int(token[1])
        depth += len(token[2] or b"") - len(token[3] or b"")
    return number


def malformed_protobuf(encoded: bytes, connect: int, why: str) -> Malformed | None:
    """The protobuf command that cannot be decoded, None when its fields cannot be told apart or it has no id.

    Args:
        encoded: the command without its length.
        connect: the number of the field that holds a connect command.
        why: what is wrong with the command.
    """
    at, number, connects = 0, 0, False
    for _ in range(_MOST_FIELDS):
        if at == len(encoded):
            return Malformed(id=number, why=why, connects=connects) if 0 < number <= _LARGEST_ID else None
        key, at = _varint(encoded, at)
        value, at = _skip(encoded, at, key & 7)
        if at < 0:
            return None
        number = value if key == 1 << 3 else number
        connects = connects or key >> 3 == connect
    return None


def _skip(encoded: bytes, at: int, kind: int) -> tuple[int, int]:
    """The value of a varint and the end of the field, -1 for a field without an end."""
    value = 0
    if kind in (_VARINT, _BYTES):
        value, at = _varint(encoded, at)
    length = {_VARINT: 0, _BYTES: value, _FIXED64: 8, _FIXED32: 4}.get(kind, len(encoded))
    return value, at + length if 0 <= at <= at + length <= len(encoded) else -1


def _varint(encoded: bytes, at: int) -> tuple[int, int]:
    """The number that stands at `at`, and its end, -1 for a number without an end."""
    value = 0
    for shift, byte in enumerate(encoded[at : at + 10] if at >= 0 else b""):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value, at + shift + 1
    return 0, -1
