"""The wire client on every transport that takes commands, in both forms of the protocol.

Without WebSockets the client reads messages from an open HTTP response and sends commands by POST. The last push tells
the end of such a connection, and the test gets it as a close frame. The test gets protobuf messages as JSON.
"""

import asyncio
import json
import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final, Self
from urllib.parse import quote

from tests.support import binary
from tests.support.listener import Response
from tests.support.rawws import BINARY, CLOSE, TEXT, Frame, RawWebSocket
from tests.support.wire import WireClient


class BinaryWebSocket(RawWebSocket):
    """Protobuf messages in binary frames."""

    async def send_text(self, text: str) -> None:
        await self.send_message(binary.commands(text))

    async def send_message(self, data: bytes) -> None:
        await self.send_frame(BINARY, data)

    async def read_frame(self) -> Frame:
        frame = await super().read_frame()
        if frame.opcode != BINARY:
            return frame
        messages, rest = binary.split(frame.payload)
        assert rest == b""
        return Frame(TEXT, "\n".join(json.dumps(binary.reply(message)) for message in messages).encode())


class EmulatedSocket:
    """An emulated transport as a socket for `WireClient`. The first message opens the stream; `statuses` holds the
    status of the response to each other message."""

    def __init__(self, port: int, transport: str, form: str, headers: Mapping[str, str]) -> None:
        self.statuses: list[int] = []
        self._port = port
        self._transport = transport
        self._binary = form == "protobuf"
        media_type = "application/octet-stream" if self._binary else "application/json"
        self._headers = {"content-type": media_type, **headers}
        self._response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._identity: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._reading: asyncio.Task[None] | None = None

    @property
    def writer(self) -> asyncio.StreamWriter:
        return self._response.result().writer

    async def send_text(self, text: str) -> None:
        await self.send_message(binary.commands(text) if self._binary else text.encode())

    async def send_message(self, data: bytes) -> None:
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(data))
            return
        identity = await self._identity
        if self._binary:
            body = binary.emulation(**identity, data=data)
        else:
            # JSON cannot hold bytes that are not UTF-8, so they are sent as lone surrogates.
            quoted = json.dumps(data.decode(errors="surrogateescape"))
            body = b'{"session":"%b","node":"%b","data":%b}' % (
                *(identity[name].encode() for name in ("session", "node")),
                quoted.encode(),
            )
        async with await Response.open(self._port, "/emulation", body=body, headers=self._headers) as answer:
            self.statuses.append(answer.status)

    async def send_frame(self, opcode: int, payload: bytes = b"", **_options: Any) -> None:
        """Does nothing: this transport has no frames."""

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
        """Wait for the connect reply, and return its session and node."""
        return dict(await self._identity)

    async def _read(self, connect: bytes) -> None:
        try:
            self._response.set_result(await self._open(connect))
            response, buffer = self._response.result(), b""
            async for piece in response.pieces():
                messages, buffer = self._messages(buffer + piece)
                for message in messages:
                    self._notice(message)
                    self._lines.put_nowait(message)
        finally:
            self._lines.put_nowait(None)
            self._identity.cancel()

    def _messages(self, buffer: bytes) -> tuple[list[bytes], bytes]:
        """The whole messages in the buffer, as JSON, and the rest of it."""
        if self._binary:
            messages, rest = binary.split(buffer)
            return [json.dumps(binary.reply(message)).encode() for message in messages], rest
        *lines, rest = buffer.split(b"\n")
        texts = (line.removeprefix(b"data: ").strip() for line in lines)
        return [text for text in texts if text], rest

    async def _open(self, connect: bytes) -> Response:
        if self._transport == "sse":
            return await Response.open(
                self._port, f"/connection/sse?cf_connect={quote(connect)}", headers=self._headers
            )
        return await Response.open(self._port, "/connection/http_stream", body=connect, headers=self._headers)

    def _notice(self, text: bytes) -> None:
        connected = json.loads(text).get("connect")
        if connected is not None and not self._identity.done():
            self._identity.set_result({"session": connected["session"], "node": connected["node"]})


class _Protobuf(WireClient):
    form = "protobuf"

    async def publish_bytes(self, channel: str, data: bytes) -> int:
        command = self.next_id()
        await self.send_message(binary.publish(command, channel, data))
        return command


class ProtobufClient(_Protobuf):
    """A wire client on a WebSocket that speaks protobuf."""

    @classmethod
    async def open(
        cls,
        port: int,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        path: str = "/connection/websocket?format=protobuf",
        answer_pings: bool = True,
    ) -> Self:
        return cls(await BinaryWebSocket.connect(port, path, headers=headers), answer_pings=answer_pings)


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
        socket: Any = EmulatedSocket(port, cls.transport, cls.form, headers)
        return cls(socket, answer_pings=answer_pings)

    @property
    def emulated(self) -> EmulatedSocket:
        socket: object = self.socket
        assert isinstance(socket, EmulatedSocket)
        return socket


class HttpStreamProtobufClient(_Protobuf, HttpStreamClient):
    """A wire client on HTTP streaming that speaks protobuf."""


class SseClient(HttpStreamClient):
    """A wire client on SSE."""

    transport = "sse"


JSON_CLIENTS: Final[Mapping[str, type[WireClient]]] = {
    "websocket-json": WireClient,
    "http_stream-json": HttpStreamClient,
    "sse-json": SseClient,
}
PROTOBUF_CLIENTS: Final[Mapping[str, type[WireClient]]] = {
    "websocket-protobuf": ProtobufClient,
    "http_stream-protobuf": HttpStreamProtobufClient,
}
CLIENTS: Final[Mapping[str, type[WireClient]]] = {**JSON_CLIENTS, **PROTOBUF_CLIENTS}
"""Every transport that takes commands, in each of its forms."""
