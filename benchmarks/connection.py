"""One connection of the load generator.

In a fan-out all connections read the same bytes. So only the first connection that reads a chunk parses it. The others
compare their chunk with it, and parse only a chunk that differs, which keeps the load generator fast.
"""

import asyncio
import re
from collections.abc import Sequence
from itertools import pairwise
from time import perf_counter
from typing import Final, Protocol, cast

from benchmarks.dialects import Dialect
from benchmarks.frames import CLOSE, PING, PONG, TEXT, client_frame, split
from benchmarks.ledger import Ledger
from benchmarks.payload import SEQUENCE

_REMEMBERED: Final = 256
_RETRY: Final = re.compile(rb"(?i)\r\nretry-after: *(\d+)")
_FINAL: Final = (7, 9)
"""Close codes from 3500 to 3999 and from 4500 to 4999, in units of 500: the client has to stay away."""
_HEAD: Final = 96
"""Length of a chunk's beginning that contains its first sequence number."""


class Refused(Exception):
    """The server ended the handshake or answered a command with an error.

    `retry_after` is the number of seconds after which the client may come back, None if the server did not say it.
    `final` tells that the client has to stay away.
    """

    def __init__(self, message: str, *, retry_after: int | None = None, final: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.final = final


class Chunk:
    """Bytes of whole frames, which hold `count` publications numbered from `first` on and nothing else."""

    __slots__ = ("count", "data", "first")

    def __init__(self, data: bytes, first: int, count: int) -> None:
        self.data = data
        self.first = first
        self.count = count


class Memory:
    """The chunks that connections have parsed lately, by length and beginning."""

    def __init__(self) -> None:
        self._chunks: dict[tuple[int, bytes], Chunk] = {}

    def find(self, data: bytes) -> Chunk | None:
        """Return the chunk with these bytes, or None."""
        chunk = self._chunks.get((len(data), data[:_HEAD]))
        return chunk if chunk is not None and chunk.data == data else None

    def add(self, chunk: Chunk) -> None:
        """Remember the chunk, and forget all others when there are too many."""
        if len(self._chunks) >= _REMEMBERED:
            self._chunks.clear()
        self._chunks[len(chunk.data), chunk.data[:_HEAD]] = chunk


class Audience(Protocol):
    """What a connection reports to. Each method is called once per event, in the event loop's thread."""

    dialect: Dialect
    memory: Memory

    def delivered(self, count: int, now: float) -> None:
        """`count` publications were read at the time `now` of `perf_counter`."""

    def lost(self, connection: "Connection") -> None:
        """The server has ended a connection that was ready."""

    def refused(self, answer: bytes) -> None:
        """The server has refused a command of a connection that was ready."""


class Connection(asyncio.Protocol):
    """Connects, subscribes, answers pings, and enters the publications into its ledger."""

    __slots__ = ("_audience", "_ready", "_request", "_rest", "_upgraded", "close_code", "ledger", "transport")

    def __init__(self, audience: Audience, request: bytes, first: int) -> None:
        """`request` is the HTTP request of the handshake, and `first` the number of the next publication."""
        self._audience = audience
        self._request = request
        self._rest = b""
        self._upgraded = False
        self._ready: asyncio.Future[None] | None = asyncio.get_running_loop().create_future()
        self.ledger = Ledger(first)
        self.close_code = 1006
        self.transport: asyncio.Transport | None = None

    async def ready(self) -> None:
        """Wait until the connection is subscribed.

        Raises:
            Refused: the server has refused the connection or the subscription.
        """
        if self._ready is not None:
            await self._ready

    def write(self, data: bytes) -> None:
        """Send bytes. The connection must be open."""
        assert self.transport is not None
        self.transport.write(data)

    def abort(self) -> None:
        """End the connection at once. `Audience.lost` is not called."""
        if self.transport is not None:
            transport, self.transport = self.transport, None
            transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request of the handshake."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def connection_lost(self, _error: Exception | None) -> None:
        """Report the end of the connection, unless `abort` ended it."""
        if self.transport is None:
            return
        self.transport = None
        if self._ready is None:
            self._audience.lost(self)
        elif not self._ready.done():
            self._ready.set_exception(self._refusal())

    def _refusal(self) -> Refused:
        hint = _RETRY.search(self._rest)
        return Refused(
            f"the connection ended with {self.close_code}: {self._rest[:200]!r}",
            retry_after=int(hint[1]) if hint else None,
            final=any(self.close_code // 500 == final for final in _FINAL),
        )

    def data_received(self, data: bytes) -> None:
        """Count the publications of a chunk."""
        now = perf_counter()
        if not self._rest:
            chunk = self._audience.memory.find(data)
            if chunk is not None:
                self.ledger.take(chunk.first, chunk.count)
                self._audience.delivered(chunk.count, now)
                return
        self._read(self._rest + data, now)

    def _read(self, data: bytes, now: float) -> None:
        if not self._upgraded:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end or not self._upgrade(head):
                self._rest = head
                return
        frames, self._rest = split(data)
        texts = [payload for opcode, payload in frames if opcode == TEXT]
        publications = [int(number) for text in texts for number in SEQUENCE.findall(text)]
        plain = self._answer(frames, texts)
        if publications:
            for sequence in publications:
                self.ledger.take(sequence, 1)
            self._audience.delivered(len(publications), now)
            if plain and not self._rest and _consecutive(publications):
                self._audience.memory.add(Chunk(data, publications[0], len(publications)))

    def _upgrade(self, head: bytes) -> bool:
        if not head.startswith(b"HTTP/1.1 101"):
            if self.transport is not None:
                self.transport.abort()
            return False
        self._upgraded = True
        dialect = self._audience.dialect
        self.write(dialect.hello)
        if dialect.ready is None:
            self._become_ready()
        return True

    def _become_ready(self) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)
        self._ready = None

    def _refuse(self, answer: bytes) -> None:
        if self._ready is not None and not self._ready.done():
            final = b'"temporary":true' not in answer
            self._ready.set_exception(Refused(f"the server answered {answer[:200]!r}", final=final))
        else:
            self._audience.refused(answer)

    def _answer(self, frames: Sequence[tuple[int, bytes]], texts: Sequence[bytes]) -> bool:
        """Answer pings, a close and the replies to commands. Return whether there were publications only."""
        dialect, plain = self._audience.dialect, len(texts) == len(frames)
        for opcode, payload in frames:
            if opcode == PING:
                self.write(client_frame(payload, PONG))
            elif opcode == CLOSE:
                self.close_code = int.from_bytes(payload[:2], "big") if payload else 1005
                self.write(client_frame(payload, CLOSE))
        for text in texts:
            if dialect.ping is not None and dialect.ping in text.split(b"\n"):
                self.write(dialect.pong)
                plain = False
            if dialect.error is not None and dialect.error in text:
                self._refuse(text)
                plain = False
            if self._ready is not None and dialect.ready is not None and dialect.ready in text:
                self._become_ready()
                plain = False
        return plain


def _consecutive(numbers: Sequence[int]) -> bool:
    return numbers[-1] - numbers[0] == len(numbers) - 1 and all(
        following == number + 1 for number, following in pairwise(numbers)
    )
