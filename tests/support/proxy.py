"""A TCP proxy on loopback that breaks connections the way networks do."""

import asyncio
import contextlib
import enum
import socket
import struct
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Final, Self

_CHUNK: Final = 16_384


class Mode(enum.Enum):
    """The treatment of the bytes of every connection, in both directions."""

    PASS = "pass"
    BLACK_HOLE = "black hole"
    """The proxy reads bytes and drops them."""
    STALL = "stall"
    """The proxy reads no bytes, so that both sides fill their buffers."""
    THROTTLE = "throttle"
    """`rate` bytes per second and direction."""
    REFUSE = "refuse"
    """New connections are reset at once; the old ones pass."""


class FaultProxy:
    """Listens on `port` and forwards to `target`. `mode` can be set at any time with `set_mode`.

    `accepted` and `cut_connections` count effects, so that a test can prove its fault took place.
    """

    def __init__(self, target: int, *, rate: int = 16_384) -> None:
        self.target = target
        self.rate = rate
        self.port = 0
        self.accepted = 0
        self.cut_connections = 0
        self.mode = Mode.PASS
        self._changed = asyncio.Event()
        self._links: set[_Link] = set()
        self._handlers: set[asyncio.Task[Any]] = set()
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
        self.set_mode(Mode.REFUSE)
        self.cut()
        while self._handlers:
            await asyncio.wait(self._handlers)

    def _refuses(self) -> bool:
        return self.mode is Mode.REFUSE

    def set_mode(self, mode: Mode) -> None:
        self.mode = mode
        self._changed.set()
        self._changed = asyncio.Event()

    def cut(self, *, reset: bool = True) -> int:
        """End every open connection, by RST or by FIN, and return how many there were."""
        links = list(self._links)
        for link in links:
            link.end(reset=reset)
        self.cut_connections += len(links)
        return len(links)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.current_task()
        assert handler is not None
        self._handlers.add(handler)
        handler.add_done_callback(self._handlers.discard)
        if self._refuses():
            _end(writer, reset=True)
            return
        try:
            upstream = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            _end(writer, reset=True)
            return
        if self._refuses():
            _end(writer, reset=True)
            _end(upstream[1], reset=True)
            return
        self.accepted += 1
        link = _Link(writer, upstream[1])
        self._links.add(link)
        try:
            await link.run(self._pump(reader, upstream[1]), self._pump(upstream[0], writer))
        finally:
            self._links.discard(link)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            while self.mode is Mode.STALL:
                await self._changed.wait()
            data = await reader.read(_CHUNK if self.mode is not Mode.THROTTLE else max(1, self.rate // 20))
            if not data:
                break
            if self.mode is Mode.BLACK_HOLE:
                continue
            writer.write(data)
            await writer.drain()
            if self.mode is Mode.THROTTLE:
                await self._pace(len(data) / self.rate)
        if writer.can_write_eof() and self.mode is not Mode.BLACK_HOLE:
            writer.write_eof()

    async def _pace(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)


class _Link:
    """Both halves of one forwarded connection."""

    def __init__(self, downstream: asyncio.StreamWriter, upstream: asyncio.StreamWriter) -> None:
        self._writers = (downstream, upstream)

    async def run(self, *pumps: Coroutine[Any, Any, None]) -> None:
        with contextlib.suppress(OSError):
            await asyncio.gather(*pumps)
        self.end(reset=True)

    def end(self, *, reset: bool) -> None:
        for writer in self._writers:
            _end(writer, reset=reset)


def _end(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    sock = writer.get_extra_info("socket")
    if writer.transport.is_closing() or sock is None:
        return
    if reset:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    else:
        writer.close()
