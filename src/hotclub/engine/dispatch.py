"""The inbound half of a connection: decodes frames, runs the commands in order, and turns failures into replies.

Reading does not wait for handlers, so a pong counts at once and the rate limit applies before a command is queued. The
commands of a connection run in a task that exists while there are any. A slow command delays its own connection alone.
"""

import asyncio
import logging
from typing import Final

from hotclub.engine.codes import MESSAGES, Close, Code
from hotclub.engine.commands.table import HANDLERS
from hotclub.engine.errors import Disconnect, IdempotencyConflict, Refused, UnrecoverablePosition
from hotclub.engine.failures import is_stop
from hotclub.engine.limits import TokenBucket
from hotclub.engine.observe import logger
from hotclub.engine.protocol.connection import Event, State
from hotclub.engine.protocol.malformed import Malformed
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

_REPORTED: Final[dict[int, int]] = {
    Code.LIMIT_EXCEEDED: logging.WARNING,
    Code.BAD_REQUEST: logging.WARNING,
    Code.TOO_MANY_REQUESTS: logging.WARNING,
    Code.METHOD_NOT_FOUND: logging.INFO,
}
"""The refusals that go to the log, with their levels. Of one connection only the first is logged."""
_TOO_MANY: Final = "too many commands at once"
_ENDS: Final[dict[int, Close]] = {
    Code.PERMISSION_DENIED: Close.PERMISSION_DENIED,
    Code.TOKEN_EXPIRED: Close.CONNECTION_EXPIRED,
    Code.EXPIRED: Close.CONNECTION_EXPIRED,
    Code.TOO_MANY_REQUESTS: Close.TOO_MANY_REQUESTS,
}
"""How a refusal ends a unidirectional connection, which has no replies (protocol §6.2)."""


class Dispatcher:
    """Runs the commands that arrive on one connection."""

    __slots__ = ("_bucket", "_codec", "_leaving", "_limits", "_queue", "_rejected", "_reported", "_worker", "session")

    def __init__(self, session: Session) -> None:
        self.session = session
        self._codec = session.codec
        self._limits = session.limits
        # The queue is short, and an empty deque would take 760 bytes of every idle connection.
        self._queue: list[tuple[int, Request | Malformed]] = []
        self._worker: asyncio.Task[None] | None = None
        self._bucket = TokenBucket(self._limits.commands_rate, self._limits.commands_burst, session.clock())
        self._rejected = 0
        self._reported = False
        self._leaving = False

    def receive(self, frame: bytes) -> None:
        """Take a frame as the transport read it. A frame whose commands cannot be told apart ends the connection. After
        `wind_up` it does nothing."""
        if self._leaving:
            return
        try:
            for command in self._codec.decode(frame, self._limits):
                if self.session.closed:
                    return
                self._accept(command)
        except Disconnect as reason:
            self.session.close(reason)
            return
        self._start()

    def _accept(self, command: Command | Malformed) -> None:
        request = command if isinstance(command, Malformed) else request_of(command)
        if request is None:
            if not command.id:
                # A pong without a ping is no error, but counts as a command against a flood.
                if not self.session.pulse.pong(self.session) and not self._bucket.take(self.session.clock()):
                    self._reject(0)
                return
            request = Malformed(id=command.id, why="a command names no method")
        if not command.id and not isinstance(request, SendCommand | Malformed):
            # The client would wait for a reply that cannot name the command.
            raise Disconnect(Close.BAD_REQUEST, why="a command has no id")
        if self.session.state is State.NEW and not self._queue and not _connects(request):
            raise Disconnect(Close.BAD_REQUEST, why="the first command is not connect")
        if not self._bucket.take(self.session.clock()):
            self._reject(command.id)
            return
        self._count(request)
        if len(self._queue) >= self._limits.pending_commands:
            raise Disconnect(Close.TOO_MANY_REQUESTS, why="too many commands wait for their answers")
        self._queue.append((command.id, request))

    def _count(self, request: Request | Malformed) -> None:
        if not isinstance(request, Malformed):
            # Counted down and not reset: even a flood has some commands within the rate, and must still reach the
            # limit.
            self._rejected = max(0, self._rejected - 1)
            return
        self._rejected += 1
        if self._rejected > self._limits.rejected_commands:
            raise Disconnect(Close.TOO_MANY_REQUESTS, why="too many malformed commands")

    def _reject(self, command: int) -> None:
        self._rejected += 1
        if self._rejected > self._limits.rejected_commands or self.session.state is not State.CONNECTED:
            raise Disconnect(Close.TOO_MANY_REQUESTS, why=_TOO_MANY)
        self._fail(command, Refused(Code.TOO_MANY_REQUESTS, why=_TOO_MANY))

    def ignore(self) -> None:
        """Take a message that has no meaning on a unidirectional connection. A flood of them ends the connection."""
        if not self._bucket.take(self.session.clock()):
            self._fail(0, Refused(Code.TOO_MANY_REQUESTS, why=_TOO_MANY))

    def submit(self, command: int, request: Request) -> None:
        """Take a request that the transport made itself. No limit applies.

        Args:
            command: the id for the reply; an error with the id 0 is not sent.
            request: the request.
        """
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
        if self._leaving:
            self.session.close(Disconnect(Close.SHUTDOWN))

    def wind_up(self) -> None:
        """Take no more commands, answer those that were taken, and end the connection with 3001. A second call ends
        the connection at once."""
        if self._worker is None or self._leaving:
            self.session.close(Disconnect(Close.SHUTDOWN))
        self._leaving = True

    async def _handle(self, command: int, request: Request | Malformed) -> None:
        session = self.session
        session.channels.counters.commands += 1
        session.unanswered = command
        try:
            if not _connects(request):
                session.advance(Event.COMMAND)
            await HANDLERS[type(request)](session, command, request)
        except Disconnect as reason:
            session.close(reason)
        except Refused as error:
            self._fail(session.unanswered, error)
        except UnrecoverablePosition:
            self._fail(session.unanswered, Refused(Code.UNRECOVERABLE_POSITION))
        except IdempotencyConflict as conflict:
            self._fail(session.unanswered, Refused(Code.BAD_REQUEST, str(conflict)))
        except BaseException as error:
            if is_stop(error):
                raise
            logger.exception("The command %s failed", type(request).__name__)
            if session.state is State.CONNECTING:
                session.close(Disconnect(Close.INTERNAL_ERROR))
            else:
                self._fail(session.unanswered, Refused(Code.INTERNAL_ERROR))

    def _fail(self, command: int, error: Refused) -> None:
        self.session.channels.counters.refused[error.code] += 1
        end = self._end_for(error) if self.session.kind.unidirectional else None
        if end is None or not (end.accuses or end.why):
            self._report(error)
        if end is not None:
            self.session.close(end)
            return
        if command and not self.session.closed:
            explains = self.session.application.explains and error.message == MESSAGES.get(error.code)
            message = (explains and error.why) or error.message
            self.session.reply(Reply(command, error=ErrorResult(error.code, message, error.temporary)))

    def _end_for(self, error: Refused) -> Disconnect:
        return Disconnect(_ENDS.get(error.code, Close.INTERNAL_ERROR), why=error.why)

    def _report(self, error: Refused) -> None:
        level = _REPORTED.get(error.code)
        if self._reported or level is None:
            return
        self._reported = True
        # The code's message and not the error's own, which may repeat the payload.
        reason = Refused(error.code).message
        self.session.report("Refused a command", level=level, code=error.code, reason=reason, why=error.why)

    async def stop(self) -> None:
        """Drop the waiting commands, cancel the running handler, and wait until it has undone its steps. Idempotent."""
        self._queue.clear()
        worker = self._worker
        if worker is not None:
            worker.cancel()
            await asyncio.wait((worker,))


def _connects(request: Request | Malformed) -> bool:
    return isinstance(request, ConnectCommand) or (isinstance(request, Malformed) and request.connects)
