"""Bidirectional connections over HTTP: a response that stays open, and commands in requests of their own (§6.1).

`http_stream` writes lines or delimited protobuf messages, `sse` writes server-sent events. In both, the connect reply
carries a secret and the node's id, which a POST with more commands must show.
"""

from typing import Final
from urllib.parse import unquote_to_bytes

from hotclub.engine.dispatch import Dispatcher
from hotclub.engine.errors import Disconnect
from hotclub.engine.port import Client, Handshake
from hotclub.engine.protocol.base import Encoder
from hotclub.engine.protocol.messages import Emulation
from hotclub.engine.transports.base import Host, Receive, Scope, Send, conduct, new_session
from hotclub.engine.transports.stream import (
    Headers,
    HttpError,
    StreamLine,
    admitted,
    content_type,
    converse,
    read_body,
)

JSON: Final = "application/json"
PROTOBUF: Final = "application/octet-stream"
_EVENTS: Final = b"text/event-stream"
_QUERY_FIELDS: Final = 100


async def serve_http_stream(
    host: Host, scope: Scope, receive: Receive, send: Send, handshake: Handshake, headers: Headers = ()
) -> None:
    """Run one HTTP-stream connection. The body of the POST is a frame that begins with the connect command.

    Cancellation ends the connection; everything is undone before this returns or raises. `headers` are added to the
    response.

    Raises:
        HttpError: before anything was sent: 400, 405, 408, 413, 415, or 503 for too many waiting connections.
    """
    if scope["method"] != "POST":
        raise HttpError(405)
    encoder, media_type = stream_form(host, scope)
    limits = host.channels.limits
    body = await read_body(receive, limits.message_bytes, limits.connect_timeout)
    if not body:
        raise HttpError(400)
    form = _Form("http_stream", encoder, media_type, b"", headers)
    await _emulate(host, scope, receive, send, handshake, body, form)


def stream_form(host: Host, scope: Scope) -> tuple[Encoder, bytes]:
    """The encoder and the media type of the form of the protocol that a request speaks, by its content type.

    Raises:
        HttpError: 415 for a content type that is neither JSON nor protobuf.
    """
    match content_type(scope):
        case "" | "application/json":
            return host.encoders.json_lines, JSON.encode()
        case "application/octet-stream":
            return host.encoders.protobuf_stream, PROTOBUF.encode()
    raise HttpError(415)


async def serve_sse(
    host: Host, scope: Scope, receive: Receive, send: Send, handshake: Handshake, headers: Headers = ()
) -> None:
    """Run one SSE connection. The connect command stands in the query (`cf_connect`), or in the body of a POST.

    Cancellation ends the connection; everything is undone before this returns or raises. `headers` are added to the
    response.

    Raises:
        HttpError: before anything was sent: 400, 405, 408, 413, 415, or 503 for too many waiting connections.
    """
    command = await connect_argument(host, scope, receive)
    if not command or (scope["method"] == "GET" and b"\n" in command[:-1]):
        # Any page can make a browser send a GET with cookies, so a GET may carry the connect command alone.
        raise HttpError(400)
    form = _Form("sse", host.encoders.events, _EVENTS, b"\r\n", headers)
    await _emulate(host, scope, receive, send, handshake, command, form)


async def connect_argument(host: Host, scope: Scope, receive: Receive) -> bytes:
    """The command that opens an SSE stream: `cf_connect` of a GET, or the body of a POST; b"" for none.

    Raises:
        HttpError: 405, 408, 413 or 415.
    """
    limits = host.channels.limits
    if scope["method"] == "POST":
        if content_type(scope) not in ("", JSON):
            raise HttpError(415)
        return await read_body(receive, limits.message_bytes, limits.connect_timeout)
    if scope["method"] != "GET":
        raise HttpError(405)
    await read_body(receive, 0, limits.connect_timeout)
    command = query_argument(scope, b"cf_connect")
    if len(command) > limits.message_bytes:
        raise HttpError(413)
    return command


def query_argument(scope: Scope, name: bytes) -> bytes:
    """The first value of an argument in the query, b"" when the first 100 fields do not have the argument."""
    for field in scope["query_string"].split(b"&", _QUERY_FIELDS)[:_QUERY_FIELDS]:
        key, _, value = field.partition(b"=")
        if key == name:
            return unquote_to_bytes(value.replace(b"+", b" "))
    return b""


class _Form:
    """How the response of one emulated connection is written. `prelude` is the beginning of its body."""

    def __init__(self, transport: str, encoder: Encoder, media_type: bytes, prelude: bytes, headers: Headers) -> None:
        self.transport = transport
        self.encoder = encoder
        self.media_type = media_type
        self.prelude = prelude
        self.headers = headers


async def _emulate(
    host: Host, scope: Scope, receive: Receive, send: Send, handshake: Handshake, commands: bytes, form: _Form
) -> None:
    line = StreamLine(send, form.encoder, host.channels.limits.close_timeout)
    with admitted(host, handshake) as place:
        session = new_session(host, form.transport, line, handshake, place, emulated=True)
        dispatcher = Dispatcher(session)
        host.emulated[session.kind.secret] = dispatcher
        try:
            await line.begin(form.headers, form.media_type, form.prelude)
            await conduct(session, dispatcher, converse(dispatcher, line, scope, receive, commands))
        finally:
            del host.emulated[session.kind.secret]
            await line.stop()


async def read_emulation(host: Host, scope: Scope, receive: Receive) -> Emulation:
    """Read the body of a POST to the emulation endpoint.

    Raises:
        HttpError: 400, 405, 408, 413 or 415.
    """
    if scope["method"] != "POST":
        raise HttpError(405)
    encoder, _ = stream_form(host, scope)
    limits = host.channels.limits
    # The commands are a JSON string inside the body, and the quoting may double their length.
    body = await read_body(receive, 2 * limits.message_bytes, limits.connect_timeout)
    try:
        emulation = encoder.codec.decode_emulation(body)
    except Disconnect:
        raise HttpError(400) from None
    if not emulation.session or not emulation.data:
        raise HttpError(400)
    if len(emulation.data) > limits.message_bytes:
        raise HttpError(413)
    return emulation


def emulated_client(host: Host, emulation: Emulation) -> Client | None:
    """The connection that the secret of commands names; None for one that has gone."""
    dispatcher = host.emulated.get(emulation.session)
    return None if dispatcher is None else dispatcher.session.client


def emulate(host: Host, emulation: Emulation) -> None:
    """Hand commands to the connection that their secret names. A connection that has gone is no error (protocol §6.1).

    The secret is the connection's own. The application may ask more of the request before this call.
    """
    dispatcher = host.emulated.get(emulation.session)
    if dispatcher is not None:
        dispatcher.receive(emulation.data)
