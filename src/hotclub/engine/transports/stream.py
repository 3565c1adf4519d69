"""What the HTTP transports share: a bounded request body, and a response that stays open for the server's messages."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from typing import Final

from hotclub.engine.codes import Close
from hotclub.engine.dispatch import Dispatcher
from hotclub.engine.errors import Disconnect
from hotclub.engine.port import Handshake
from hotclub.engine.protocol.base import Encoder
from hotclub.engine.protocol.messages import DisconnectPush, Push
from hotclub.engine.transports.base import (
    SHUTDOWN,
    AsgiLine,
    Event,
    Host,
    Receive,
    Scope,
    Send,
    counted,
    told_of_shutdown,
)
from hotclub.engine.transports.entrance import Crowded, Place

Headers = Sequence[tuple[bytes, bytes]]

NO_BUFFERING: Final[Headers] = (
    (b"x-accel-buffering", b"no"),
    (b"cache-control", b"private, no-cache, no-store, must-revalidate, max-age=0"),
    (b"pragma", b"no-cache"),
)
"""Headers that make proxies pass every part of the response on at once."""


class HttpError(Exception):
    """The request is answered with this status instead of a stream."""

    def __init__(self, status: int, *, retry_after: int = 0) -> None:
        """`retry_after` is the number of seconds after which to try again; 0 for a refusal that lasts."""
        super().__init__(status)
        self.status = status
        self.retry_after = retry_after

    @property
    def headers(self) -> Headers:
        """Headers of the answer."""
        return ((b"retry-after", b"%d" % self.retry_after),) if self.retry_after else ()


async def read_body(receive: Receive, limit: int, timeout: float) -> bytes:
    """Read the whole body of a request.

    Args:
        receive: the request's ASGI `receive`.
        limit: the most bytes that the body may have.
        timeout: the most seconds that the body may take.

    Raises:
        HttpError: 413 as soon as the body exceeds the limit, 400 when the client leaves before the end of the body, 408
            when the time is over.
    """
    try:
        async with asyncio.timeout(timeout):
            return await _read_body(receive, limit)
    except TimeoutError:
        raise HttpError(408) from None


async def _read_body(receive: Receive, limit: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise HttpError(400)
        body += message.get("body", b"")
        if len(body) > limit:
            raise HttpError(413)
        if not message.get("more_body", False):
            return bytes(body)


def content_type(scope: Scope) -> str:
    """The media type of a request, without parameters; "" for a request without one."""
    for name, value in scope["headers"]:
        if name == b"content-type":
            text: str = value.decode("latin-1")
            return text.partition(";")[0].strip().lower()
    return ""


async def respond(send: Send, status: int, headers: Headers = (), body: bytes = b"") -> None:
    """Send a whole response."""
    # A 204 response must not say how long its body is (RFC 9110 §8.6).
    head = headers if status == HTTPStatus.NO_CONTENT else [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


@contextlib.contextmanager
def admitted(host: Host, handshake: Handshake) -> Iterator[Place]:
    """`counted` for a request.

    Raises:
        HttpError: 503, too many transports wait for the answer to their connect command.
    """
    with contextlib.ExitStack() as stack:
        try:
            place = stack.enter_context(counted(host, handshake))
        except Crowded as crowded:
            raise HttpError(503, retry_after=crowded.retry_after) from None
        yield place


class StreamLine(AsgiLine):
    """A line through the body of an HTTP response. HTTP has no close codes, so the last push tells the reason."""

    def __init__(self, send: Send, encoder: Encoder, close_timeout: float, suffix: Callable[[], bytes] = bytes) -> None:
        """`suffix` gives the bytes that follow each batch of messages."""
        super().__init__(send, encoder, close_timeout)
        self._suffix = suffix

    def write(self, frames: Sequence[bytes]) -> None:
        """See `Sink.write`."""
        # Not in `chunk`, which runs later: the suffix tells positions, and these frames reach exactly up to them now.
        super().write([*frames, self._suffix()])

    def chunk(self, messages: Sequence[bytes]) -> Event:
        """See `AsgiLine.chunk`."""
        return {"type": "http.response.body", "body": b"".join(messages), "more_body": True}

    def goodbye(self, reason: Disconnect) -> Event:
        """See `AsgiLine.goodbye`."""
        if reason.code == Close.CONNECTION_CLOSED:
            return {"type": "http.response.body", "body": b""}
        encoder = self.encoder
        push = encoder.codec.encode_push(Push(disconnect=DisconnectPush(reason.code, reason.reason)))
        return {"type": "http.response.body", "body": encoder.frame(push)}

    async def begin(self, headers: Headers, media_type: bytes, prelude: bytes = b"") -> None:
        """Send the head of the response, and `prelude` as the beginning of its body."""
        head = [(b"content-type", media_type), *NO_BUFFERING, *headers]
        await self._send({"type": "http.response.start", "status": 200, "headers": head})
        await self._send({"type": "http.response.body", "body": prelude, "more_body": True})


async def hold(line: StreamLine, dispatcher: Dispatcher, scope: Scope, receive: Receive) -> None:
    """Keep the response open until the client has gone or the line has ended; a server that stops ends the line."""
    server = (scope.get("extensions") or {}).get(SHUTDOWN)
    with told_of_shutdown(server, dispatcher):
        await line.until_ended(_until_gone(receive))


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def converse(dispatcher: Dispatcher, line: StreamLine, scope: Scope, receive: Receive, commands: bytes) -> None:
    """Take the commands that opened the stream, and keep the response open."""
    dispatcher.receive(commands)
    await hold(line, dispatcher, scope, receive)
