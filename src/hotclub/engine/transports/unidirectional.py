"""Connections that only listen: SSE, HTTP stream and WebSocket for clients without an SDK (protocol §6.2).

The client sends a bare connect request, whose `subs` names the channels that it wishes for, and gets bare pushes. An
SSE stream tells the client's positions in an `id` after each batch, so that a browser that reconnects resumes there.
"""

import base64
import binascii
from collections.abc import Mapping
from itertools import islice
from typing import Final

import msgspec
from msgspec.structs import replace

from hotclub.engine.dispatch import Dispatcher
from hotclub.engine.errors import Disconnect
from hotclub.engine.port import Handshake
from hotclub.engine.protocol.codec_json import UniJsonCodec
from hotclub.engine.protocol.messages import ConnectCommand, Offset, SubscribeCommand
from hotclub.engine.session import Session
from hotclub.engine.transports.base import Asgi, Host, Receive, Scope, Send, conduct, new_session
from hotclub.engine.transports.emulation import JSON, connect_argument, query_argument
from hotclub.engine.transports.stream import Headers, HttpError, StreamLine, admitted, content_type, hold, read_body
from hotclub.engine.transports.websocket import Encodings, frame_of, is_goodbye, serve_messages

_LAST_EVENT_ID: Final = b"last-event-id"
_LONGEST_ID: Final = 4_096
_COMMAND: Final = 1

Positions = dict[str, tuple[str, int]]
"""The epoch and the offset of a client in each channel."""

_POSITIONS: Final = msgspec.json.Decoder(dict[str, tuple[str, Offset]])
_NOTHING: Final = SubscribeCommand()


async def serve_uni_sse(
    host: Host, scope: Scope, receive: Receive, send: Send, handshake: Handshake, headers: Headers = ()
) -> None:
    """Run one unidirectional SSE connection. The connect request is `cf_connect`, the body of a POST, or left out.

    Cancellation ends the connection; everything is undone before this returns or raises. `headers` are added to the
    response.

    Raises:
        HttpError: before anything was sent: 400, 405, 408, 413, 415, or 503 for too many waiting connections.
    """
    request = _request(await connect_argument(host, scope, receive))
    request = resume(request, decode_positions(_header(scope, _LAST_EVENT_ID)))
    session: Session | None = None

    def identify() -> bytes:
        return b"" if session is None else b"id: %b\n\n" % encode_positions(positions(session))

    line = StreamLine(send, host.encoders.uni_events, host.channels.limits.close_timeout, identify)
    with admitted(host, handshake) as place:
        session = new_session(host, "uni_sse", line, handshake, place, unidirectional=True)
        await _stream(session, line, scope, receive, request, (headers, b"text/event-stream"))


async def serve_uni_http_stream(
    host: Host, scope: Scope, receive: Receive, send: Send, handshake: Handshake, headers: Headers = ()
) -> None:
    """Run one unidirectional HTTP-stream connection. The body of the POST is the connect request.

    Cancellation ends the connection; everything is undone before this returns or raises. `headers` are added to the
    response.

    Raises:
        HttpError: before anything was sent: 400, 405, 408, 413, 415, or 503 for too many waiting connections.
    """
    if scope["method"] != "POST":
        raise HttpError(405)
    if content_type(scope) not in ("", JSON):
        raise HttpError(415)
    limits = host.channels.limits
    request = _request(await read_body(receive, limits.message_bytes, limits.connect_timeout))
    line = StreamLine(send, host.encoders.uni_lines, host.channels.limits.close_timeout)
    with admitted(host, handshake) as place:
        session = new_session(host, "uni_http_stream", line, handshake, place, unidirectional=True)
        await _stream(session, line, scope, receive, request, (headers, JSON.encode()))


async def serve_uni_websocket(host: Host, scope: Scope, receive: Receive, send: Send, handshake: Handshake) -> None:
    """Run one unidirectional WebSocket connection. The connect request is `cf_connect` or the first message.

    Later messages of the client are ignored, and a flood of them ends the connection. Cancellation ends the connection;
    everything is undone before this returns or raises.
    """
    argument = query_argument(scope, b"cf_connect")

    async def converse(dispatcher: Dispatcher, receive: Receive) -> None:
        session, waiting = dispatcher.session, not argument
        if argument:
            _connect(dispatcher, argument)
        while (message := await receive())["type"] == "websocket.receive":
            frame = frame_of(session, message)
            if waiting and frame is not None:
                waiting = False
                _connect(dispatcher, frame)
            else:
                dispatcher.ignore()
        session.lost(goodbye=is_goodbye(message))

    form = Encodings(host.encoders.uni_frames, host.encoders.uni_deflated, host.encoders.uni_messages)
    await serve_messages(host, "uni_websocket", Asgi(scope, receive, send), handshake, form, converse)


def _connect(dispatcher: Dispatcher, argument: bytes) -> None:
    try:
        request = _codec(dispatcher.session).decode_connect(argument)
    except Disconnect as reason:
        dispatcher.session.close(reason)
    else:
        dispatcher.submit(_COMMAND, request)


def _codec(session: Session) -> UniJsonCodec:
    codec = session.codec
    assert isinstance(codec, UniJsonCodec)
    return codec


def _request(body: bytes) -> ConnectCommand:
    if not body:
        return ConnectCommand()
    try:
        return UniJsonCodec().decode_connect(body)
    except Disconnect:
        raise HttpError(400) from None


async def _stream(
    session: Session,
    line: StreamLine,
    scope: Scope,
    receive: Receive,
    request: ConnectCommand,
    head: tuple[Headers, bytes],
) -> None:
    dispatcher = Dispatcher(session)
    try:
        await line.begin(*head)
        dispatcher.submit(_COMMAND, request)
        await conduct(session, dispatcher, hold(line, dispatcher, scope, receive))
    finally:
        await line.stop()


def _header(scope: Scope, name: bytes) -> bytes:
    return next((value for header, value in scope["headers"] if header == name), b"")


def positions(session: Session) -> Positions:
    """The positions of a session in its positioned channels, those without a subscribe reply left out."""
    return {
        channel: (subscriber.epoch, subscriber.offset)
        for channel, subscriber in session.subscribers.items()
        if subscriber.positioned and subscriber.epoch and subscriber.buffer is None
    }


def encode_positions(known: Positions) -> bytes:
    """Positions as an SSE `id`, which holds no line break and no NUL.

    Browsers send the id back in a header, and servers refuse long headers: with many channels only the first positions
    are told, and the client loads the other channels anew.
    """
    encoded = base64.urlsafe_b64encode(msgspec.json.encode(known))
    while len(encoded) > _LONGEST_ID:
        known = dict(islice(known.items(), len(known) * _LONGEST_ID // len(encoded)))
        encoded = base64.urlsafe_b64encode(msgspec.json.encode(known))
    return encoded


def decode_positions(event_id: bytes) -> Positions:
    """The positions in an SSE `id`; none for an id that cannot be decoded.

    An id is no secret and proves nothing: each position is the client's wish, and is checked as such.
    """
    if not event_id or len(event_id) > _LONGEST_ID:
        return {}
    try:
        return _POSITIONS.decode(base64.b64decode(event_id, altchars=b"-_", validate=True))
    except (binascii.Error, msgspec.MsgspecError, ValueError):
        return {}


def resume(request: ConnectCommand, known: Mapping[str, tuple[str, int]]) -> ConnectCommand:
    """The connect request, with the positions after which the client wishes its channels to go on."""
    resumed = {
        channel: replace(request.subs.get(channel, _NOTHING), recover=True, epoch=epoch, offset=offset)
        for channel, (epoch, offset) in known.items()
    }
    return replace(request, subs={**request.subs, **resumed})
