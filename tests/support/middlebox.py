"""An HTTP proxy on loopback that refuses WebSockets and other requests, as the networks of hotels and offices do."""

import asyncio
import base64
import contextlib
import enum
import hashlib
import re
from collections.abc import Collection
from types import TracebackType
from typing import Final, Self

_REFUSAL: Final = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_CHUNK: Final = 16_384
_WEBSOCKET_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""The text with which a server proves that it has read the handshake (RFC 6455 §1.3)."""


class Sockets(enum.Enum):
    """The treatment of WebSockets."""

    REFUSED = "refused"
    """A WebSocket gets 403, like a request with a path in `refused`."""
    MUTE = "mute"
    """A WebSocket opens, and then no byte passes in either direction."""
    PASS = "pass"


class Middlebox:
    """Listens on `port` and forwards to `target`, request by request.

    `sockets` is the treatment of new WebSockets, and `cut` ends the old ones. `passed` and `stopped` hold the paths of
    the requests, so that a test can prove which transport a client used.
    """

    def __init__(self, target: int, refused: Collection[str] = (), *, sockets: Sockets = Sockets.REFUSED) -> None:
        self.target = target
        self.refused = refused
        self.sockets = sockets
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.passed: list[str] = []
        self.stopped: list[str] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """Reset every WebSocket that has passed, without a close frame."""
        for writer in self._open:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", self.target)
        answers = asyncio.create_task(_pump(back, writer))
        # When the server closes an idle connection, the client must see that.
        answers.add_done_callback(lambda _: writer.close())
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while await self._request(reader, writer, forth):
                    pass
        finally:
            forth.close()
            await answers
            writer.close()

    async def _request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, forth: asyncio.StreamWriter
    ) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ", 2)[1].split(b"?")[0].decode()
        key = re.search(rb"(?i)\r\nsec-websocket-key: *(\S+)", head)
        if path in self.refused or (key and self.sockets is not Sockets.PASS):
            self.stopped.append(path)
            mute = key if self.sockets is Sockets.MUTE else None
            writer.write(_accepted(mute[1]) if mute else _REFUSAL)
            await writer.drain()
            while mute and await reader.read(_CHUNK):
                pass
            return False
        self.passed.append(path)
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        forth.write(head + await reader.readexactly(int(length[1]) if length else 0))
        await forth.drain()
        if key:
            self._open.add(writer)
            await _pump(reader, forth)
            self._open.discard(writer)
        return key is None


def _accepted(key: bytes) -> bytes:
    proof = base64.b64encode(hashlib.sha1(key + _WEBSOCKET_GUID, usedforsecurity=False).digest())
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return head + b"Sec-WebSocket-Accept: " + proof + b"\r\n\r\n"


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
