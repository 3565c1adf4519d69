"""Encodes the values of Django code as payloads, decodes payloads, and reads text that came from outside."""

from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from typing import Any, Final

import msgspec
from django.utils.functional import Promise
from msgspec import Raw

from hotclub.engine.protocol.payload import encode_payload

_WIDE: Final = (BOM_UTF16_LE, BOM_UTF16_BE, b"\0")


class NotUtf8(ValueError):
    """Text is not UTF-8. The message gives the reason for people."""


def utf8(text: bytes) -> bytes:
    """Return JSON text without a byte order mark in front of it.

    Raises:
        NotUtf8: the text is of another encoding, such as UTF-16.
    """
    text = text.removeprefix(BOM_UTF8)
    # JSON text begins with an ASCII character, so in UTF-16 and UTF-32 one of its first two bytes is NUL.
    if text.startswith(_WIDE) or text[1:2] == b"\0":
        raise NotUtf8("the text is UTF-16 or UTF-32; send UTF-8")
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise NotUtf8(f"the text is not UTF-8 from byte {error.start} on; send UTF-8") from None
    return text


def encode(value: object) -> Raw:
    """Return the payload of a value.

    Dates, times, durations, `Decimal`, `UUID`, lazy translations (in the active language) and safe strings become text.
    Enumerations become their values, dataclasses objects.

    Raises:
        TypeError: JSON cannot hold the value, such as a model instance.
        ValueError: the value holds NaN, an infinity or a lone surrogate.
    """
    return encode_payload(value, default=_plain)


def decode(data: Raw) -> Any:
    """Return the value of a validated payload, None for an empty one."""
    return msgspec.json.decode(data) if bytes(data) else None


def _plain(value: Any) -> Any:
    if isinstance(value, Promise | str):
        # str() of a safe string returns the safe string itself, which the encoder does not accept.
        return str.__str__(str(value))
    if isinstance(value, int):
        return int(value)
    raise TypeError(f"A publication cannot hold {type(value).__name__}; send plain values, such as a dictionary")
