"""The WebSocket transport, on the ASGI interface (ASGI WebSocket spec 2.4) and beside it.

A server that offers a `FrameWriter` takes whole frames synchronously. On any other server the same outbox drains
through ASGI `send`.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import parse_qs

from hotclub.engine.codes import MESSAGE_TOO_BIG, Close
from hotclub.engine.dispatch import Dispatcher
from hotclub.engine.errors import Disconnect
from hotclub.engine.observe import report
from hotclub.engine.port import Handshake
from hotclub.engine.protocol.base import Encoder
from hotclub.engine.session import Session
from hotclub.engine.transports.base import (
    Asgi,
    AsgiLine,
    Event,
    Host,
    Receive,
    Scope,
    Send,
    conduct,
    counted,
    new_session,
    told_of_shutdown,
)
from hotclub.engine.transports.entrance import Crowded, Place

WEBSOCKET: Final = "websocket"
WRITER: Final = "hotclub.writer"
PROTOBUF: Final = "centrifuge-protobuf"
_NO_CODE: Final = 1005
_ABNORMAL: Final = 1006
_INTERNAL_ERROR: Final = 1011
_RESTART: Final = 1012
"""The sub-protocol that selects the protobuf form. Clients of the JSON form name none (protocol §1.1)."""

_TOO_BIG: Final = Disconnect(MESSAGE_TOO_BIG, "message too big")


class FrameWriter(Protocol):
    """A server's synchronous way out. It stands in `scope["extensions"][WRITER]`."""

    on_shutdown: Callable[[], None] | None
    """What the server calls when it stops, in place of sending its own close frame. The transport sets it."""
    deflates: bool
    """Whether the peer takes compressed frames, each compressed by itself in a window of 32 KiB."""

    def expect_reader(self, seconds: float) -> None:
        """See `Stoppable.expect_reader`."""
        ...

    def write(self, frames: Sequence[bytes]) -> None:
        """Send whole frames. Does nothing while the connection is closing."""
        ...

    def buffered(self) -> int:
        """How many bytes the kernel has not taken yet."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Send a close frame, and reset the connection if the peer does not answer in time. Idempotent."""
        ...


class WriterLine:
    """A line to a server that takes whole frames."""

    def __init__(self, writer: FrameWriter, encoder: Encoder) -> None:
        self.encoder = encoder
        self.write = writer.write
        self.buffered = writer.buffered
        self._writer = writer

    def close(self, reason: Disconnect) -> None:
        """See `Line.close`."""
        self._writer.close(*_close_frame(reason))


class MessageLine(AsgiLine):
    """A line to a server that frames messages itself."""

    def chunk(self, messages: Sequence[bytes]) -> Event:
        """See `AsgiLine.chunk`."""
        codec = self.encoder.codec
        data = codec.separator.join(messages)
        if codec.binary:
            return {"type": "websocket.send", "bytes": data}
        return {"type": "websocket.send", "text": data.decode()}

    def goodbye(self, reason: Disconnect) -> Event:
        """See `AsgiLine.goodbye`."""
        code, text = _close_frame(reason)
        return {"type": "websocket.close", "code": code, "reason": text}


def _close_frame(reason: Disconnect) -> tuple[int, str]:
    """The code and the text of the close frame. A connection that merely ends has the standard's code 1001."""
    return (1001, "") if reason.code == Close.CONNECTION_CLOSED else (reason.code, reason.reason)


class Encodings(NamedTuple):
    """The encoders of one form of the protocol on a WebSocket."""

    frames: Encoder
    """For a server with a `FrameWriter`."""
    deflated: Encoder
    """For a server with a `FrameWriter`, and a peer that takes compressed frames."""
    messages: Encoder
    """For any other server."""


Conversation = Callable[[Dispatcher, Receive], Coroutine[Any, Any, None]]
"""What is done with the messages of an accepted WebSocket."""


async def serve_websocket(host: Host, scope: Scope, receive: Receive, send: Send, handshake: Handshake) -> None:
    """Run one connection from its handshake to its end.

    Cancellation ends the connection; everything is undone before this returns or raises.

    Args:
        host: the node.
        scope: the connection's ASGI scope, whose origin the caller has checked.
        receive: the connection's ASGI `receive`.
        send: the connection's ASGI `send`.
        handshake: what is known of the connection.
    """
    encoders = host.encoders
    if wants_protobuf(scope):
        form = Encodings(encoders.protobuf_frames, encoders.protobuf_deflated, encoders.protobuf_messages)
    else:
        form = Encodings(encoders.json_frames, encoders.json_deflated, encoders.json_messages)
    await serve_messages(host, WEBSOCKET, Asgi(scope, receive, send), handshake, form, _converse)


def wants_protobuf(scope: Scope) -> bool:
    """Whether the handshake selects the protobuf form, by sub-protocol or query (protocol §6b)."""
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    named = query.get("format", query.get("cf_protocol", []))
    return PROTOBUF in scope.get("subprotocols", ()) or named == ["protobuf"]


async def serve_messages(
    host: Host, transport: str, asgi: Asgi, handshake: Handshake, encoders: Encodings, converse: Conversation
) -> None:
    """Accept a WebSocket and hold the conversation, or refuse with 503 while too many connections wait.

    Args:
        host: the node.
        transport: the transport's name, for the log.
        asgi: the connection, as the server gave it.
        handshake: what is known of the connection.
        encoders: the encoders of the form of the protocol that the client speaks.
        converse: what is done with the client's messages.
    """
    await asgi.receive()
    try:
        with counted(host, handshake) as place:
            await _accept(asgi, encoders)
            await _serve(host, transport, asgi, handshake, encoders, converse, place)
    except Crowded as crowded:
        report("Refused a request", status=503, transport=transport, address=handshake.address)
        await _refuse(crowded, asgi.scope, asgi.send)


async def _accept(asgi: Asgi, encoders: Encodings) -> None:
    # A client that offers a sub-protocol drops the connection unless it is named back.
    chosen = PROTOBUF if encoders.frames.codec.binary and PROTOBUF in asgi.scope.get("subprotocols", ()) else None
    await asgi.send({"type": "websocket.accept", "subprotocol": chosen})


async def _serve(
    host: Host,
    transport: str,
    asgi: Asgi,
    handshake: Handshake,
    encoders: Encodings,
    converse: Conversation,
    place: Place,
) -> None:
    unidirectional = transport != WEBSOCKET
    writer: FrameWriter | None = (asgi.scope.get("extensions") or {}).get(WRITER)
    if writer is not None:
        encoder = encoders.deflated if writer.deflates else encoders.frames
        direct = WriterLine(writer, encoder)
        session = new_session(host, transport, direct, handshake, place, unidirectional=unidirectional)
        await _serve_writer(session, writer, asgi.receive, converse)
    else:
        line = MessageLine(asgi.send, encoders.messages, host.channels.limits.close_timeout)
        session = new_session(host, transport, line, handshake, place, unidirectional=unidirectional)
        await _serve_line(session, line, asgi.receive, converse)


async def _refuse(crowded: Crowded, scope: Scope, send: Send) -> None:
    """Answer 503, or refuse the handshake where the server cannot send a response."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1013})
        return
    headers = [(b"retry-after", b"%d" % crowded.retry_after), (b"content-type", b"text/plain")]
    await send({"type": "websocket.http.response.start", "status": 503, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": b"too many connections are waiting\n"})


async def _serve_writer(session: Session, writer: FrameWriter, receive: Receive, converse: Conversation) -> None:
    dispatcher = Dispatcher(session)
    with told_of_shutdown(writer, dispatcher):
        await conduct(session, dispatcher, converse(dispatcher, receive))


async def _serve_line(session: Session, line: MessageLine, receive: Receive, converse: Conversation) -> None:
    dispatcher = Dispatcher(session)
    try:
        await conduct(session, dispatcher, line.until_ended(converse(dispatcher, receive)))
    finally:
        await line.stop()


async def _converse(dispatcher: Dispatcher, receive: Receive) -> None:
    session = dispatcher.session
    while (message := await receive())["type"] == "websocket.receive":
        frame = frame_of(session, message)
        if frame is not None:
            dispatcher.receive(frame)
    session.lost(goodbye=is_goodbye(message))


def is_goodbye(message: Event) -> bool:
    """Whether the peer has sent a close frame, so that it did not merely vanish.

    A server that was sent a close frame tells its reason, if only as "". Without one it may tell 1005, as if it had
    been sent a close frame without a code.
    """
    code = message.get("code", _ABNORMAL)
    return code not in (_ABNORMAL, _INTERNAL_ERROR, _RESTART) and (
        code != _NO_CODE or message.get("reason") is not None
    )


def frame_of(session: Session, message: Event) -> bytes | None:
    """The bytes of a received message. Returns None for one that is too long, or text where bytes belong or the other
    way round; that ends the session."""
    text = message.get("text")
    frame: bytes = message["bytes"] if text is None else text.encode()
    if len(frame) > session.limits.message_bytes:
        session.close(_TOO_BIG)
    elif (text is None) is not session.codec.binary:
        why = "text where bytes belong" if session.codec.binary else "bytes where text belongs"
        session.close(Disconnect(Close.BAD_REQUEST, why=why))
    else:
        return frame
    return None
