"""The way between a test's connection and its session: requests out, replies and pushes in, without a socket."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw

from hotclub.engine.dispatch import Dispatcher
from hotclub.engine.errors import Disconnect, Refused
from hotclub.engine.port import Handshake
from hotclub.engine.protocol.messages import ConnectCommand, ErrorResult, PingCommand, Push
from hotclub.engine.session import Kind, Session
from hotclub.testing.inbox import Inbox
from hotclub.testing.site import TIMEOUT, Site

Answer = dict[str, Raw]
"""A reply by its parts: the result or the error as JSON."""

_PONG: Final = b"{}"
_NOTHING: Final = Raw(b"{}")
"""The result of a command that has none to tell of."""


class Wire:
    """The client's end of one connection, which is also the session's `Line`."""

    def __init__(self, site: Site, handshake: Handshake, inbox: Inbox, on_end: Callable[[], None]) -> None:
        """Pushes go to `inbox`. `on_end` is called when the server has ended the connection."""
        node = site.node
        self.encoder = node.encoders.json_messages
        self.session = Session(
            node.channels, node.flusher, node.pulse, self, handshake, kind=Kind(version=node.version)
        )
        self._site = site
        self._inbox = inbox
        self._on_end = on_end
        self._dispatcher = Dispatcher(self.session)
        self._replies: dict[int, asyncio.Future[Answer]] = {}
        self._last = 0

    async def connect(self, request: ConnectCommand) -> Raw:
        """Send the connect command, and return its result as JSON. Raises as `command`."""
        number, reply = self._expect_reply()
        self._dispatcher.submit(number, request)
        return await self._result(reply, "connect")

    async def command(self, method: str, fields: dict[str, Any]) -> Raw:
        """Send a command as a frame, and return its result as JSON.

        Raises:
            Refused: the server answered with an error.
            Disconnect: the connection has ended.
            AssertionError: there was no answer in time.
        """
        number, reply = self._expect_reply()
        self._dispatcher.receive(msgspec.json.encode({"id": number, method: fields}))
        return await self._result(reply, method)

    async def ping(self) -> None:
        """Return when everything that was sent so far has arrived: a ping's answer goes the way of every message."""
        number, reply = self._expect_reply()
        # Not through `receive`: what a test waits for counts against no limit.
        self._dispatcher.submit(number, PingCommand())
        await asyncio.wait((reply,))
        self._replies.pop(number, None)

    async def hang_up(self) -> None:
        """End the connection from the client's side. Returns when the hooks that this calls are done."""
        self.session.lost(goodbye=True)
        await self._dispatcher.stop()
        await self.session.end()

    def _expect_reply(self) -> tuple[int, asyncio.Future[Answer]]:
        self._last += 1
        reply = self._replies[self._last] = self._site.loop.create_future()
        return self._last, reply

    async def _result(self, reply: asyncio.Future[Answer], method: str) -> Raw:
        try:
            async with asyncio.timeout(TIMEOUT):
                answer = await reply
        except TimeoutError:
            raise AssertionError(f"no answer to {method} within {TIMEOUT:g} s: does a hook hang?") from None
        if "error" in answer:
            error = msgspec.json.decode(answer["error"], type=ErrorResult)
            raise Refused(error.code, error.message, temporary=error.temporary)
        return answer.get(method, _NOTHING)

    # The session's line

    def write(self, frames: Sequence[bytes]) -> None:
        """See `Sink.write`: every frame is one message."""
        for message in frames:
            self._take(message)

    def buffered(self) -> int:
        """See `Sink.buffered`: a test reads at once."""
        return 0

    def close(self, reason: Disconnect) -> None:
        """See `Line.close`."""
        self._inbox.end(reason)
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(Disconnect(reason.code, reason.reason))
                # Nobody may be waiting for it any more.
                reply.exception()
        self._replies.clear()
        self._on_end()

    def _take(self, message: bytes) -> None:
        if message == _PONG:
            self._dispatcher.receive(_PONG)
            return
        parts = msgspec.json.decode(message, type=dict[str, Raw])
        if "push" in parts:
            self._inbox.put(msgspec.json.decode(parts["push"], type=Push))
            return
        reply = self._replies.pop(msgspec.json.decode(parts["id"], type=int), None)
        if reply is not None and not reply.done():
            reply.set_result(parts)
