"""The npm SDK in a Node.js process of its own, driven from Python."""

import asyncio
import contextlib
import itertools
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

_DRIVER = Path(__file__).parent / "sdk" / "driver.mjs"


class SdkError(Exception):
    """A call of the SDK was rejected."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code


class NpmClient:
    """One client. `events` holds everything it told, in order."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.events: list[dict[str, Any]] = []
        self._process = process
        self._calls = itertools.count(1)
        self._news = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls) -> "AsyncIterator[NpmClient]":
        """A driver process without a connection, until the block ends."""
        process = await asyncio.create_subprocess_exec(
            *node_command(), str(_DRIVER), stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=2**24
        )
        client = cls(process)
        try:
            yield client
        finally:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()
            await client._reader

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

    async def call(self, command: str, **arguments: Any) -> Any:
        """Do one command and return what its promise gave.

        Raises:
            SdkError: the promise was rejected.
        """
        number = next(self._calls)
        line = json.dumps({"do": command, "call": number, **arguments})
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        answer = await self.event(lambda event: event.get("call") == number, timeout=10)
        if answer["event"] == "failure":
            raise SdkError(answer.get("code", 0), answer.get("message", ""))
        return answer.get("result")

    async def event(
        self, wanted: str | Callable[[dict[str, Any]], bool], *, start: int = 0, timeout: float = 10
    ) -> dict[str, Any]:
        """The first event from `events[start]` on of that name, or that matches; waits for it."""
        matches = wanted if callable(wanted) else lambda event: event["event"] == wanted

        def found() -> dict[str, Any] | None:
            return next((event for event in self.events[start:] if matches(event)), None)

        async with asyncio.timeout(timeout), self._news:
            await self._news.wait_for(lambda: found() is not None)
        event = found()
        assert event is not None
        return event

    def publications(self, channel: str) -> list[dict[str, Any]]:
        """What the subscription's application callback was given so far."""
        return [
            event["context"] for event in self.events if event["event"] == "publication" and event["channel"] == channel
        ]

    async def until(self, condition: Callable[[], bool], *, timeout: float = 10) -> None:
        """Wait until the condition holds; it is looked at after each event."""
        async with asyncio.timeout(timeout), self._news:
            await self._news.wait_for(condition)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            async with self._news:
                self.events.append(json.loads(line))
                self._news.notify_all()


def node_command() -> list[str]:
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
