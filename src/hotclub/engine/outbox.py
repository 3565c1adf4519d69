"""The bounded outbox of a connection, and the flush that empties all of them once per turn of the loop.

A frame is appended, never awaited: a slow reader costs its own connection and delays no other. Everything that is
appended in one turn of the event loop leaves in one write per connection.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from hotclub.engine.failures import surviving
from hotclub.engine.observe import logger
from hotclub.engine.turns import Turn

_LOOK_AFTER: Final = 16
"""How many outboxes are emptied between two looks at the clock."""


class Sink(Protocol):
    """The writing end of a transport. Neither method blocks. An exception ends the connection."""

    def write(self, frames: Sequence[bytes]) -> None:
        """Take frames, which leave this process in this order."""
        ...

    def buffered(self) -> int:
        """Bytes taken by `write` that have not left this process."""
        ...


class Flusher:
    """Empties the outboxes that have something to write, at the end of the event loop's turn.

    Very many outboxes take several turns. Whatever is appended meanwhile leaves with the rest of its outbox, in order.
    """

    __slots__ = ("_dirty", "_schedule")

    def __init__(self, schedule: Callable[[Callable[[], None]], object]) -> None:
        """`schedule` runs a function at the end of the turn, as `loop.call_soon` does."""
        self._schedule = schedule
        self._dirty: deque[Outbox] = deque()

    def add(self, outbox: "Outbox") -> None:
        """Have this outbox flushed at the end of the turn."""
        if not self._dirty:
            self._schedule(self.flush)
        self._dirty.append(outbox)

    def flush(self) -> None:
        """Empty the outboxes that have something to write, as many as one turn reaches, and come back for the rest."""
        dirty, turn = self._dirty, Turn()
        for number in range(1, len(dirty) + 1):
            dirty.popleft().flush()  # raises nothing, so no outbox waits behind one that is broken
            if not number % _LOOK_AFTER and turn.over:
                break
        if dirty:
            self._schedule(self.flush)


class Outbox:
    """Frames on their way to one connection.

    Nothing here raises: a sink that fails ends its own connection, and the outboxes behind it are flushed all the same.
    """

    __slots__ = ("_flusher", "_frames", "_limit", "_on_end", "_pending", "_sink", "_unread", "closed", "failed")

    def __init__(self, sink: Sink, flusher: Flusher, limit: int, on_end: Callable[[], None]) -> None:
        """An empty outbox.

        Args:
            sink: the transport.
            flusher: flushes this outbox at the end of the turn.
            limit: bytes, unread by the peer and unwritten together.
            on_end: called once, when the reader is too slow or the sink has `failed`. The outbox is closed then.
        """
        self._sink = sink
        self._flusher = flusher
        self._limit = limit
        self._on_end = on_end
        self._frames: list[bytes] = []
        self._pending = 0
        # As of the last look: asking the transport on every publication would cost more than the publication.
        self._unread = 0
        self.closed = False
        self.failed = False
        """Whether the sink has raised an exception."""

    def has_room(self, limit: int) -> bool:
        """Whether less than `limit` bytes wait to leave this process."""
        if self._pending + self._unread <= limit:
            return True
        try:
            self._unread = self._sink.buffered()
        except BaseException as error:  # noqa: BLE001 - a broken transport may raise anything
            self._fail(error)
            return False
        return self._pending + self._unread <= limit

    def push(self, frame: bytes) -> None:
        """Append a frame; a closed outbox takes none."""
        if self.closed:
            return
        if not self._frames:
            self._flusher.add(self)
        self._frames.append(frame)
        self._pending += len(frame)
        if self._pending > self._limit:
            self.flush()

    def flush(self) -> None:
        """Hand everything to the sink, or close the outbox of a reader that is too slow.

        One burst may exceed the limit. A reader that still has bytes of an earlier burst unread may not exceed it.
        """
        if not self._frames or self.closed:
            return
        try:
            self._unread = self._sink.buffered()
            if self._unread and self._unread + self._pending > self._limit:
                self._end()
                return
            frames, self._frames, self._pending = self._frames, [], 0
            self._sink.write(frames)
        except BaseException as error:  # noqa: BLE001 - a broken transport may raise anything
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise error
        logger.error("A transport failed; its connection is ended", exc_info=error)
        self.failed = True
        self._end()

    def _end(self) -> None:
        if self.closed:
            return
        self.close()
        with surviving("A connection was not wholly ended"):
            self._on_end()

    def close(self) -> None:
        """Forget the frames that are not written yet, and take no more. Idempotent."""
        self.closed = True
        self._frames.clear()
        self._pending = 0
