"""The npm SDK in a Node.js process, driven from Python."""

import asyncio
import atexit
import contextlib
import functools
import inspect
import itertools
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

_DRIVER = Path(__file__).parent / "sdk" / "driver.mjs"

MAP, CLIENTS, USERS = "newMapSubscription", "newMapClientsSubscription", "newMapUsersSubscription"
SHARED_POLL = "newSharedPollSubscription"
"""The kinds of subscription besides that to a stream."""

Event = dict[str, Any]
Callback = Callable[[Any], Any]


class SdkError(Exception):
    """A call of the SDK was rejected."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code


class Unauthorized(Exception):
    """A callback raises this to reject with the SDK's `UnauthorizedError`."""


class NpmClient:
    """One client of the SDK. `events` holds all its events, in order.

    An option for which the SDK takes a function (`getToken`, `getState`, …) may be a Python function. It gets the SDK's
    context and may be async, and an exception that it raises rejects the SDK's promise.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.events: list[Event] = []
        self._input, self._writer = reader, writer
        self._calls = itertools.count(1)
        self._news = asyncio.Condition()
        self._callbacks: list[Callback] = []
        self._answers: set[asyncio.Task[None]] = set()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls) -> "AsyncIterator[NpmClient]":
        """A client without a connection, until the block ends."""
        client = cls(*await asyncio.open_connection("127.0.0.1", _driver_port(), limit=2**24))
        try:
            yield client
        finally:
            client._writer.close()
            tasks = [client._reader, *client._answers]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def connect_over(self, port: int, transport: str, form: str, **options: Any) -> None:
        """Connect over one transport ("websocket", "http_stream" or "sse"), in one form ("json" or "protobuf")."""
        scheme = "ws" if transport == "websocket" else "http"
        endpoint = f"{scheme}://127.0.0.1:{port}/connection/{transport}"
        options |= {
            "minReconnectDelay": 50,
            "maxReconnectDelay": 200,
            "emulationEndpoint": f"http://127.0.0.1:{port}/emulation",
        }
        transports = [{"transport": transport, "endpoint": endpoint}]
        await self.call("connect", url=transports, options=options, form=form)

    async def subscribe(self, channel: str, kind: str = "newSubscription", **options: Any) -> Event:
        """Subscribe, and return the context of the "subscribed" event."""
        start = len(self.events)
        await self.call("subscribe", channel=channel, kind=kind, options=options)
        return await self.context("subscribed", channel, start=start)

    async def call(self, command: str, **arguments: Any) -> Any:
        """Run one command and return the value of its promise.

        Raises:
            SdkError: the promise was rejected.
        """
        number = next(self._calls)
        self._send({"do": command, "call": number, **arguments})
        answer = await self.event(lambda event: event.get("call") == number)
        if answer["event"] == "failure":
            raise SdkError(answer.get("code", 0), answer.get("message", ""))
        return answer.get("result")

    async def error_code(self, command: str, **arguments: Any) -> int:
        """The code that a command is rejected with; 0 when it is not."""
        try:
            await self.call(command, **arguments)
        except SdkError as error:
            return error.code
        return 0

    async def event(self, wanted: str | Callable[[Event], bool], *, start: int = 0, timeout: float = 10) -> Event:
        """The first event from `events[start]` on of that name, or that matches; waits for it."""
        matches = wanted if callable(wanted) else lambda event: event["event"] == wanted

        def found() -> Event | None:
            return next((event for event in self.events[start:] if matches(event)), None)

        await self.until(lambda: found() is not None, timeout=timeout)
        event = found()
        assert event is not None
        return event

    async def context(self, name: str, channel: str = "", *, start: int = 0, timeout: float = 10) -> Event:
        """The context of the first event of that name, of this channel; waits for it."""
        event = await self.event(
            lambda event: event["event"] == name and event.get("channel", "") == channel, start=start, timeout=timeout
        )
        context: Event = event["context"]
        return context

    def contexts(self, name: str, channel: str = "", *, start: int = 0) -> list[Event]:
        """The contexts of every event of that name so far, of this channel."""
        events = self.events[start:]
        return [event["context"] for event in events if event["event"] == name and event.get("channel", "") == channel]

    def channels(self, name: str, *, start: int = 0) -> set[str]:
        """The channels that had an event of that name."""
        return {event["channel"] for event in self.events[start:] if event["event"] == name}

    def publications(self, channel: str) -> list[Event]:
        """What the subscription's application callback was given so far."""
        return self.contexts("publication", channel)

    def data(self, channel: str, event: str = "publication") -> list[Any]:
        """The payloads of a channel's publications so far."""
        return [context.get("data") for context in self.contexts(event, channel)]

    def updates(self, channel: str) -> list[tuple[str, Any]]:
        """Key and data of every update of a map or a shared poll; "removed" in the place of a removal's data."""
        contexts = self.contexts("update", channel)
        return [(item["key"], "removed" if item.get("removed") else item.get("data")) for item in contexts]

    async def synced(self, channel: str, *, start: int = 0) -> dict[str, Any]:
        """The entries of a map's next snapshot."""
        context = await self.context("sync", channel, start=start)
        return {entry["key"]: entry.get("data") for entry in context["entries"]}

    async def until(self, condition: Callable[[], bool], *, timeout: float = 10) -> None:
        """Wait until the condition holds; it is looked at after each event."""
        try:
            async with asyncio.timeout(timeout), self._news:
                await self._news.wait_for(condition)
        except TimeoutError as error:
            error.add_note(f"the last events: {self.events[-5:]}")
            raise

    def _send(self, command: Event) -> None:
        self._writer.write(f"{json.dumps(command, default=self._callback)}\n".encode())

    def _callback(self, function: Any) -> Event:
        if not callable(function):
            raise TypeError(f"{function!r} is neither JSON nor a function")
        self._callbacks.append(function)
        return {"$callback": len(self._callbacks) - 1}

    async def _read(self) -> None:
        async for line in self._input:
            event = json.loads(line)
            if event["event"] == "asked":
                task = asyncio.create_task(self._answer(event))
                self._answers.add(task)
                task.add_done_callback(self._answers.discard)
            async with self._news:
                self.events.append(event)
                self._news.notify_all()

    async def _answer(self, question: Event) -> None:
        answer: Event = {"do": "answer", "ask": question["ask"]}
        try:
            value = self._callbacks[question["callback"]](question.get("context"))
            answer["value"] = await value if inspect.isawaitable(value) else value
        except Exception as error:  # noqa: BLE001 - the SDK gets the error
            answer |= {"error": str(error), "unauthorized": isinstance(error, Unauthorized)}
        self._send(answer)


def signed(signature: str) -> Callback:
    """A `getSignature` for shared polls that returns this signature for all keys."""
    return lambda context: {"keys": context["keys"], "signature": signature}


def _driver_port() -> int:
    """The port of the Node.js process that runs the clients of this process. It is started if it does not run."""
    process, port = _driver()
    if process.poll() is not None:
        _driver.cache_clear()
        _, port = _driver()
    return port


@functools.cache
def _driver() -> tuple[subprocess.Popen[str], int]:
    command = [*node_command(), str(_DRIVER)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(process.communicate)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def node_command() -> Sequence[str]:
    """Node.js with a global WebSocket, which has to be asked for before version 22.

    Raises:
        RuntimeError: there is no Node.js on PATH.
    """
    node = shutil.which("node")
    if node is None:
        raise RuntimeError("The SDK tests need Node.js on PATH: run them through `make test`")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    major = int(re.sub(r"^v(\d+).*", r"\1", version.strip(), flags=re.DOTALL))
    return [node] if major >= 22 else [node, "--experimental-websocket"]
