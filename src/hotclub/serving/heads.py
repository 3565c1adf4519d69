"""Refuses the heads of requests that are too large, or that two parsers could read differently."""

from collections.abc import Sequence
from typing import Final

HEAD_BYTES: Final = 65_536
"""The most bytes of a request head."""
_HEADERS: Final = 128
_ENCODING: Final = b"transfer-encoding"
_BODY: Final = frozenset({b"content-length", _ENCODING})
_UPGRADE_BYTES: Final = 8_192
"""The most bytes of a header field of a WebSocket handshake. Each connection keeps its fields."""
_SINGLE: Final = frozenset({b"host", b"origin", b"cookie", b"content-length", b"authorization"})
"""Header fields that a request may have only once. Of a repeated field a proxy could read another one than this
server."""


def check_head(url: bytes, headers: Sequence[tuple[bytes, bytes]], *, upgrades: bool) -> None:
    """Judge a request head.

    Args:
        url: the path and the query.
        headers: the header fields with lower-cased names.
        upgrades: whether the request asks for another protocol.

    Raises:
        ValueError: the head is ambiguous or too large.
    """
    if len(headers) > _HEADERS:
        raise ValueError("too many header fields")
    seen: set[bytes] = set()
    size = len(url)
    for name, value in headers:
        if name in seen and name in _SINGLE:
            raise ValueError("a header field is repeated")
        seen.add(name)
        size += len(name) + len(value)
        # Raises UnicodeDecodeError, a ValueError. A byte from 80 to 9F is a control character in Latin-1 and a part of
        # a letter in UTF-8.
        value.decode()
    if size > HEAD_BYTES:
        raise ValueError("the request head is too large")
    # The parser takes all that follows another encoding for the body. A proxy that sees no body there would send the
    # next request of somebody else as a part of it (RFC 9112 §6.3).
    if _ENCODING in seen and any(name == _ENCODING and value.strip().lower() != b"chunked" for name, value in headers):
        raise ValueError("a transfer encoding that this server does not read")
    if upgrades and not seen.isdisjoint(_BODY):
        raise ValueError("an upgrade has a body")
    if upgrades and size > _UPGRADE_BYTES and any(len(value) > _UPGRADE_BYTES for _name, value in headers):
        raise ValueError("a field of an upgrade is too long")
