"""Many connections to one server, which are opened and counted together."""

import asyncio
import random
from array import array
from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from functools import partial
from time import perf_counter
from typing import Final

from benchmarks.connection import Connection, Memory, Refused
from benchmarks.dialects import Dialect

_OPENING: Final = 128
"""Most handshakes at the same time."""
_LONGEST: Final = 120.0
"""Seconds after which the clients of a returning crowd give up."""
_KEY: Final = b64encode(b"one key for all!").decode()


def _same(connection: Connection) -> Connection:
    return connection


class Return:
    """How a crowd came back: the seconds after which each client was subscribed, and how many were turned away."""

    def __init__(self) -> None:
        self.waits: array[float] = array("d")
        self.refusals = 0
        self.without_hint = 0
        """How many of the `refusals` told no time to return."""

    def turned_away(self, retry_after: int | None) -> float:
        """Count a refusal, and return the seconds until the client comes again."""
        self.refusals += 1
        if retry_after is None:
            self.without_hint += 1
            return random.uniform(0.5, 1.5)  # noqa: S311 - spreads load
        return retry_after


class Crowd:
    """The subscribers of one channel.

    `published` counts the messages that were sent to the channel, and `deliveries` the publications that arrived at all
    connections, both since the crowd was made.
    """

    def __init__(self, dialect: Dialect, port: int) -> None:
        self.dialect = dialect
        self.memory = Memory()
        self.connections: list[Connection] = []
        self.published = 0
        self.deliveries = 0
        self.closed: Counter[int] = Counter()
        """Number of connections that the server has ended, by close code."""
        self.refusals: list[bytes] = []
        """Answers that refuse a command."""
        self.latencies: array[float] | None = None
        """Seconds from `sent_at` to each read; None: they are not measured."""
        self.sent_at = 0.0
        self._port = port
        self._goal = 0
        self._reached: asyncio.Future[bool] | None = None

    async def open(self, count: int, session_keys: Sequence[str] = ()) -> float:
        """Open and subscribe `count` connections and return the seconds that this took.

        `session_keys` holds a Django session key for each connection; without keys the connections are anonymous.

        Raises:
            Refused: at least one connection failed.
        """
        slots = asyncio.Semaphore(_OPENING)
        started = perf_counter()
        try:
            async with asyncio.TaskGroup() as tasks:
                for index in range(count):
                    tasks.create_task(self._open_one(slots, session_keys[index] if session_keys else ""))
        except* (OSError, Refused) as group:
            failures = group.exceptions
        else:
            return perf_counter() - started
        raise Refused(f"{len(failures)} of {count} connections failed, the first with {failures[0]!r}")

    async def _open_one(self, slots: asyncio.Semaphore, session_key: str) -> None:
        async with slots:
            request, first = self._request(session_key), self.published
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(self, request, first), "127.0.0.1", self._port
            )
            self.connections.append(connection)
            async with asyncio.timeout(60):
                await connection.ready()

    async def return_together(self, count: int) -> "Return":
        """Have `count` connections come at the same time, and come again as they are told until all are subscribed.

        A client that is not told a time to return waits for about a second.

        Clients that are not subscribed after two minutes give up.

        Raises:
            Refused: a client is told to stay away.
        """
        returned, request = Return(), self._request("")
        coming = [asyncio.create_task(self._return_one(returned, request, perf_counter())) for _ in range(count)]
        try:
            async with asyncio.timeout(_LONGEST):
                await asyncio.gather(*coming)
        except TimeoutError:
            pass
        finally:
            for client in coming:
                client.cancel()
            await asyncio.gather(*coming, return_exceptions=True)
        return returned

    async def _return_one(self, returned: "Return", request: bytes, started: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection = Connection(self, request, self.published)
            try:
                await loop.create_connection(partial(_same, connection), "127.0.0.1", self._port)
                await connection.ready()
            except Refused as refused:
                if refused.final:
                    raise
                pause = returned.turned_away(refused.retry_after)
            except OSError:
                pause = returned.turned_away(None)
            else:
                self.connections.append(connection)
                returned.waits.append(perf_counter() - started)
                return
            finally:
                if connection not in self.connections[-1:]:
                    connection.abort()
            await asyncio.sleep(pause)

    def _request(self, session_key: str) -> bytes:
        host = f"127.0.0.1:{self._port}"
        lines = [
            f"GET {self.dialect.path} HTTP/1.1",
            f"Host: {host}",
            f"Origin: http://{host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {_KEY}",
            "Sec-WebSocket-Version: 13",
            *([f"Cookie: sessionid={session_key}"] if session_key else []),
        ]
        return "\r\n".join([*lines, "", ""]).encode()

    def delivered(self, count: int, now: float) -> None:
        """Count publications; see `Audience`."""
        self.deliveries += count
        if self.latencies is not None:
            self.latencies.append(now - self.sent_at)
        if self.deliveries >= self._goal:
            self._wake(True)

    def lost(self, connection: Connection) -> None:
        """Count a lost connection; see `Audience`."""
        self.closed[connection.close_code] += 1
        self._wake(False)

    def refused(self, answer: bytes) -> None:
        """Keep a refusal; see `Audience`."""
        self.refusals.append(answer)
        self._wake(False)

    def _wake(self, reached: bool) -> None:
        if self._reached is not None and not self._reached.done():
            self._reached.set_result(reached)

    async def reach(self, deliveries: int, patience: float) -> bool:
        """Wait until `deliveries` has reached this number.

        Return False when a connection is lost or a command refused before, and after `patience` seconds.
        """
        if self.deliveries >= deliveries:
            return True
        if self.broken:
            return False
        self._goal = deliveries
        self._reached = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(patience):
                return await self._reached
        except TimeoutError:
            return False
        finally:
            self._reached, self._goal = None, 0

    @property
    def broken(self) -> bool:
        """Whether a connection was lost or a command was refused."""
        return bool(self.closed or self.refusals)

    @property
    def lost_deliveries(self) -> int:
        """Publications that have not arrived, counted over all connections."""
        return sum(connection.ledger.lost(self.published) for connection in self.connections)

    @property
    def duplicates(self) -> int:
        """Publications that arrived again, counted over all connections."""
        return sum(connection.ledger.duplicates for connection in self.connections)

    @property
    def reordered(self) -> int:
        """Publications that arrived after a later one, counted over all connections."""
        return sum(connection.ledger.reordered for connection in self.connections)

    def close(self) -> None:
        """End every connection at once."""
        for connection in self.connections:
            connection.abort()
