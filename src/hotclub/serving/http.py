"""The transports over plain HTTP, as ASGI endpoints beside Django: origin, CORS, and which path is which (§6).

Their responses are async from end to end and hold no thread, whatever middleware the project has for its views.
"""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from math import ceil
from time import monotonic
from typing import Final

from hotclub.access.handshake import RefusedHandshake, check_http_request, log_refusal
from hotclub.conf.config import Config, get_config
from hotclub.engine.node import Node
from hotclub.engine.observe import report
from hotclub.engine.port import Handshake
from hotclub.engine.transports.base import Receive, Scope, Send, is_issued
from hotclub.engine.transports.emulation import emulate, read_emulation, serve_http_stream, serve_sse
from hotclub.engine.transports.stream import Headers, HttpError, respond
from hotclub.engine.transports.unidirectional import serve_uni_http_stream, serve_uni_sse
from hotclub.orders.messages import TakeCommands
from hotclub.orders.send import send as send_order
from hotclub.runtime.node import in_thread

Endpoint = Callable[[Node, Scope, Receive, Send, Handshake, Headers], Awaitable[None]]

_PREFLIGHT: Final[Headers] = (
    (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
    (b"access-control-max-age", b"300"),
)


def endpoints(config: Config) -> Mapping[str, Endpoint]:
    """The HTTP transports by their path."""
    return {
        config.transport_path("http_stream"): serve_http_stream,
        config.transport_path("sse"): serve_sse,
        config.transport_path("uni_http_stream"): serve_uni_http_stream,
        config.transport_path("uni_sse"): serve_uni_sse,
        config.emulation_path: serve_emulation,
    }


async def serve_http(
    admit: Callable[[str], Awaitable[Node]], endpoint: Endpoint, scope: Scope, receive: Receive, send: Send
) -> None:
    """Run one request to an HTTP transport; what is wrong with it is answered with a status and no body.

    `admit` gives the node, for a connection from an address or, for "", for commands of one that is open.
    """
    try:
        handshake = check_http_request(scope, get_config())
        opens = scope["method"] != "OPTIONS" and endpoint is not serve_emulation
        node = await admit((handshake.address or "unix") if opens else "")
    except RefusedHandshake as refused:
        log_refusal(refused, scope)
        await respond(send, refused.status, refused.headers)
        return
    headers = _cors(handshake)
    if scope["method"] == "OPTIONS":
        await respond(send, HTTPStatus.NO_CONTENT, [*headers, *_PREFLIGHT, *_allowed_headers(handshake)])
        return
    try:
        await endpoint(node, scope, receive, send, handshake, headers)
    except HttpError as error:
        report("Refused a request", status=int(error.status), path=scope["path"], address=handshake.address)
        await respond(send, error.status, [*headers, *error.headers])


async def serve_emulation(
    node: Node, scope: Scope, receive: Receive, send: Send, handshake: Handshake, headers: Headers
) -> None:
    """Take commands for a connection of this or another process (protocol §6.1).

    Raises:
        HttpError: 400, 403, 405, 413, 415, 404 for a connection that no node of this site has made, or 429 when this
            process has handed on too much.
    """
    emulation = await read_emulation(node, scope, receive)
    if not is_issued(node, emulation.node, emulation.session):
        raise HttpError(HTTPStatus.NOT_FOUND)
    if emulation.node == node.id:
        emulate(node, emulation, handshake)
    elif not node.forwarding.take(monotonic()):
        raise HttpError(HTTPStatus.TOO_MANY_REQUESTS, retry_after=ceil(node.forwarding.wait))
    else:
        order = TakeCommands(emulation.node, emulation.session, handshake.principal, emulation.data)
        await in_thread(send_order, order)
    await respond(send, HTTPStatus.NO_CONTENT, headers)


def _cors(handshake: Handshake) -> Headers:
    """What lets a page of an allowed origin read the answer. The origin was checked before."""
    origin = handshake.headers.get("origin")
    if origin is None:
        return ()
    return (
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-credentials", b"true"),
        (b"vary", b"Origin"),
    )


def _allowed_headers(handshake: Handshake) -> Headers:
    asked = handshake.headers.get("access-control-request-headers", "")
    return ((b"access-control-allow-headers", asked.encode("latin-1")),) if asked else ()
