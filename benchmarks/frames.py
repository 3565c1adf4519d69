"""WebSocket frames: the part of RFC 6455 that a load generator needs. Pure."""

from typing import Final

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

_FIN: Final = 0x80
_MASKED: Final = 0x80


def client_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """Return one frame of a client. Its mask is zero, which the RFC allows and which costs no processor time."""
    length = len(payload)
    if length < 126:
        head = bytes((_FIN | opcode, _MASKED | length))
    elif length < 1 << 16:
        head = bytes((_FIN | opcode, _MASKED | 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((_FIN | opcode, _MASKED | 127)) + length.to_bytes(8, "big")
    return head + b"\0\0\0\0" + payload


def split(buffer: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Return the whole frames of a server as (opcode, payload), and the bytes that remain.

    Raises:
        ValueError: a frame is masked, compressed or fragmented, which the measured servers never send.
    """
    frames: list[tuple[int, bytes]] = []
    start, end = 0, len(buffer)
    while end - start >= 2:
        first, length = buffer[start], buffer[start + 1]
        if first & 0xF0 != _FIN or length & _MASKED or not first & 0x0F:
            raise ValueError(f"a frame begins with {first:#x} {length:#x}: masked, compressed or fragmented")
        body = start + 2
        if length >= 126:
            body += 2 if length == 126 else 8
            if body > end:
                break
            length = int.from_bytes(buffer[start + 2 : body], "big")
        if body + length > end:
            break
        frames.append((first & 0x0F, buffer[body : body + length]))
        start = body + length
    return frames, buffer[start:]
