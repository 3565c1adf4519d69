"""An HTTP proxy on loopback that refuses what the networks of hotels and offices refuse."""

import asyncio
import contextlib
import re
from collections.abc import Collection
from types import TracebackType
from typing import Final, Self

_REFUSAL: Final = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_CHUNK: Final = 16_384


class Middlebox:
    """Listens on `port` and forwards to `target`, request by request.

    It knows no WebSockets, and answers 403 to those and to what has a path in `refused`. `passed` and `stopped` hold
    the paths of the requests, so that a test can prove which way was taken.
    """

    def __init__(self, target: int, refused: Collection[str] = ()) -> None:
        self.target = target
        self.refused = refused
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

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", self.target)
        answers = asyncio.create_task(_pump(back, writer))
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
        if path in self.refused or re.search(rb"(?i)\r\nupgrade: *websocket", head):
            self.stopped.append(path)
            writer.write(_REFUSAL)
            await writer.drain()
            return False
        self.passed.append(path)
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        forth.write(head + await reader.readexactly(int(length[1]) if length else 0))
        await forth.drain()
        return True


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
