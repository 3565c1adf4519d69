"""Encodes the values of Django code as payloads, and decodes payloads."""

from typing import Any

import msgspec
from django.utils.functional import Promise
from msgspec import Raw

from hotclub.engine.protocol.payload import encode_payload


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
