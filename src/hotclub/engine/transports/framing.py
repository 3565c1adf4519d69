"""How each transport writes an encoded message: as a WebSocket frame (RFC 6455 §5.2), a line or an event.

Server frames are final and unmasked. The frame of a publication may be compressed (RFC 7692), without the context of
other frames: so the connections of an encoder can share it, and its length tells nothing of other messages.
"""

import zlib
from collections.abc import Callable
from typing import Final

from hotclub.engine.protocol.base import Codec

_TEXT: Final = 0x81
_BINARY: Final = 0x82
_COMPRESSED: Final = 0x40

_WORTHWHILE: Final = 128
"""Bytes of a message below which compression hardly makes it shorter."""

_FLUSHED: Final = b"\x00\x00\xff\xff"


class Framed:
    """An `Encoder`: a codec, and the function that wraps its messages."""

    def __init__(
        self, codec: Codec, frame: Callable[[bytes], bytes], publication: Callable[[bytes], bytes] | None = None
    ) -> None:
        """`frame` wraps messages. `publication` wraps publications; for None, `frame` does."""
        self.codec = codec
        self.frame = frame
        self.frame_publication = publication or frame


def bare(message: bytes) -> bytes:
    """The message as it is, for a server that frames messages itself."""
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
    """One whole binary message as one WebSocket frame."""
    return _frame(_BINARY, message)


def deflated_text_frame(payload: bytes) -> bytes:
    """One whole text message as one WebSocket frame, compressed if that makes it shorter."""
    return _deflated(_TEXT, payload)


def deflated_binary_frame(message: bytes) -> bytes:
    """One whole binary message as one WebSocket frame, compressed if that makes it shorter."""
    return _deflated(_BINARY, message)


def _deflated(opcode: int, payload: bytes) -> bytes:
    if len(payload) < _WORTHWHILE:
        return _frame(opcode, payload)
    compressor = zlib.compressobj(level=zlib.Z_BEST_SPEED, wbits=-zlib.MAX_WBITS)
    data = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    data = data.removesuffix(_FLUSHED)
    return _frame(opcode | _COMPRESSED, data) if len(data) < len(payload) else _frame(opcode, payload)


def _frame(opcode: int, payload: bytes) -> bytes:
    length = len(payload)
    if length < 126:
        return b"%c%c%b" % (opcode, length, payload)
    if length < 65_536:
        return b"%c\x7e%b%b" % (opcode, length.to_bytes(2), payload)
    return b"%c\x7f%b%b" % (opcode, length.to_bytes(8), payload)
