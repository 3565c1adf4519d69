"""The inbound half of a connection: frames in, commands one after the other, failures turned into answers.

Reading never waits for a handler: a pong is seen at once, and a flood is met before it is queued. The commands of one
connection run in order, in a task that lives only while there are any; a slow one holds up its own connection alone.
"""

import asyncio
from typing import Final

from hotclub.engine.codes import Close, Code
from hotclub.engine.commands.table import HANDLERS
from hotclub.engine.errors import Disconnect, IdempotencyConflict, Refused, UnrecoverablePosition
from hotclub.engine.limits import TokenBucket
from hotclub.engine.observe import logger
from hotclub.engine.protocol.connection import Event, State
from hotclub.engine.protocol.messages import (
    Command,
    ConnectCommand,
    ErrorResult,
    Reply,
    Request,
    SendCommand,
    request_of,
)
from hotclub.engine.session import Session

_REPORTED: Final[frozenset[int]] = frozenset({Code.LIMIT_EXCEEDED, Code.BAD_REQUEST, Code.TOO_MANY_REQUESTS})
"""Refusals that say something about the client; the first of a connection is put on the log."""
_ENDS: Final[dict[int, Close]] = {
    Code.PERMISSION_DENIED: Close.PERMISSION_DENIED,
    Code.TOKEN_EXPIRED: Close.CONNECTION_EXPIRED,
    Code.EXPIRED: Close.CONNECTION_EXPIRED,
    Code.TOO_MANY_REQUESTS: Close.TOO_MANY_REQUESTS,
}
"""How a connection ends that cannot be told of an error (protocol §6.2)."""


class Dispatcher:
    """Feeds one session with the frames of its transport."""

    __slots__ = ("_bucket", "_codec", "_limits", "_queue", "_rejected", "_reported", "_worker", "session")

    def __init__(self, session: Session) -> None:
        self.session = session
        self._codec = session.codec
        self._limits = session.limits
        # A list, though it is a queue: short, and an empty deque weighs 760 bytes on every idle connection.
        self._queue: list[tuple[int, Request]] = []
        self._worker: asyncio.Task[None] | None = None
        self._bucket = TokenBucket(self._limits.commands_rate, self._limits.commands_burst, session.clock())
        self._rejected = 0
        self._reported = False

    def receive(self, frame: bytes) -> None:
        """Take a frame as it came; what is wrong with it ends the connection."""
        try:
            for command in self._codec.decode(frame, self._limits):
                if self.session.closed:
                    return
                self._accept(command)
        except Disconnect as reason:
            self.session.close(reason)
            return
        self._start()

    def _accept(self, command: Command) -> None:
        request = request_of(command)
        if request is None:
            if command.id:
                raise Disconnect(Close.BAD_REQUEST)
            # One that answers no ping is no error, but thousands of them are a flood.
            if not self.session.pulse.pong(self.session) and not self._bucket.take(self.session.clock()):
                self._reject(0)
            return
        if not command.id and not isinstance(request, SendCommand):
            raise Disconnect(Close.BAD_REQUEST)
        if self.session.state is State.NEW and not self._queue and not isinstance(request, ConnectCommand):
            raise Disconnect(Close.BAD_REQUEST)
        if not self._bucket.take(self.session.clock()):
            self._reject(command.id)
            return
        # It fades and does not vanish: whatever the rate of a flood, a few of its commands are always taken.
        self._rejected = max(0, self._rejected - 1)
        if len(self._queue) >= self._limits.pending_commands:
            raise Disconnect(Close.TOO_MANY_REQUESTS)
        self._queue.append((command.id, request))

    def _reject(self, command: int) -> None:
        self._rejected += 1
        if self._rejected > self._limits.rejected_commands or self.session.state is not State.CONNECTED:
            raise Disconnect(Close.TOO_MANY_REQUESTS)
        self._fail(command, Refused(Code.TOO_MANY_REQUESTS))

    def ignore(self) -> None:
        """Take a message that means nothing here; a flood of them ends the connection."""
        if not self._bucket.take(self.session.clock()):
            self._fail(0, Refused(Code.TOO_MANY_REQUESTS))

    def submit(self, command: int, request: Request) -> None:
        """Take a request that came in another shape than a command."""
        self._queue.append((command, request))
        self._start()

    def _start(self) -> None:
        if self._queue and self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        try:
            while self._queue and not self.session.closed:
                await self._handle(*self._queue.pop(0))
        finally:
            self._worker = None

    async def _handle(self, command: int, request: Request) -> None:
        session = self.session
        session.channels.counters.commands += 1
        try:
            if not isinstance(request, ConnectCommand):
                session.advance(Event.COMMAND)
            await HANDLERS[type(request)](session, command, request)
        except Disconnect as reason:
            session.close(reason)
        except Refused as error:
            self._fail(command, error)
        except UnrecoverablePosition:
            self._fail(command, Refused(Code.UNRECOVERABLE_POSITION))
        except IdempotencyConflict as conflict:
            self._fail(command, Refused(Code.BAD_REQUEST, str(conflict)))
        except Exception:  # noqa: BLE001 - a hook may raise anything; it costs its own command only
            logger.exception("The command %s failed", type(request).__name__)
            if session.state is State.CONNECTING:
                session.close(Disconnect(Close.INTERNAL_ERROR))
            else:
                self._fail(command, Refused(Code.INTERNAL_ERROR))

    def _fail(self, command: int, error: Refused) -> None:
        self.session.channels.counters.refused[error.code] += 1
        end = Disconnect(_ENDS.get(error.code, Close.INTERNAL_ERROR)) if self.session.kind.unidirectional else None
        if not self._reported and error.code in _REPORTED and not (end is not None and end.accuses):
            self._reported = True
            # Not the error's own words: they may repeat what was sent.
            self.session.report("Refused a command", code=error.code, reason=Refused(error.code).message)
        if end is not None:
            self.session.close(end)
            return
        if command and not self.session.closed:
            self.session.reply(Reply(command, error=ErrorResult(error.code, error.message, error.temporary)))

    async def stop(self) -> None:
        """End the work on this connection: a handler under way is cancelled and has undone its part on return."""
        self._queue.clear()
        worker = self._worker
        if worker is not None:
            worker.cancel()
            await asyncio.wait((worker,))
