"""What is said to each kind of server over the same WebSocket."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.frames import client_frame
from benchmarks.payload import text


@dataclass(frozen=True, slots=True)
class Dialect:
    """`ready` is part of the text that says that the connection is subscribed; None: the handshake says it.

    `ping` is a line that asks for `pong`, and `error` is part of every text that says that a command was refused.
    """

    path: str
    publish: Callable[[int, int], bytes]
    """The bytes that publish `count` messages, numbered from `first` on."""
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
