"""A connection of a unidirectional transport: it sends raw bytes as its request and collects the pushes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Self
from urllib.parse import quote

from tests.support.listener import Response
from tests.support.rawws import CLOSE, RawWebSocket

WAYS: Final = ("uni_sse", "uni_sse-post", "uni_http_stream", "uni_websocket", "uni_websocket-query")
"""The unidirectional transports, each with the place of its request after the dash."""


class Listening:
    """`status` is the status of the response, 101 for a WebSocket. `pushes` are the received pushes, and `code` is the
    code of the disconnect, 0 before it."""

    def __init__(self, status: int, writer: asyncio.StreamWriter) -> None:
        self.status = status
        self.writer = writer
        self.pushes: list[dict[str, Any]] = []
        self.code = 0
        self.reason = ""
        self._news = asyncio.Condition()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, port: int, way: str, request: bytes, *, headers: Mapping[str, str] = MappingProxyType({})
    ) -> AsyncIterator[Self]:
        """Send the request; the connection lasts until the block ends."""
        transport, _, place = way.partition("-")
        path = f"/connection/{transport}"
        if transport == "uni_websocket" or (transport == "uni_sse" and place != "post"):
            in_query = place == "query" or transport == "uni_sse"
            path += f"?cf_connect={quote(request)}" if in_query else ""
        async with contextlib.AsyncExitStack() as stack:
            if transport == "uni_websocket":
                socket = await stack.enter_async_context(await RawWebSocket.connect(port, path, headers=headers))
                if place != "query":
                    await socket.send_message(request)
                listening, work = cls(101, socket.writer), _frames(socket)
            else:
                body = None if "?" in path else request
                sent = {"content-type": "application/json", **headers}
                response = await stack.enter_async_context(await Response.open(port, path, body=body, headers=sent))
                listening, work = cls(response.status, response.writer), _lines(response)
            reading = asyncio.create_task(listening._read(work))
            try:
                yield listening
            finally:
                reading.cancel()
                await asyncio.wait({reading})

    async def first(self) -> dict[str, Any]:
        """The first push, or the end as one: `{"disconnect": {"code": …}}`; {} when there was no stream at all."""
        async with asyncio.timeout(5), self._news:
            await self._news.wait_for(lambda: self.pushes or self.code or self.status >= 400)
        if self.pushes:
            return self.pushes[0]
        return {"disconnect": {"code": self.code}} if self.code else {}

    async def ended(self, timeout: float = 5) -> int:
        """Wait for the end of the connection, and return its code."""
        await self.wait(lambda: self.code != 0, timeout)
        return self.code

    async def wait(self, condition: Callable[[], bool], timeout: float = 5) -> None:
        """Wait until the condition holds; it is checked after each push."""
        async with asyncio.timeout(timeout), self._news:
            await self._news.wait_for(condition)

    async def _read(self, messages: AsyncIterator[bytes]) -> None:
        async for message in messages:
            push = json.loads(message)
            async with self._news:
                if "disconnect" in push:
                    self.code, self.reason = push["disconnect"]["code"], push["disconnect"]["reason"]
                elif push:
                    self.pushes.append(push)
                self._news.notify_all()


async def _frames(socket: RawWebSocket) -> AsyncIterator[bytes]:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            frame = await socket.read_frame()
            if frame.opcode == CLOSE:
                end = {"code": frame.close_code, "reason": frame.close_reason}
                yield json.dumps({"disconnect": end}).encode()
                return
            for line in frame.payload.split(b"\n"):
                yield line


async def _lines(response: Response) -> AsyncIterator[bytes]:
    if response.status != 200:
        return
    buffer = b""
    async for piece in response.pieces():
        *lines, buffer = (buffer + piece).split(b"\n")
        for line in lines:
            text = line.removeprefix(b"data: ").strip()
            if text.startswith(b"{"):
                yield text
