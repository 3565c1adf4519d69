"""WebSocket frames of the server, ready made (RFC 6455 §5.2): final, unmasked, uncompressed."""

from hotclub.engine.protocol.base import Codec

_TEXT = 0x81


def text_frame(payload: bytes) -> bytes:
    """One whole text message as one frame."""
    length = len(payload)
    if length < 126:
        return b"%c%c%b" % (_TEXT, length, payload)
    if length < 65_536:
        return b"%c\x7e%b%b" % (_TEXT, length.to_bytes(2), payload)
    return b"%c\x7f%b%b" % (_TEXT, length.to_bytes(8), payload)


class FrameEncoder:
    """Messages as ready-made frames, for a server that takes them as they are."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec

    def frame(self, message: bytes) -> bytes:
        return text_frame(message)


class MessageEncoder:
    """Messages as they are, for a transport that frames them itself."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec

    def frame(self, message: bytes) -> bytes:
        return message
