"""Python values, as Django code has them, to payloads and back."""

from typing import Any

import msgspec
from django.utils.functional import Promise
from msgspec import Raw

from hotclub.engine.protocol.payload import encode_payload


def encode(value: object) -> Raw:
    """The payload of a value.

    Beside what JSON knows: dates, times, durations, `Decimal`, `UUID`, enumerations, dataclasses, lazy translations
    (in the active language) and safe strings, as text.

    Raises:
        TypeError: the value holds something that JSON cannot, such as a model instance: send a dictionary.
        ValueError: NaN, an infinity, or a lone surrogate.
    """
    return encode_payload(value, default=_plain)


def decode(data: Raw) -> Any:
    """The value of a validated payload, None for no payload."""
    return msgspec.json.decode(data) if bytes(data) else None


def _plain(value: Any) -> Any:
    if isinstance(value, Promise | str):
        # str() gives a safe string itself back, which the encoder does not know.
        return str.__str__(str(value))
    if isinstance(value, int):
        return int(value)
    raise TypeError(f"A publication cannot hold {type(value).__name__}; send plain values, such as a dictionary")
