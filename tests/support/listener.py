"""One subscriber on any transport, in either form of the protocol: it keeps what it gets, byte for byte.

Protobuf is read with the classes that the PyPI SDK brings, differences with its decoder: nothing here is ours.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Self
from urllib.parse import quote

import msgspec
from centrifuge.fossil import apply_delta
from centrifuge.protocol import client_pb2
from google.protobuf.json_format import ParseDict
from msgspec import Raw, Struct
from websockets.asyncio.client import connect as open_websocket
from websockets.typing import Subprotocol

from tests.support.binary import delimited, emulation, split, varint

BIDIRECTIONAL: Final = ("websocket-json", "websocket-protobuf", "http_stream-json", "http_stream-protobuf", "sse-json")
UNIDIRECTIONAL: Final = ("uni_sse-json", "uni_http_stream-json", "uni_websocket-json")
TRANSPORTS: Final = (*BIDIRECTIONAL, *UNIDIRECTIONAL)
"""Transport and form of the protocol."""

_TYPES: Final = {"json": "application/json", "protobuf": "application/octet-stream"}
_CONNECT, _SUBSCRIBE = 1, 2

_NEWER: Final = {"type": b"\x78", "phase": b"\x80\x01"}
"""Fields of a subscribe command that the schema of that SDK does not have yet, by their tags."""

Since = tuple[str, int]
"""Epoch and offset."""


class _Publication(Struct, frozen=True):
    data: Raw = Raw(b"null")
    offset: int = 0
    delta: bool = False


class _Subscribed(Struct, frozen=True):
    recovered: bool = False
    epoch: str = ""
    offset: int = 0
    delta: bool = False
    publications: list[_Publication] = []


class _Connected(Struct, frozen=True):
    session: str = ""
    node: str = ""
    subs: dict[str, _Subscribed] = {}


class _End(Struct, frozen=True):
    code: int
    reason: str = ""


class _Push(Struct, frozen=True):
    pub: _Publication | None = None
    connect: _Connected | None = None
    disconnect: _End | None = None
    unsubscribe: _End | None = None


class _Reply(Struct, frozen=True):
    id: int = 0
    error: dict[str, Any] | None = None
    connect: _Connected | None = None
    subscribe: _Subscribed | None = None
    push: _Push | None = None


class Refused(Exception):
    """The server answered with an error or the end of the connection."""


class Listener:
    """Use as `async with Listener.open(port, "sse-json", channel) as listener`."""

    def __init__(self, channel: str, form: str, *, delta: bool = False) -> None:
        """With `delta` the subscriber asks for differences, and `seen` holds the publications made from them."""
        self.channel = channel
        self.seen: list[tuple[int, bytes]] = []
        """Offset and data of every publication, in the order they came."""
        self.recovered = False
        self.epoch = ""
        self.offset = 0
        self.wire_bytes = 0
        """The bytes of publications' data on the wire."""
        self.differences = 0
        self._form = form
        self._delta = delta
        self._base = b""
        self._news = asyncio.Condition()
        self._connected: asyncio.Future[_Connected] = asyncio.get_running_loop().create_future()
        self._subscribed = asyncio.Event()
        self._refusal: Refused | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, port: int, transport: str, channel: str, *, since: Since | None = None, delta: bool = False, **fields: Any
    ) -> AsyncIterator[Self]:
        """A live subscriber, until the block ends. With `since` it asks for the publications after that position.

        `fields` are more fields of its subscribe command.

        Raises:
            Refused: the server refused the connection or the subscription.
        """
        name, _, form = transport.partition("-")
        listener = cls(channel, form, delta=delta)
        wish: dict[str, Any] = {"recover": True, "epoch": since[0], "offset": since[1]} if since else {}
        wish |= fields
        if delta:
            wish["delta"] = "fossil"
        if since:
            listener.offset = since[1]
        task = asyncio.create_task(listener._run(port, name, wish))
        try:
            await listener.until(lambda: listener._subscribed.is_set() or task.done())
            if task.done():
                task.result()
            yield listener
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def until(self, condition: Callable[[], bool], *, timeout: float = 15) -> None:
        """Wait until the condition holds; it is checked after each message.

        Raises:
            Refused: the server sent an error or ended the connection.
        """
        async with asyncio.timeout(timeout), self._news:
            await self._news.wait_for(lambda: self._refusal is not None or condition())
        if self._refusal is not None:
            raise self._refusal

    async def until_seen(self, count: int, *, timeout: float = 15) -> None:
        """Wait until `seen` holds this number of publications."""
        await self.until(lambda: len(self.seen) >= count, timeout=timeout)

    # One way of connecting each

    async def _run(self, port: int, name: str, wish: Mapping[str, Any]) -> None:
        try:
            ways = {"websocket": self._websocket, "http_stream": self._stream, "sse": self._stream}
            await ways.get(name, self._listen)(port, name, wish)
        finally:
            async with self._news:
                self._news.notify_all()

    async def _websocket(self, port: int, _name: str, wish: Mapping[str, Any]) -> None:
        binary = self._form == "protobuf"
        offered = [Subprotocol("centrifuge-protobuf")] if binary else None
        url = f"ws://127.0.0.1:{port}/connection/websocket"
        async with open_websocket(url, subprotocols=offered, max_size=None, proxy=None) as socket:
            assert socket.subprotocol == (offered[0] if offered else None)
            commands = self._commands({"connect": {}, "id": _CONNECT}, self._subscribe(wish))
            await socket.send(commands if binary else commands.decode())
            async for message in socket:
                await self._take(message if isinstance(message, bytes) else message.encode())

    async def _stream(self, port: int, name: str, wish: Mapping[str, Any]) -> None:
        command = self._commands({"connect": {}, "id": _CONNECT})
        if name == "sse":
            response = await Response.open(port, f"/connection/sse?cf_connect={quote(command)}")
        else:
            response = await Response.open(
                port, "/connection/http_stream", body=command, headers={"content-type": _TYPES[self._form]}
            )
        async with response, asyncio.TaskGroup() as group:
            group.create_task(self._subscribe_by_emulation(port, wish))
            await self._read(response, events=name == "sse")

    async def _subscribe_by_emulation(self, port: int, wish: Mapping[str, Any]) -> None:
        connected = await self._connected
        data = self._commands(self._subscribe(wish))
        if self._form == "json":
            body = json.dumps({"session": connected.session, "node": connected.node, "data": data.decode()}).encode()
        else:
            body = emulation(connected.session, connected.node, data)
        async with await Response.open(
            port, "/emulation", body=body, headers={"content-type": _TYPES[self._form]}
        ) as answer:
            assert answer.status == 204

    async def _listen(self, port: int, name: str, wish: Mapping[str, Any]) -> None:
        request = json.dumps({"subs": {self.channel: wish}})
        if name == "uni_websocket":
            async with open_websocket(f"ws://127.0.0.1:{port}/connection/{name}", max_size=None, proxy=None) as socket:
                await socket.send(request)
                async for message in socket:
                    assert isinstance(message, str)
                    await self._take(message.encode(), bare=True)
            return
        if name == "uni_sse":
            response = await Response.open(port, f"/connection/{name}?cf_connect={quote(request)}")
        else:
            response = await Response.open(
                port, f"/connection/{name}", body=request.encode(), headers={"content-type": _TYPES["json"]}
            )
        async with response:
            await self._read(response, events=name == "uni_sse", bare=True)

    async def _read(self, response: "Response", *, events: bool, bare: bool = False) -> None:
        assert response.status == 200, response.status
        buffer = b""
        async for piece in response.pieces():
            buffer += piece
            if self._form == "protobuf":
                buffer = await self._take_whole(buffer)
                continue
            *lines, buffer = buffer.split(b"\n")
            for line in lines:
                text = (
                    line.removeprefix(b"data: ") if events and line.startswith(b"data: ") else b"" if events else line
                )
                if text:
                    await self._take(text, bare=bare)

    async def _take_whole(self, buffer: bytes) -> bytes:
        """Take the messages that are complete; returns the rest."""
        whole, rest = split(buffer)
        for message in whole:
            await self._take(delimited(message))
        return rest

    # The two forms

    def _subscribe(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        return {"subscribe": {"channel": self.channel, **wish}, "id": _SUBSCRIBE}

    def _commands(self, *commands: dict[str, Any]) -> bytes:
        if self._form == "json":
            return "\n".join(map(json.dumps, commands)).encode()
        messages = [_to_protobuf(command) for command in commands]
        return b"".join(delimited(message) for message in messages)

    async def _take(self, frame: bytes, *, bare: bool = False) -> None:
        replies = _from_protobuf(frame) if self._form == "protobuf" else _from_json(frame, bare=bare)
        for reply in replies:
            self._note(reply)
        async with self._news:
            self._news.notify_all()

    def _note(self, reply: _Reply) -> None:
        push = reply.push or _Push()
        end = push.disconnect or push.unsubscribe
        if reply.error is not None or end is not None:
            self._refusal = Refused(reply.error or end)
        connected = reply.connect or push.connect
        if connected is not None and not self._connected.done():
            self._connected.set_result(connected)
        subscribed = reply.subscribe or (connected.subs.get(self.channel) if connected is not None else None)
        if subscribed is not None:
            self.recovered, self.epoch = subscribed.recovered, subscribed.epoch
            self.offset = subscribed.offset
            self._subscribed.set()
            for publication in subscribed.publications:
                self._add(publication)
        if push.pub is not None:
            self._add(push.pub)

    def _add(self, publication: _Publication) -> None:
        data = bytes(publication.data)
        self.wire_bytes += len(data)
        if self._delta:
            text = msgspec.json.decode(data, type=str).encode() if self._form == "json" else data
            self.differences += publication.delta
            self._base = bytes(apply_delta(self._base, text)) if publication.delta else text
            data = self._base
        self.offset = publication.offset
        self.seen.append((publication.offset, data))


class Response:
    """An HTTP response whose body is read as it comes, on a connection of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._reader = reader
        self.writer = writer

    @classmethod
    async def open(
        cls,
        port: int,
        path: str,
        *,
        method: str = "",
        body: bytes | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Self:
        """Send a request and read the head of the answer. A request with a body is a POST unless told otherwise."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
        response = cls(reader, writer)
        method = method or ("GET" if body is None else "POST")
        fields = {"host": f"127.0.0.1:{port}", **headers}
        if body is not None:
            fields["content-length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + (body or b""))
        try:
            await response._read_head()
        except BaseException:
            writer.transport.abort()
            raise
        return response

    async def _read_head(self) -> None:
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1])
        for line in filter(None, lines[1:]):
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The chunks of the body, until it ends."""
        if self.headers.get("transfer-encoding") != "chunked":
            yield await self._reader.readexactly(int(self.headers.get("content-length", "0")))
            return
        while size := int(await self._reader.readline() or b"0", 16):
            yield await self._reader.readexactly(size)
            await self._reader.readexactly(2)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self.writer.transport.abort()


def _from_json(frame: bytes, *, bare: bool) -> list[_Reply]:
    if bare:
        return [_Reply(push=msgspec.json.decode(line, type=_Push)) for line in frame.split(b"\n")]
    return [msgspec.json.decode(line, type=_Reply) for line in frame.split(b"\n")]


def _to_protobuf(command: dict[str, Any]) -> bytes:
    asked = command.get("subscribe", {})
    newer = b"".join(_NEWER[name] + varint(value) for name, value in asked.items() if name in _NEWER)
    known = {name: value for name, value in asked.items() if name not in _NEWER}
    message = ParseDict({**command, **({"subscribe": known} if asked else {})}, client_pb2.Command())
    if newer:
        message.subscribe.MergeFromString(newer)
    encoded: bytes = message.SerializeToString()
    return encoded


def _from_protobuf(frame: bytes) -> list[_Reply]:
    return [_reply(client_pb2.Reply.FromString(message)) for message in split(frame)[0]]


def _reply(message: Any) -> _Reply:
    push = None
    if message.HasField("push"):
        sent = message.push
        push = _Push(
            pub=_publication(sent.pub) if sent.HasField("pub") else None,
            disconnect=_End(sent.disconnect.code) if sent.HasField("disconnect") else None,
            unsubscribe=_End(sent.unsubscribe.code) if sent.HasField("unsubscribe") else None,
        )
    return _Reply(
        id=message.id,
        error={"code": message.error.code} if message.HasField("error") else None,
        connect=_Connected(message.connect.session, message.connect.node) if message.HasField("connect") else None,
        subscribe=_subscribed(message.subscribe) if message.HasField("subscribe") else None,
        push=push,
    )


def _subscribed(message: Any) -> _Subscribed:
    found = [_publication(publication) for publication in message.publications]
    return _Subscribed(message.recovered, message.epoch, message.offset, message.delta, found)


def _publication(message: Any) -> _Publication:
    return _Publication(Raw(message.data), message.offset, message.delta)
