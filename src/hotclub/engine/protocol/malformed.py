"""Commands that cannot be decoded, and whose ids are known all the same.

A command whose id is known is refused, and its connection lives on. A frame whose commands cannot be told apart, or a
command that no reply could name, ends the connection.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

_LARGEST_ID: Final = 2**32 - 1
_MOST_TOKENS: Final = 4_096
"""The most strings and brackets of a command that are looked through for its id."""
_TOKEN: Final = re.compile(rb'"id"\s*:\s*(\d{1,10})\b|"(?:[^"\\]|\\.)*"|([\[{]+)|([\]}]+)')
_VALUES: Final = "a value that JSON does not have: NaN, an infinity, half a surrogate pair or a control character"

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


def malformed_json(text: bytes, why: str) -> Malformed | None:
    """The command that stands in a line of JSON and cannot be decoded, None when its end or its id is not known.

    Args:
        text: the line. It is read more leniently than a decoder may: with any number and any character.
        why: what the decoder found wrong with a field, "" when the line is no JSON.
    """
    try:
        # The hooks keep long numbers from being converted, which takes quadratic time.
        fields = json.loads(
            text.decode(errors="replace"), strict=False, parse_int=float, parse_float=str, parse_constant=str
        )
    except RecursionError:
        return _deep(text)
    except ValueError:
        return None
    return _named(fields, why or f"a command holds {_VALUES}") if isinstance(fields, dict) else None


def _named(fields: Mapping[str, Any], why: str) -> Malformed | None:
    number = fields.get("id", 0.0)
    if not isinstance(number, float) or not 0 <= number <= _LARGEST_ID:
        return None
    if not number and "send" not in fields:
        return None
    return Malformed(id=int(number), why=why, connects="connect" in fields)


def _deep(text: bytes) -> Malformed | None:
    """The command that is nested too deeply for the parser. Only its brackets are counted."""
    depth = number = 0
    for count, token in enumerate(_TOKEN.finditer(text)):
        if count >= _MOST_TOKENS:
            return None
        if token[1] is not None and depth == 1:
            number = int(token[1])
        depth += len(token[2] or b"") - len(token[3] or b"")
    if depth != 0 or not 0 < number <= _LARGEST_ID:
        return None
    return Malformed(id=number, why="a command is nested too deeply", connects=b'"connect"' in text)


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
