"""How each transport writes an encoded message: WebSocket frames (RFC 6455 §5.2), lines, events.

Server frames are final, unmasked and uncompressed.
"""

from collections.abc import Callable
from typing import Final

from hotclub.engine.protocol.base import Codec

_TEXT: Final = 0x81
_BINARY: Final = 0x82


class Framed:
    """An `Encoder`: a codec, and what its messages are wrapped into."""

    def __init__(self, codec: Codec, frame: Callable[[bytes], bytes]) -> None:
        self.codec = codec
        self.frame = frame


def bare(message: bytes) -> bytes:
    """The message as it is, for a transport that frames what it is given."""
    return message


def line(message: bytes) -> bytes:
    """A line of a JSON stream (protocol §6.1)."""
    return message + b"\n"


def event(message: bytes) -> bytes:
    """A server-sent event. The codecs write no line breaks, so the data is one field."""
    return b"data: %b\n\n" % message


def text_frame(payload: bytes) -> bytes:
    """One whole text message as one WebSocket frame."""
    return _frame(_TEXT, payload)


def binary_frame(message: bytes) -> bytes:
    """One whole binary message as one frame."""
    return _frame(_BINARY, message)


def _frame(opcode: int, payload: bytes) -> bytes:
    length = len(payload)
    if length < 126:
        return b"%c%c%b" % (opcode, length, payload)
    if length < 65_536:
        return b"%c\x7e%b%b" % (opcode, length.to_bytes(2), payload)
    return b"%c\x7f%b%b" % (opcode, length.to_bytes(8), payload)
