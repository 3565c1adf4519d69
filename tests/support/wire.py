"""A protocol client written from the protocol's document, on `rawws`, that keeps every message.

`WireClient.inbox` holds every object the server sent, in order; `expect` waits for the next one that matches.
"""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from types import MappingProxyType, TracebackType
from typing import Any, ClassVar, Self, TypeAlias

from tests.support.rawws import CLOSE, PING, PONG, TEXT, Frame, RawWebSocket

Object: TypeAlias = dict[str, Any]


class Closed(Exception):
    """The connection has ended. `code` 1006 is an end without a close frame."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class ErrorReply(Exception):
    """The server answered a command with an error."""

    def __init__(self, error: Object) -> None:
        super().__init__(error)
        self.code: int = error["code"]
        self.message: str = error["message"]
        self.temporary: bool = error.get("temporary", False)


def push_of(item: Object, kind: str, channel: str | None = None) -> Object | None:
    """The content of a push of that kind (`pub`, `join` …), or None when the object is something else."""
    push = item.get("push")
    if push is None or kind not in push or (channel is not None and push.get("channel") != channel):
        return None
    content: Object = push[kind]
    return content


class WireClient:
    """A connection that reads all the time, answers pings and keeps the received messages."""

    form: ClassVar[str] = "json"

    def __init__(self, socket: RawWebSocket, *, answer_pings: bool = True) -> None:
        self.socket = socket
        self.inbox: list[Object] = []
        self.frames: list[Frame] = []
        self.pings = 0
        self.closed: Closed | None = None
        self.client_id = ""
        self._answer_pings = answer_pings
        self._ids = itertools.count(1)
        self._news = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(
        cls,
        port: int,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        path: str = "/connection/websocket",
        answer_pings: bool = True,
    ) -> Self:
        """A connection that has not sent its connect command yet."""
        return cls(await RawWebSocket.connect(port, path, headers=headers), answer_pings=answer_pings)

    @classmethod
    async def connected(
        cls, port: int, *, headers: Mapping[str, str] = MappingProxyType({}), data: Any = None, **options: Any
    ) -> Self:
        """A connection whose connect command was accepted."""
        client = await cls.open(port, headers=headers, **options)
        try:
            await client.connect(data=data)
        except BaseException:
            client.abort()
            raise
        return client

    async def connect(self, **fields: Any) -> Object:
        result = await self.call("connect", **fields)
        self.client_id = result["client"]
        return result

    # Sending

    def next_id(self) -> int:
        return next(self._ids)

    async def send(self, *commands: Object) -> None:
        """Send the commands in one frame."""
        await self.socket.send_text("\n".join(json.dumps(command) for command in commands))

    async def send_message(self, data: bytes) -> None:
        """Send exactly these bytes as one message."""
        await self.socket.send_message(data)

    async def publish_bytes(self, channel: str, data: bytes) -> int:
        """Publish exactly these bytes, and return the command's id without waiting."""
        command = self.next_id()
        await self.send_message(b'{"id":%d,"publish":{"channel":"%b","data":%b}}' % (command, channel.encode(), data))
        return command

    async def start(self, method: str, /, **fields: Any) -> int:
        """Send one command and return its id without waiting."""
        command_id = self.next_id()
        sent = {name: value for name, value in fields.items() if value is not None}
        await self.send({"id": command_id, method: sent})
        return command_id

    async def call(self, method: str, /, **fields: Any) -> Object:
        """Send one command and wait for its result.

        Raises:
            ErrorReply: the command was refused.
            Closed: the connection ended first.
            TimeoutError: no answer in five seconds.
        """
        return await self.result(await self.start(method, **fields), method)

    async def answer(self, command_id: int) -> Object:
        """The reply to a command, a result or an error."""
        return await self.expect(lambda item: item.get("id") == command_id)

    async def fate(self, command_id: int) -> int:
        """The outcome of a command: 0, the code of its error, or the code of the connection's end."""
        try:
            reply = await self.answer(command_id)
        except Closed as end:
            return end.code
        code: int = reply.get("error", {}).get("code", 0)
        return code

    async def result(self, command_id: int, method: str) -> Object:
        """The result of a command. Raises as `call` does."""
        reply = await self.answer(command_id)
        if "error" in reply:
            raise ErrorReply(reply["error"])
        result: Object = reply[method]
        return result

    async def subscribe(self, channel: str, **fields: Any) -> Object:
        return await self.call("subscribe", channel=channel, **fields)

    async def publish(self, channel: str, data: Any) -> Object:
        command_id = self.next_id()
        await self.send({"id": command_id, "publish": {"channel": channel, "data": data}})
        return await self.result(command_id, "publish")

    # Receiving

    async def expect(self, matches: Callable[[Object], bool], *, timeout: float = 5.0, start: int = 0) -> Object:
        """The first object from `inbox[start]` on that matches, waiting for it if need be."""
        found: Object = {}

        def present() -> bool:
            nonlocal found
            match = next((item for item in self.inbox[start:] if matches(item)), None)
            found = match if match is not None else found
            return match is not None or self.closed is not None

        async with asyncio.timeout(timeout), self._news:
            await self._news.wait_for(present)
        if not found and self.closed is not None:
            raise self.closed
        return found

    async def push(self, kind: str, channel: str | None = None, *, timeout: float = 5.0, start: int = 0) -> Object:
        """The first push of that kind."""
        item = await self.expect(lambda item: push_of(item, kind, channel) is not None, timeout=timeout, start=start)
        content: Object = item["push"][kind]
        return content

    async def publications(self, channel: str, count: int, *, timeout: float = 5.0) -> list[Object]:
        """The channel's publications pushed so far, as soon as there are `count`."""

        def enough() -> bool:
            return len(self.received(channel)) >= count or self.closed is not None

        async with asyncio.timeout(timeout), self._news:
            await self._news.wait_for(enough)
        received = self.received(channel)
        if len(received) < count and self.closed is not None:
            raise self.closed
        return received

    def received(self, channel: str) -> list[Object]:
        """The channel's publications pushed so far."""
        return [pub for item in self.inbox if (pub := push_of(item, "pub", channel)) is not None]

    async def objects(self) -> AsyncIterator[Object]:
        """Everything received, from the first object on, until the connection ends."""
        done = 0
        while True:
            async with self._news:
                await self._news.wait_for(partial(self._more_than, done))
            for item in self.inbox[done:]:
                done += 1
                yield item
            if self.closed is not None and done == len(self.inbox):
                return

    def _more_than(self, count: int) -> bool:
        return len(self.inbox) > count or self.closed is not None

    async def settled(self) -> None:
        """Wait until the inbox holds every message that the server sent before it read this command.

        The command asks for the presence of an unknown channel. Its reply comes after all queued messages.
        """
        command_id = await self.start("presence_stats", channel="no-such-channel")
        await self.expect(lambda item: item.get("id") == command_id)

    async def ended(self, timeout: float = 5.0) -> Closed:
        """Wait for the end of the connection and return its code and reason."""
        async with asyncio.timeout(timeout), self._news:
            await self._news.wait_for(lambda: self.closed is not None)
        assert self.closed is not None
        return self.closed

    async def _read(self) -> None:
        closed = Closed(1006, "")
        try:
            while True:
                frame = await self.socket.read_frame()
                if frame.opcode == CLOSE:
                    closed = Closed(frame.close_code, frame.close_reason)
                    with contextlib.suppress(ConnectionError):
                        await self.socket.send_frame(CLOSE, frame.payload[:2])
                        self.socket.writer.write_eof()
                        await self.socket.read_eof()
                    break
                await self._take(frame)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.socket.abort()
            async with self._news:
                self.closed = closed
                self._news.notify_all()

    async def _take(self, frame: Frame) -> None:
        if frame.opcode == PING:
            await self.socket.send_frame(PONG, frame.payload)
            return
        if frame.opcode != TEXT:
            raise AssertionError(f"a JSON client got opcode {frame.opcode}")
        objects = [json.loads(line, parse_constant=_not_json) for line in frame.payload.decode().split("\n")]
        pings = sum(1 for item in objects if not item)
        if pings and self._answer_pings:
            await self.send(*[{}] * pings)
        async with self._news:
            self.frames.append(frame)
            self.pings += pings
            self.inbox.extend(item for item in objects if item)
            self._news.notify_all()

    async def wait(self, condition: Callable[[], bool], timeout: float = 5.0) -> None:
        """Wait until the condition holds; it is checked after each frame."""
        async with asyncio.timeout(timeout), self._news:
            await self._news.wait_for(condition)

    async def close(self, code: int = 1000) -> Closed:
        """The closing handshake."""
        await self.socket.send_frame(CLOSE, code.to_bytes(2, "big"))
        return await self.ended()

    def abort(self) -> None:
        """Reset the connection and stop reading."""
        self._reader.cancel()
        self.socket.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()
        await asyncio.wait({self._reader})


def _not_json(text: str) -> None:
    raise AssertionError(f"the server sent {text}, which is not JSON")
