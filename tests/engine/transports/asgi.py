"""An ASGI server in memory, as slow as a test wants its peer to be."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hotclub.engine.transports.emulation import emulate, read_emulation
from hotclub.engine.transports.stream import HttpError
from tests.engine.support import Club

JSON: Final = "application/json"
PROTOBUF: Final = "application/octet-stream"


def scope_of(method: str = "POST", *, query: bytes = b"", headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    lines = [(name.encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    return {"type": "http", "method": method, "path": "/", "query_string": query, "headers": lines}


@dataclass
class Exchange:
    """One request or WebSocket under way: `put` is what the peer sends, `sent` what it has been sent."""

    sent: list[dict[str, Any]] = field(default_factory=list)
    error: HttpError | None = None
    _inbox: "asyncio.Queue[dict[str, Any]]" = field(default_factory=asyncio.Queue)
    _reading: asyncio.Event = field(default_factory=asyncio.Event)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _task: "asyncio.Task[None] | None" = None

    @classmethod
    def start(cls, serve: Callable[..., Awaitable[None]], *args: Any) -> "Exchange":
        """`args` are what the function takes before and after `receive` and `send`, a `...` standing for both."""
        exchange = cls()
        exchange._reading.set()
        place = args.index(...)
        arguments = (*args[:place], exchange._inbox.get, exchange._send, *args[place + 1 :])
        exchange._task = asyncio.ensure_future(exchange._run(serve(*arguments)))
        return exchange

    async def _run(self, work: Awaitable[None]) -> None:
        try:
            await work
        except HttpError as error:
            self.error = error
        finally:
            self._news.set()

    async def _send(self, event: dict[str, Any]) -> None:
        await self._reading.wait()
        self.sent.append(event)
        self._news.set()

    def stop_reading(self) -> None:
        """From now on the peer takes nothing."""
        self._reading.clear()

    def read(self) -> None:
        self._reading.set()

    def put(self, event: dict[str, Any]) -> None:
        self._inbox.put_nowait(event)

    def body(self, body: bytes, *, more: bool = False) -> None:
        self.put({"type": "http.request", "body": body, "more_body": more})

    def leave(self) -> None:
        self.put({"type": "http.disconnect"})

    async def until(self, condition: Callable[[], Any]) -> Any:
        async with asyncio.timeout(5):
            while not (found := condition()):
                self._news.clear()
                assert not (self.done and not condition()), f"it ended, with {self.error} and {self.sent}"
                await self._news.wait()
        return found

    async def finished(self) -> None:
        """The application has returned."""
        assert self._task is not None
        async with asyncio.timeout(5):
            await self._task

    def cancel(self) -> None:
        assert self._task is not None
        self._task.cancel()

    @property
    def done(self) -> bool:
        return self._task is not None and self._task.done()

    async def status(self) -> int:
        """How the request was refused."""
        await self.finished()
        assert self.error is not None, self.sent
        assert self.sent == [], "a status after the response has begun"
        return self.error.status

    @property
    def written(self) -> bytes:
        """The body of the response so far."""
        return b"".join(event.get("body", b"") for event in self.sent if event["type"] == "http.response.body")

    @property
    def ended(self) -> bool:
        """Whether the response is whole."""
        bodies = [event for event in self.sent if event["type"] == "http.response.body"]
        return bool(bodies) and not bodies[-1].get("more_body", False)

    @property
    def headers(self) -> dict[bytes, bytes]:
        start = self.sent[0]
        assert (start["type"], start["status"]) == ("http.response.start", 200)
        return dict(start["headers"])

    def messages(self) -> list[dict[str, Any]]:
        """The messages of a JSON stream, of events or of text frames."""
        if self.sent and self.sent[0]["type"].startswith("websocket"):
            frames = [event["text"] for event in self.sent if event["type"] == "websocket.send"]
            return [json.loads(text) for frame in frames for text in frame.split("\n")]
        lines = [line.removeprefix(b"data: ") for line in self.written.splitlines()]
        return [json.loads(line) for line in lines if line.startswith(b"{")]

    def ids(self) -> list[bytes]:
        """The ids of the events so far."""
        return [line.removeprefix(b"id: ") for line in self.written.splitlines() if line.startswith(b"id: ")]

    async def message(self, found: Callable[[dict[str, Any]], Any]) -> Any:
        """The first message for which the function gives something, or rather what it gives."""
        return await self.until(lambda: next((hit for item in self.messages() if (hit := found(item))), None))

    async def connected(self) -> dict[str, Any]:
        """The result of connect, however it is wrapped."""
        result: dict[str, Any] = await self.message(lambda item: item.get("connect"))
        return result

    async def disconnected(self) -> int:
        """The code of the disconnect push."""
        code: int = await self.message(lambda item: (item.get("push", item).get("disconnect") or {}).get("code"))
        return code


async def post_commands(
    club: Club, connected: Mapping[str, Any], *commands: object, session: str | None = None
) -> None:
    """POST commands to the emulation endpoint, as a client does that was told `connected`."""
    data = "\n".join(json.dumps(command) for command in commands)
    body = {"session": connected["session"] if session is None else session, "node": connected["node"], "data": data}
    emulation = await read_emulation(club.node, scope_of(), body_of(json.dumps(body).encode()))
    emulate(club.node, emulation)


def body_of(*pieces: bytes) -> Callable[[], Awaitable[dict[str, Any]]]:
    """A `receive` with a body in these pieces."""
    events = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    events[-1]["more_body"] = False
    waiting = iter(events)

    async def receive() -> dict[str, Any]:
        return next(waiting)

    return receive
