"""The two ways to publish: a client does it over its connection, or a view does it inside the server."""

import asyncio
from time import monotonic
from typing import Final, Protocol

from benchmarks.crowd import Crowd

_KEPT: Final = 2.0
"""Seconds after which an idle connection is not used again: servers end idle connections after five."""


class Publisher(Protocol):
    """Publishes messages to the crowd's channel and counts them in `Crowd.published`."""

    name: str

    async def publish(self, count: int) -> None:
        """Publish the next `count` messages."""


class ClientPublisher:
    """Publishes over the crowd's first connection, and does not wait for replies."""

    name = "client"

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd

    async def publish(self, count: int) -> None:
        """Publish the next `count` messages; see `Publisher`."""
        first, self._crowd.published = self._crowd.published, self._crowd.published + count
        self._crowd.connections[0].write(self._crowd.dialect.publish(first, count))


class ViewPublisher:
    """Lets a view of the site publish, and waits for its answer."""

    name = "view"

    def __init__(self, crowd: Crowd, http: "HttpClient") -> None:
        self._crowd = crowd
        self._http = http

    async def publish(self, count: int) -> None:
        """Publish the next `count` messages; see `Publisher`."""
        first, self._crowd.published = self._crowd.published, self._crowd.published + count
        await self._http.get(f"/publish/{first}/{count}/")


class HttpClient:
    """Sends GET requests over one connection, and opens another one when the server may have ended it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used = 0.0

    async def get(self, path: str, patience: float = 60.0) -> str:
        """Return the body of the answer.

        Raises:
            OSError: no server listens, the status is not 200, the connection has ended, or nothing came within
                `patience` seconds.
        """
        try:
            async with asyncio.timeout(patience):
                return await self._get(path)
        except TimeoutError:
            self.close()
            raise

    async def connect(self) -> None:
        """Open a connection. Raises OSError when no server listens."""
        await self._open()

    async def _get(self, path: str) -> str:
        reader, writer = await self._open()
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n\r\n".encode())
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
            body = await reader.readexactly(int(fields.get("content-length", "0")))
        except asyncio.IncompleteReadError as error:
            self.close()
            raise ConnectionError(f"the server ended the connection instead of answering GET {path}") from error
        status = head.split(" ", 2)[1]
        if status != "200":
            raise ConnectionError(f"GET {path} was answered with {status}: {body[:500]!r}")
        self._used = monotonic()
        return body.decode()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if monotonic() - self._used > _KEPT:
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        return self._streams

    def close(self) -> None:
        """End the connection. The next request opens another one."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
