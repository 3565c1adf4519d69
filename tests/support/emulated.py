"""The wire client on transports without WebSockets: an open HTTP response for what comes, POSTs for what goes.

What ends such a connection is its last push; it is handed on as the close frame that a WebSocket would have got.
"""

import asyncio
import json
import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self
from urllib.parse import quote

from tests.support.listener import Response
from tests.support.rawws import CLOSE, TEXT, Frame
from tests.support.wire import WireClient


class EmulatedSocket:
    """What `WireClient` needs. The first text opens the stream; `statuses` holds the answers to the others."""

    def __init__(self, port: int, transport: str, headers: Mapping[str, str]) -> None:
        self.statuses: list[int] = []
        self._port = port
        self._transport = transport
        self._headers = headers
        self._response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._identity: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._reading: asyncio.Task[None] | None = None

    @property
    def writer(self) -> asyncio.StreamWriter:
        return self._response.result().writer

    async def send_text(self, text: str) -> None:
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(text))
            return
        identity = await self._identity
        body = json.dumps({**identity, "data": text}).encode()
        headers = {"content-type": "application/json", **self._headers}
        async with await Response.open(self._port, "/emulation", body=body, headers=headers) as answer:
            self.statuses.append(answer.status)

    async def send_frame(self, opcode: int, payload: bytes = b"", **_options: Any) -> None:
        """There are no frames, and so none to answer."""

    async def read_frame(self) -> Frame:
        """The next message.

        Raises:
            ConnectionError: the stream has ended.
        """
        line = await self._lines.get()
        if line is None:
            raise ConnectionError("the stream has ended")
        end = json.loads(line).get("push", {}).get("disconnect")
        if end is not None:
            return Frame(CLOSE, struct.pack(">H", end["code"]) + end["reason"].encode(), True, 0)
        return Frame(TEXT, line, True, 0)

    async def read_eof(self) -> None:
        while await self._lines.get() is not None:
            pass

    def abort(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        if self._response.done() and not self._response.cancelled():
            self.writer.transport.abort()

    async def identity(self) -> dict[str, str]:
        """Session and node, as soon as they are known."""
        return dict(await self._identity)

    async def _read(self, connect: str) -> None:
        try:
            self._response.set_result(await self._open(connect))
            response, buffer = self._response.result(), b""
            async for piece in response.pieces():
                *lines, buffer = (buffer + piece).split(b"\n")
                for line in lines:
                    text = line.removeprefix(b"data: ").strip()
                    if text:
                        self._notice(text)
                        self._lines.put_nowait(text)
        finally:
            self._lines.put_nowait(None)
            self._identity.cancel()

    async def _open(self, connect: str) -> Response:
        if self._transport == "sse":
            return await Response.open(
                self._port, f"/connection/sse?cf_connect={quote(connect)}", headers=self._headers
            )
        headers = {"content-type": "application/json", **self._headers}
        return await Response.open(self._port, "/connection/http_stream", body=connect.encode(), headers=headers)

    def _notice(self, text: bytes) -> None:
        connected = json.loads(text).get("connect")
        if connected is not None and not self._identity.done():
            self._identity.set_result({"session": connected["session"], "node": connected["node"]})


class HttpStreamClient(WireClient):
    """A wire client on HTTP streaming."""

    transport: ClassVar[str] = "http_stream"

    @classmethod
    async def open(
        cls,
        port: int,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        path: str = "",
        answer_pings: bool = True,
    ) -> Self:
        return cls(EmulatedSocket(port, cls.transport, headers), answer_pings=answer_pings)  # type: ignore[arg-type]

    @property
    def emulated(self) -> EmulatedSocket:
        socket: object = self.socket
        assert isinstance(socket, EmulatedSocket)
        return socket


class SseClient(HttpStreamClient):
    """A wire client on SSE."""

    transport = "sse"
