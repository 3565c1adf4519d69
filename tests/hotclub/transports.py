"""A client of every transport in both forms, as raw as a test of revocation needs it: bytes in, and how it ended."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import quote

import httpx
import msgspec
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed

from hotclub.engine.protocol import codec_protobuf
from hotclub.engine.protocol.codec_protobuf import ProtobufCodec
from hotclub.engine.protocol.messages import Command, Emulation
from tests.support.server import websocket_url

PROTOBUF: Final = ProtobufCodec()
FORMS: Final = (
    *("websocket", "websocket/protobuf", "http_stream", "http_stream/protobuf", "sse"),
    *("uni_websocket", "uni_http_stream", "uni_sse"),
)
HTTP_PATHS: Final = {
    "http_stream": "POST",
    "sse": "GET",
    "uni_http_stream": "POST",
    "uni_sse": "GET",
}
"""The transports over plain HTTP, and how a browser opens them."""


def path_of(transport: str) -> str:
    return f"/connection/{transport}"


def encoded(binary: bool, **command: Any) -> bytes:
    """A command as it stands on the wire."""
    text = json.dumps(command).encode()
    if not binary:
        return text
    message = PROTOBUF._command()
    codec_protobuf._write(msgspec.json.decode(text, type=Command), message)
    return codec_protobuf._delimited(message)


def emulation(binary: bool, posted: Emulation) -> bytes:
    """The body of a POST to /emulation."""
    if binary:
        message = PROTOBUF._emulation(session=posted.session, node=posted.node, data=posted.data)
        return message.SerializeToString()  # type: ignore[no-any-return]
    return json.dumps({"session": posted.session, "node": posted.node, "data": posted.data.decode()}).encode()


@dataclass
class Wire:
    """One connection: `received` are the bytes it was sent, `code` is how the server ended it."""

    form: str
    url: str
    headers: Mapping[str, str]
    received: bytearray = field(default_factory=bytearray)
    code: int | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    _socket: Any = None
    _http: Any = None

    @property
    def transport(self) -> str:
        return self.form.partition("/")[0]

    @property
    def binary(self) -> bool:
        return self.form.endswith("/protobuf")

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, form: str, url: str, cookie: str, channel: str, *, since: str | None = None
    ) -> AsyncIterator[Self]:
        """Connect and subscribe, from the beginning of the log of that epoch if one is given; leave at the end."""
        headers = {"Origin": url, **({"Cookie": cookie} if cookie else {})}
        wire = cls(form, url, headers)
        position = {} if since is None else {"recover": True, "offset": 0, "epoch": since}
        async with wire._stack:
            await (wire._listen if wire.transport.startswith("uni_") else wire._talk)(channel, position)
            yield wire

    @classmethod
    async def fate(cls, form: str, url: str, token: str, /, **subscribe: Any) -> int:
        """The code that connecting with this token leads to, or the subscribe command after it; 0 for success."""
        wire = cls(form, url, {"Origin": url})
        async with wire._stack:
            if wire.transport.startswith("uni_"):
                await wire._knock(json.dumps({"token": token}).encode())
                await wire._answered(lambda: b'"connect":' in wire.received)
                return wire.code or 0
            await wire._knock(encoded(wire.binary, id=1, connect={"token": token}))
            verdict = await wire._verdict(1)
            if verdict or not subscribe:
                return verdict
            command = encoded(wire.binary, id=2, subscribe=subscribe)
            await (wire._send(command) if wire.transport == "websocket" else wire._post(command))
            return await wire._verdict(2)

    async def _knock(self, first: bytes) -> None:
        if not self.transport.endswith("websocket"):
            await self._open_stream(first)
            return
        await self._open_socket()
        await self._send(first)

    async def _verdict(self, number: int) -> int:
        if not await self._answered(lambda: self._reply(number) is not None):
            return self.code or 0
        code: int = self._reply(number).get("error", {}).get("code", 0)
        return code

    async def _listen(self, channel: str, position: dict[str, Any]) -> None:
        request = json.dumps({"subs": {channel: position}}).encode()
        if self.transport == "uni_websocket":
            await self._open_socket()
            await self._socket.send(request.decode())
        else:
            await self._open_stream(request)
        await self._answered(lambda: b'"connect":' in self.received)

    async def _talk(self, channel: str, position: dict[str, Any]) -> None:
        connect = encoded(self.binary, id=1, connect={})
        subscribe = encoded(self.binary, id=2, subscribe={"channel": channel, **position})
        if self.transport == "websocket":
            await self._open_socket()
            await self._send(connect + (b"" if self.binary else b"\n") + subscribe)
        else:
            await self._open_stream(connect)
            if await self._answered(lambda: self._reply(1) is not None):
                await self._post(subscribe)
        await self._answered(lambda: self._reply(2) is not None)

    async def _send(self, frame: bytes) -> None:
        with contextlib.suppress(ConnectionClosed):
            await self._socket.send(frame if self.binary else frame.decode())

    async def _open_socket(self) -> None:
        self._socket = await self._stack.enter_async_context(
            open_websocket(
                websocket_url(self.url, path_of(self.transport)) + ("?format=protobuf" if self.binary else ""),
                additional_headers=self.headers,
                compression=None,
                origin=None,
            )
        )
        self._read(self._read_socket())

    async def _open_stream(self, body: bytes) -> None:
        self._http = await self._stack.enter_async_context(
            httpx.AsyncClient(verify=False, base_url=self.url, timeout=5)
        )
        method, path = HTTP_PATHS[self.transport], path_of(self.transport)
        if method == "GET":
            request = self._http.stream(method, f"{path}?cf_connect={quote(body)}", headers=self.headers)
        else:
            request = self._http.stream(method, path, content=body, headers=self._typed())
        response = await self._stack.enter_async_context(request)
        assert response.status_code == 200, response.status_code
        self._read(self._read_stream(response))

    def _typed(self) -> dict[str, str]:
        return {**self.headers, "Content-Type": f"application/{'octet-stream' if self.binary else 'json'}"}

    async def _post(self, commands: bytes) -> None:
        connected = self._reply(1)["connect"]
        body = emulation(self.binary, Emulation(connected["session"], connected["node"], commands))
        answer = await self._http.post("/emulation", content=body, headers=self._typed())
        assert answer.status_code == 204, answer.status_code

    def _read(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._stack.callback(task.cancel)

    async def _read_socket(self) -> None:
        try:
            async for message in self._socket:
                self.received += message if isinstance(message, bytes) else message.encode() + b"\n"
                self._news.set()
        except ConnectionClosed:
            pass
        self._end(self._socket.close_code)

    async def _read_stream(self, response: httpx.Response) -> None:
        async for piece in response.aiter_raw():
            self.received += piece
            self._news.set()
        last = self.messages()[-1]
        self._end(last.get("push", last)["disconnect"]["code"])

    def _end(self, code: int) -> None:
        self.code = code
        self._news.set()

    def messages(self) -> list[dict[str, Any]]:
        """What has been received so far."""
        if self.binary:
            return list(self._decoded())
        lines = [line.removeprefix(b"data: ") for line in bytes(self.received).splitlines()]
        return [json.loads(line) for line in lines if line.startswith(b"{")]

    def _decoded(self) -> Any:
        data, at = bytes(self.received), 0
        while at < len(data):
            try:
                start, at = codec_protobuf._extent(data, at)
            except Exception:  # noqa: BLE001 - the rest has not come yet
                return
            reply = PROTOBUF._reply.FromString(data[start:at])
            connect, push = reply.connect, reply.push
            yield {
                "id": reply.id,
                "connect": {"session": connect.session, "node": connect.node},
                **({"error": {"code": reply.error.code}} if reply.HasField("error") else {}),
                **({"push": {"disconnect": {"code": push.disconnect.code}}} if push.HasField("disconnect") else {}),
            }

    def _reply(self, number: int) -> Any:
        return next((item for item in self.messages() if item.get("id") == number), None)

    async def _answered(self, condition: Callable[[], Any]) -> bool:
        """Wait for the condition, or for the end; whether it was the condition."""
        await self.until(lambda: condition() or self.code is not None)
        return self.code is None

    async def until(self, condition: Callable[[], Any], seconds: float = 5) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def told(self, text: bytes, seconds: float = 5) -> None:
        """These bytes have been received."""
        await self.until(lambda: text in self.received, seconds)

    async def ended(self, seconds: float) -> int:
        """With which code the server has ended it, in time."""
        await self.until(lambda: self.code is not None, seconds)
        assert self.code is not None
        return self.code
