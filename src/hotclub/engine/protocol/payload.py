"""Payloads: JSON text that is validated once and then handed on byte by byte, never re-encoded."""

import re
from collections.abc import Callable
from math import isfinite
from typing import Any, Final

import msgspec
from msgspec import Raw

from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.engine.limits import Limits

_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"')
_NEGATIVE_ZERO: Final = re.compile(rb"-0(?![.\deE])")
_decode: Final[Callable[[bytes], object]] = msgspec.json.Decoder().decode


class NotJson(Refused):
    """A payload is no JSON text. The binary form of the protocol can carry it all the same."""

    def __init__(self) -> None:
        super().__init__(Code.BAD_REQUEST, "data is not valid JSON")


def check_payload(data: bytes | Raw, limits: Limits) -> Raw:
    """Validate JSON text that came from outside, and return it as it came.

    Line breaks between tokens become spaces, because a line break ends a message on the wire (protocol §1.2).

    Raises:
        NotJson: malformed JSON, invalid UTF-8, a lone surrogate, or a number that no double can hold.
        Refused: `BAD_REQUEST` for an empty payload, for nesting deeper than `limits.depth`, and for the integer `-0`,
            on which parsers disagree.
    """
    text = bytes(data)
    if not text:
        raise Refused(Code.BAD_REQUEST, "data is empty", why="data is empty")
    try:
        value = _decode(text)
    except RecursionError:
        raise Refused(Code.BAD_REQUEST, "data is nested too deeply", why="data is nested too deeply") from None
    except (msgspec.MsgspecError, ValueError):
        raise NotJson from None
    if text.count(b"[") + text.count(b"{") > limits.depth and _deeper_than(value, limits.depth):
        raise Refused(
            Code.BAD_REQUEST, f"data is nested deeper than {limits.depth} levels", why="data is nested too deeply"
        )
    if b"-0" in text and _NEGATIVE_ZERO.search(_STRING.sub(b'""', text)):
        raise Refused(Code.BAD_REQUEST, "data holds the integer -0", why="data holds the integer -0")
    if b"\n" in text or b"\r" in text:
        text = text.replace(b"\n", b" ").replace(b"\r", b" ")
    return Raw(text)


def encode_payload(value: object, *, default: Callable[[Any], Any] | None = None) -> Raw:
    """Encode a Python value as a payload. A `Raw` is returned as it is.

    Args:
        value: the value.
        default: turns a value that JSON does not know into one that it knows, as for `json.dumps`.

    Raises:
        TypeError: a value that JSON cannot hold.
        ValueError: NaN or an infinity, or text with a lone surrogate.
    """
    if isinstance(value, Raw):
        return value
    _refuse_nonfinite(value)
    try:
        return Raw(msgspec.json.encode(value, enc_hook=default))
    except (OverflowError, UnicodeEncodeError) as error:
        raise ValueError(f"JSON cannot hold this value: {error}") from error


def _deeper_than(value: object, depth: int) -> bool:
    """Whether containers are nested deeper. Goes level by level: hostile nesting must not exhaust the stack."""
    level: list[object] = [value]
    while level:
        containers = [item for item in level if isinstance(item, dict | list)]
        if not containers:
            return False
        if depth == 0:
            return True
        depth -= 1
        level = [child for item in containers for child in (item.values() if isinstance(item, dict) else item)]
    return False


def _refuse_nonfinite(value: object) -> None:
    """Raises ValueError for NaN and the infinities, which the encoder would silently write as null."""
    stack: list[object] = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, float) and not isfinite(item):
            raise ValueError("JSON cannot hold NaN or an infinity")
        if isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list | tuple | set | frozenset):
            stack.extend(item)
