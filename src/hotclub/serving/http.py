"""The transports over plain HTTP as ASGI endpoints: their paths, the check of the origin, and CORS (protocol §6).

The responses are async from end to end and hold no thread. The project's middleware does not run for them.
"""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from math import ceil
from time import monotonic
from typing import Final

from hotclub.access.emulated import may_send, session_key_of, shows_same_cookie, user_of
from hotclub.access.handshake import RefusedHandshake, check_http_request, log_refusal
from hotclub.conf.config import Config, get_config
from hotclub.engine.node import Node
from hotclub.engine.observe import report
from hotclub.engine.port import Client, Handshake
from hotclub.engine.protocol.messages import Emulation
from hotclub.engine.transports.base import Receive, Scope, Send, is_issued
from hotclub.engine.transports.emulation import (
    emulate,
    emulated_client,
    read_emulation,
    serve_http_stream,
    serve_sse,
)
from hotclub.engine.transports.stream import Headers, HttpError, respond
from hotclub.engine.transports.unidirectional import serve_uni_http_stream, serve_uni_sse
from hotclub.orders.messages import TakeCommands
from hotclub.orders.send import send as send_order
from hotclub.runtime.calls import Busy, NoAnswer
from hotclub.runtime.node import in_thread

Endpoint = Callable[[Node, Scope, Receive, Send, Handshake, Headers], Awaitable[None]]

_PREFLIGHT: Final[Headers] = (
    (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
    (b"access-control-max-age", b"300"),
)


def endpoints(config: Config) -> Mapping[str, Endpoint]:
    """Return the endpoint of each path, below the script prefix."""
    return {
        config.transport_path("http_stream"): serve_http_stream,
        config.transport_path("sse"): serve_sse,
        config.transport_path("uni_http_stream"): serve_uni_http_stream,
        config.transport_path("uni_sse"): serve_uni_sse,
        "/" + config.emulation_path.lstrip("/"): serve_emulation,
    }


async def serve_http(
    admit: Callable[[str], Awaitable[Node]], endpoint: Endpoint, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer one request to an HTTP transport. A refused or malformed request gets a status without a body.

    Cancellation ends the connection that the request has opened.

    Args:
        admit: returns the node; it takes the client's address, or "" for a request that opens no connection, and raises
            `RefusedHandshake`.
        endpoint: the endpoint of the path, from `endpoints`.
        scope: the request's ASGI scope.
        receive: the request's ASGI `receive`.
        send: the request's ASGI `send`.
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
    except (Busy, NoAnswer):
        await respond(send, HTTPStatus.SERVICE_UNAVAILABLE, [*headers, (b"retry-after", b"1")])
    except HttpError as error:
        report("Refused a request", status=int(error.status), path=scope["path"], address=handshake.address)
        await respond(send, error.status, [*headers, *error.headers])


async def serve_emulation(
    node: Node, scope: Scope, receive: Receive, send: Send, handshake: Handshake, headers: Headers
) -> None:
    """Take commands for a connection of this or another process (protocol §6.1).

    A cancelled call may have delivered the commands.

    Raises:
        Busy, NoAnswer: the database or the session store takes too long.
        HttpError: 400, 405, 408, 413 or 415, the request is malformed; 403, the request shows another user than the
            connection's; 404, no node of this site made the session; 429, this process has forwarded too many commands.
    """
    emulation = await read_emulation(node, scope, receive)
    if not is_issued(node, emulation.node, emulation.session):
        raise HttpError(HTTPStatus.NOT_FOUND)
    if emulation.node == node.id:
        client = emulated_client(node, emulation)
        if client is not None and not await _is_from_same_user(client, handshake):
            raise HttpError(HTTPStatus.FORBIDDEN)
        emulate(node, emulation)
    elif not node.forwarding.take(monotonic()):
        raise HttpError(HTTPStatus.TOO_MANY_REQUESTS, retry_after=ceil(node.forwarding.wait))
    else:
        await in_thread(_hand_on, emulation, session_key_of(handshake))
    await respond(send, HTTPStatus.NO_CONTENT, headers)


async def _is_from_same_user(client: Client, handshake: Handshake) -> bool:
    if shows_same_cookie(client, handshake) or may_send(client, ""):
        return True
    return may_send(client, await in_thread(user_of, session_key_of(handshake)))


def _hand_on(emulation: Emulation, session_key: str) -> None:
    send_order(TakeCommands(emulation.node, emulation.session, user_of(session_key), emulation.data))


def _cors(handshake: Handshake) -> Headers:
    """The headers that let a page of another origin read the response. `check_http_request` has checked the origin."""
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
