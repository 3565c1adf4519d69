"""What the HTTP transports share: reading a bounded body, and a response that stays open for what the server sends."""

import asyncio
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final

from hotclub.engine.codes import Close
from hotclub.engine.dispatch import Dispatcher
from hotclub.engine.errors import Disconnect
from hotclub.engine.protocol.base import Encoder
from hotclub.engine.protocol.messages import DisconnectPush, Push
from hotclub.engine.session import Session
from hotclub.engine.transports.base import SHUTDOWN, AsgiLine, Event, Receive, Scope, Send, told_of_shutdown

Headers = Sequence[tuple[bytes, bytes]]

NO_BUFFERING: Final[Headers] = (
    (b"x-accel-buffering", b"no"),
    (b"cache-control", b"private, no-cache, no-store, must-revalidate, max-age=0"),
    (b"pragma", b"no-cache"),
)
"""Every part of the response has to pass proxies at once."""


class HttpError(Exception):
    """The request is answered with this status, and with no stream."""

    def __init__(self, status: int, *, retry_after: int = 0) -> None:
        """`retry_after` is when to try again, in seconds; 0 for a refusal that lasts."""
        super().__init__(status)
        self.status = status
        self.retry_after = retry_after

    @property
    def headers(self) -> Headers:
        """Headers of the answer."""
        return ((b"retry-after", b"%d" % self.retry_after),) if self.retry_after else ()


async def read_body(receive: Receive, limit: int, timeout: float) -> bytes:
    """The whole body of a request.

    Raises:
        HttpError: 413 as soon as it exceeds `limit` bytes, 400 when the client leaves before its end, 408 when it has
            not come after `timeout` seconds.
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
    """The media type of a request, without parameters; "" when it names none."""
    for name, value in scope["headers"]:
        if name == b"content-type":
            text: str = value.decode("latin-1")
            return text.partition(";")[0].strip().lower()
    return ""


async def respond(send: Send, status: int, headers: Headers = (), body: bytes = b"") -> None:
    """A whole response."""
    # 204 has no body, and may not say how long it is (RFC 9110 §8.6).
    head = headers if status == HTTPStatus.NO_CONTENT else [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


class StreamLine(AsgiLine):
    """A line through the body of an HTTP response. There are no close codes, so the reason goes as a last push."""

    def __init__(self, send: Send, encoder: Encoder, close_timeout: float, suffix: Callable[[], bytes] = bytes) -> None:
        """`suffix` gives what follows each batch of messages."""
        super().__init__(send, encoder, close_timeout)
        self._suffix = suffix

    def write(self, frames: Sequence[bytes]) -> None:
        # Here and not in `chunk`: now everything that the session has been counted as sent is in these frames.
        super().write([*frames, self._suffix()])

    def chunk(self, messages: Sequence[bytes]) -> Event:
        return {"type": "http.response.body", "body": b"".join(messages), "more_body": True}

    def goodbye(self, reason: Disconnect) -> Event:
        if reason.code == Close.CONNECTION_CLOSED:
            return {"type": "http.response.body", "body": b""}
        encoder = self.encoder
        push = encoder.codec.encode_push(Push(disconnect=DisconnectPush(reason.code, reason.reason)))
        return {"type": "http.response.body", "body": encoder.frame(push)}

    async def begin(self, headers: Headers, media_type: bytes, prelude: bytes = b"") -> None:
        """Send the head of the response."""
        head = [(b"content-type", media_type), *NO_BUFFERING, *headers]
        await self._send({"type": "http.response.start", "status": 200, "headers": head})
        await self._send({"type": "http.response.body", "body": prelude, "more_body": True})


async def hold(line: StreamLine, session: Session, scope: Scope, receive: Receive) -> None:
    """Keep the response open until the client has gone, the line has ended, or the server stops."""
    server = (scope.get("extensions") or {}).get(SHUTDOWN)
    with told_of_shutdown(server, session):
        await line.until_ended(_until_gone(receive))


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def converse(dispatcher: Dispatcher, line: StreamLine, scope: Scope, receive: Receive, commands: bytes) -> None:
    """Take the commands that opened the stream, and hold it."""
    dispatcher.receive(commands)
    await hold(line, dispatcher.session, scope, receive)
