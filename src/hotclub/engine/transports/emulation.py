"""Bidirectional connections over HTTP: a response that stays open, and commands in requests of their own (§6.1).

`http_stream` writes lines (or delimited protobuf messages), `sse` writes server-sent events. Either way the connect
reply carries a secret and the node's id, which a POST to the emulation endpoint shows.
"""

from typing import Final
from urllib.parse import parse_qs

from hotclub.engine.application import Handshake
from hotclub.engine.dispatch import Dispatcher
from hotclub.engine.errors import Disconnect
from hotclub.engine.protocol.base import Encoder
from hotclub.engine.protocol.messages import Emulation
from hotclub.engine.transports.base import Host, Receive, Scope, Send, conduct, counted, is_crowded, new_session
from hotclub.engine.transports.stream import Headers, HttpError, StreamLine, content_type, converse, read_body

JSON: Final = "application/json"
PROTOBUF: Final = "application/octet-stream"
_EVENTS: Final = b"text/event-stream"
_QUERY_FIELDS: Final = 100


async def serve_http_stream(
    host: Host, scope: Scope, receive: Receive, send: Send, handshake: Handshake, headers: Headers = ()
) -> None:
    """Run one HTTP-stream connection. The body of the POST is a frame that begins with the connect command.

    `headers` are added to the response.

    Raises:
        HttpError: before anything was sent: 400, 405, 413, 415, or 503 for too many waiting connections.
    """
    if scope["method"] != "POST":
        raise HttpError(405)
    encoder, media_type = stream_form(host, scope)
    body = await read_body(receive, host.exchange.limits.message_bytes)
    if not body:
        raise HttpError(400)
    await _emulate(host, receive, send, handshake, body, _Form(encoder, media_type, b"", headers))


def stream_form(host: Host, scope: Scope) -> tuple[Encoder, bytes]:
    """Which form of the protocol a request speaks, by its content type. Raises HttpError 415 for any other."""
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

    Raises:
        HttpError: before anything was sent: 400, 405, 413, 415, or 503 for too many waiting connections.
    """
    command = await connect_argument(host, scope, receive)
    if not command:
        raise HttpError(400)
    await _emulate(host, receive, send, handshake, command, _Form(host.encoders.events, _EVENTS, b"\r\n", headers))


async def connect_argument(host: Host, scope: Scope, receive: Receive) -> bytes:
    """What opens an SSE stream: `cf_connect` of a GET, the body of a POST; b"" for none."""
    limit = host.exchange.limits.message_bytes
    if scope["method"] == "POST":
        if content_type(scope) not in ("", JSON):
            raise HttpError(415)
        return await read_body(receive, limit)
    if scope["method"] != "GET":
        raise HttpError(405)
    await read_body(receive, 0)
    return query_argument(scope, "cf_connect")


def query_argument(scope: Scope, name: str) -> bytes:
    """The first value of an argument in the query, b"" without one."""
    query: dict[str, list[str]] = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=_QUERY_FIELDS)
    return query.get(name, [""])[0].encode()


class _Form:
    """How one emulated response is written."""

    def __init__(self, encoder: Encoder, media_type: bytes, prelude: bytes, headers: Headers) -> None:
        self.encoder = encoder
        self.media_type = media_type
        self.prelude = prelude
        self.headers = headers


async def _emulate(
    host: Host, receive: Receive, send: Send, handshake: Handshake, commands: bytes, form: _Form
) -> None:
    if is_crowded(host):
        raise HttpError(503)
    line = StreamLine(send, form.encoder, host.exchange.limits.close_timeout)
    with counted(host):
        session = new_session(host, line, handshake, emulated=True)
        dispatcher = Dispatcher(session)
        host.emulated[session.kind.secret] = dispatcher
        try:
            await line.begin(form.headers, form.media_type, form.prelude)
            await conduct(session, dispatcher, converse(dispatcher, line, receive, commands))
        finally:
            del host.emulated[session.kind.secret]
            await line.stop()


async def read_emulation(host: Host, scope: Scope, receive: Receive) -> Emulation:
    """The body of a POST to the emulation endpoint.

    Raises:
        HttpError: 400, 405, 413 or 415.
    """
    if scope["method"] != "POST":
        raise HttpError(405)
    encoder, _ = stream_form(host, scope)
    # The commands are quoted inside the body, which may double them.
    body = await read_body(receive, 2 * host.exchange.limits.message_bytes)
    try:
        emulation = encoder.codec.decode_emulation(body)
    except Disconnect:
        raise HttpError(400) from None
    if not emulation.session or not emulation.data:
        raise HttpError(400)
    if len(emulation.data) > host.exchange.limits.message_bytes:
        raise HttpError(413)
    return emulation


def emulate(host: Host, emulation: Emulation, handshake: Handshake) -> None:
    """Hand the commands to the connection they belong to; one that is gone is no error (protocol §6.1).

    Raises:
        HttpError: 403, the request comes from another login than the connection.
    """
    dispatcher = host.emulated.get(emulation.session)
    if dispatcher is None:
        return
    if dispatcher.session.client.handshake.principal != handshake.principal:
        raise HttpError(403)
    dispatcher.receive(emulation.data)
