"""The messages that each kind of server understands over a WebSocket."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.frames import client_frame
from benchmarks.payload import text


@dataclass(frozen=True, slots=True)
class Dialect:
    """The messages of one kind of server.

    The client sends `hello` after the handshake. The text that confirms the subscription contains `ready`; None: the
    handshake confirms it. The server sends the line `ping`, and the client answers with `pong`. A text that refuses a
    command contains `error`.
    """

    path: str
    publish: Callable[[int, int], bytes]
    """Takes `first` and `count`, and returns the bytes that publish `count` messages with numbers from `first` on."""
    hello: bytes = b""
    ready: bytes | None = None
    ping: bytes | None = None
    pong: bytes = b""
    error: bytes | None = None


_CHANNEL: Final = "benchmark"


def _publish_commands(first: int, count: int) -> bytes:
    head = b'{"id":%d,"publish":{"channel":"benchmark","data":%b}}'
    return client_frame(b"\n".join(head % (number + 10, text(number)) for number in range(first, first + count)))


def _publish_messages(first: int, count: int) -> bytes:
    return b"".join(client_frame(text(number)) for number in range(first, first + count))


_CONNECT: Final = [{"id": 1, "connect": {}}, {"id": 2, "subscribe": {"channel": _CHANNEL}}]

HOTCLUB: Final = Dialect(
    path="/connection/websocket",
    publish=_publish_commands,
    hello=client_frame("\n".join(map(json.dumps, _CONNECT)).encode()),
    ready=b'"id":2,"subscribe"',
    ping=b"{}",
    pong=client_frame(b"{}"),
    error=b'"error"',
)

CHANNELS: Final = Dialect(path="/ws/", publish=_publish_messages)
