"""A WebSocket client written from RFC 6455, so that a fault shared by a server and its library stays visible.

It sends whatever it is told to send, legal or not, and shows every frame it gets as it came.
"""

import asyncio
import base64
import hashlib
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Final, Self

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it stood on the wire."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0

    @property
    def close_code(self) -> int:
        """The status of a close frame; 1005 when it carries none."""
        return int.from_bytes(self.payload[:2], "big") if len(self.payload) >= 2 else 1005

    @property
    def close_reason(self) -> str:
        return self.payload[2:].decode()


class HandshakeRefused(Exception):
    """The server answered the upgrade with something else than 101."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        super().__init__(status, headers, body)
        self.status = status
        self.headers = headers
        self.body = body


def encode_frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bool = True, length: int | None = None
) -> bytes:
    """One frame. `length` is the length it claims, when that shall differ from the truth."""
    claimed = len(payload) if length is None else length
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    bit = 0x80 if mask else 0
    if claimed < 126:
        head += bytes([bit | claimed])
    elif claimed < 1 << 16:
        head += bytes([bit | 126]) + struct.pack(">H", claimed)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", claimed)
    if not mask:
        return head + payload
    key = os.urandom(4)
    stream = (key * (len(payload) // 4 + 1))[: len(payload)]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(payload), "big")
    return head + key + masked


class RawWebSocket:
    """One connection. Use `connect`; nothing is answered by itself, not even a ping."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(
        cls,
        port: int,
        path: str = "/connection/websocket",
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        host: str = "127.0.0.1",
        host_header: str = "",
        receive_buffer: int | None = None,
    ) -> Self:
        """Open a connection and finish the handshake.

        `receive_buffer` shrinks the kernel's buffer, so that a reader that stops reading is felt at once.

        Raises:
            HandshakeRefused: the answer was not 101.
        """
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (host, port))
        except BaseException:
            sock.close()
            raise
        limit = 2**16 if receive_buffer is None else receive_buffer
        reader, writer = await asyncio.open_connection(sock=sock, limit=limit)
        connection = cls(reader, writer)
        try:
            await connection._handshake(host_header or f"{host}:{port}", path, headers)
        except BaseException:
            connection.abort()
            raise
        return connection

    async def _handshake(self, host: str, path: str, headers: Mapping[str, str]) -> None:
        key = base64.b64encode(os.urandom(16))
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key.decode()}",
            "Sec-WebSocket-Version: 13",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        await self.send_bytes("\r\n".join([*lines, "", ""]).encode())
        status, answer = _parse_head(await self.reader.readuntil(b"\r\n\r\n"))
        if status != 101:
            body = await self.reader.readexactly(int(answer.get("content-length", "0")))
            raise HandshakeRefused(status, answer, body)
        expected = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest()).decode()
        if answer.get("sec-websocket-accept") != expected:
            raise HandshakeRefused(status, answer, b"wrong Sec-WebSocket-Accept")
        self.subprotocol = answer.get("sec-websocket-protocol")

    async def send_bytes(self, data: bytes) -> None:
        """Put bytes on the wire as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def send_frame(
        self,
        opcode: int,
        payload: bytes = b"",
        *,
        fin: bool = True,
        rsv: int = 0,
        mask: bool = True,
        length: int | None = None,
    ) -> None:
        await self.send_bytes(encode_frame(opcode, payload, fin=fin, rsv=rsv, mask=mask, length=length))

    async def send_text(self, text: str) -> None:
        await self.send_frame(TEXT, text.encode())

    async def send_message(self, data: bytes) -> None:
        await self.send_frame(TEXT, data)

    async def read_frame(self) -> Frame:
        """The next frame.

        Raises:
            asyncio.IncompleteReadError, ConnectionError: the connection ended without one.
        """
        first, second = await self.reader.readexactly(2)
        if second & 0x80:
            raise AssertionError("RFC 6455 §5.1: a server must not mask its frames")
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", await self.reader.readexactly(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", await self.reader.readexactly(8))
        payload = await self.reader.readexactly(length)
        return Frame(first & 0xF, payload, bool(first & 0x80), (first >> 4) & 0x7)

    async def read_close(self) -> Frame:
        """Read up to the close frame and return it. The end of the stream without a close frame is an error."""
        while (frame := await self.read_frame()).opcode != CLOSE:
            pass
        return frame

    async def read_eof(self) -> None:
        """Skip bytes until the end of the stream. A reset is an end, too."""
        try:
            while await self.reader.read(65_536):
                pass
        except ConnectionError:
            return

    async def close(self, code: int = 1000) -> None:
        """The closing handshake, then the end of the stream."""
        try:
            await self.send_frame(CLOSE, struct.pack(">H", code))
            await self.read_eof()
        except ConnectionError:
            return
        finally:
            self.abort()

    def abort(self) -> None:
        """Reset the connection."""
        self.writer.transport.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()


def _parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    status, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return int(status.split()[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}
