"""Sends requests that open a transport, as bytes from any loopback address, and reads the responses."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from tests.support import binary

_CONNECT: Final = '{"id":1,"connect":{}}'
_UPGRADE: Final = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
_JSON: Final = "Content-Type: application/json"
_PROTOBUF: Final = "Content-Type: application/octet-stream"

_OPENING: Final[dict[str, tuple[str, str, Sequence[str], bytes]]] = {
    "websocket": ("GET", "/connection/websocket", _UPGRADE, b""),
    "websocket-protobuf": ("GET", "/connection/websocket?format=protobuf", _UPGRADE, b""),
    "http_stream": ("POST", "/connection/http_stream", (_JSON,), _CONNECT.encode()),
    "http_stream-protobuf": ("POST", "/connection/http_stream", (_PROTOBUF,), binary.commands(_CONNECT)),
    "sse": ("GET", f"/connection/sse?cf_connect={quote(_CONNECT)}", (), b""),
    "uni_websocket": ("GET", "/connection/uni_websocket", _UPGRADE, b""),
    "uni_http_stream": ("POST", "/connection/uni_http_stream", (_JSON,), b"{}"),
    "uni_sse": ("GET", "/connection/uni_sse", (), b""),
}
_COMMANDS: Final = ("POST", "/emulation", (_JSON,), b'{"session":"s","node":"n","data":"{}"}')

OPENINGS: Final = tuple(_OPENING)
"""Every transport, in each form of the protocol."""
ENDPOINTS: Final = (*OPENINGS, "emulation")
"""All of `OPENINGS`, and the endpoint for the commands of emulated transports."""


@dataclass(frozen=True)
class Answer:
    """The head of an answer; `headers` have lower-case names."""

    status: int
    headers: dict[str, str]


def request(port: int, endpoint: str, *more: bytes, host: str = "", without: str = "", query: str = "") -> bytes:
    """The request that opens a transport, with the header lines `more` and without the line that begins with
    `without`."""
    method, path, lines, body = _OPENING.get(endpoint, _COMMANDS)
    if query:
        path += f"{'&' if '?' in path else '?'}{query}"
    fields = [f"Host: {host or f'127.0.0.1:{port}'}", *lines, *([f"Content-Length: {len(body)}"] if body else [])]
    kept = [field.encode() for field in fields if not without or not field.startswith(without)]
    return b"\r\n".join([f"{method} {path} HTTP/1.1".encode(), *kept, *more, b"", b""]) + body


@contextlib.asynccontextmanager
async def answered(
    port: int, sent: bytes, *, source: str = "127.0.0.1"
) -> AsyncIterator[tuple[Answer, asyncio.StreamReader]]:
    """Send the bytes and read the head of the response. The connection stays open until the block ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        async with asyncio.timeout(5):
            writer.write(sent)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in head[1:] if line)
        yield Answer(int(head[0].split()[1]), {name.lower(): value.strip() for name, _, value in pairs}), reader
    finally:
        writer.transport.abort()


async def answer(port: int, sent: bytes, *, source: str = "127.0.0.1") -> Answer:
    """Send the bytes, read the head of the response and close the connection."""
    async with answered(port, sent, source=source) as (found, _):
        return found
