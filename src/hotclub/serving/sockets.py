"""What uvicorn's protocol classes do to the sockets of peers: refuse, reset, give up."""

import asyncio
import contextlib
import socket
import struct
from typing import Final

from hotclub.engine.observe import report

REFUSED: Final = "Refused a request"
"""The event in the log for every request that the server refuses."""


def address_of(client: tuple[str, int] | None) -> str:
    """The address of a peer, "" for a Unix socket."""
    return client[0] if client else ""


def refuse(transport: asyncio.Transport, client: tuple[str, int] | None, status: bytes) -> None:
    """Answer a request with this status and close its connection."""
    report(REFUSED, status=int(status[:3]), address=address_of(client))
    transport.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
    transport.close()


def reset(transport: asyncio.Transport) -> None:
    """Reset a connection and drop its unsent bytes."""
    # With a linger time of 0 the kernel drops the connection at once and does not wait for an absent peer.
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def give_up_after(transport: asyncio.Transport, seconds: float) -> None:
    """Have the kernel reset the connection once sent bytes stay unacknowledged for these seconds. Works on Linux only
    (TCP_USER_TIMEOUT)."""
    connection = transport.get_extra_info("socket")
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if transport.is_closing() or connection is None or option is None:
        return
    if connection.family in (socket.AF_INET, socket.AF_INET6):
        # uvloop's sockets raise ValueError once they are closed.
        with contextlib.suppress(OSError, ValueError):
            connection.setsockopt(socket.IPPROTO_TCP, option, int(seconds * 1_000))
