"""What uvicorn's protocol classes do to the sockets of peers: refuse, reset, give up."""

import asyncio
import contextlib
import socket
import struct
from typing import Final

from hotclub.conf.values import ServerLimits
from hotclub.engine.observe import report

REFUSED: Final = "Refused a request"
"""The event in the log for every request that the server refuses."""


def address_of(client: tuple[str, int] | None) -> str:
    """The address of a peer, "" for a Unix socket."""
    return client[0] if client else ""


def refuse(transport: asyncio.Transport, client: tuple[str, int] | None, status: bytes) -> None:
    """Answer a request and close its connection. `status` may hold header lines behind the status."""
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


class Reader:
    """The peer of one connection, as long as it leaves bytes unread that the server waits to send."""

    __slots__ = ("_address", "_bounds", "_due", "_loop", "_transport")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, address: str, bounds: ServerLimits
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._address = address
        self._bounds = bounds
        self._due: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Reset the connection once its peer reads too slowly. Idempotent."""
        if self._due is None:
            unsent = self._transport.get_write_buffer_size()
            self._due = self._loop.call_later(self._bounds.send_timeout, self._judge, unsent)

    def watch_if_closing(self) -> None:
        """Watch the peer of a closing connection with unsent bytes, which would wait for the peer without end."""
        if self._transport.is_closing() and self._transport.get_write_buffer_size() > 0:
            self.watch()

    def stop(self) -> None:
        """Watch the peer no longer. Idempotent."""
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _judge(self, before: int) -> None:
        self._due = None
        unsent = self._transport.get_write_buffer_size()
        if unsent and before - unsent < self._bounds.min_rate * self._bounds.send_timeout:
            report("Ended a connection", why="the peer reads too slowly", address=self._address)
            reset(self._transport)
        elif unsent:
            self.watch()
