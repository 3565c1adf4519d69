"""The HTTP API beside Django, where `hotclub.asgi.application` serves it."""

from collections.abc import Mapping

from hotclub.access.handshake import SESSION_STATE, RefusedHandshake, check_http_request, client_address
from hotclub.access.session import authenticate
from hotclub.conf.config import Config, get_config
from hotclub.engine.transports.base import Receive, Scope, Send
from hotclub.engine.transports.stream import read_body, respond
from hotclub.http_api.endpoint import DOCUMENT, LINES, NAMES, Call, answer
from hotclub.runtime.node import in_thread


def api_name(path: str, config: Config) -> str:
    """Return the name of an API request: a method, `DOCUMENT` or `LINES`; "" for a path outside the API.

    Args:
        path: the path of the request, below the script prefix.
        config: the configuration, whose `api_path` is the API's path.
    """
    folder = config.api_path.strip("/")
    if folder and path == f"/{folder}":
        return LINES
    name = path.removeprefix(f"/{folder}/") if folder and path.startswith(f"/{folder}/") else ""
    return name if name in NAMES else ""


async def serve_api(name: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request to the HTTP API. A cancelled call may have performed the method.

    Args:
        name: the name of the request, from `api_name`.
        scope: the request's ASGI scope.
        receive: the request's ASGI `receive`.
        send: the request's ASGI `send`.

    Raises:
        NotMigrated, DatabaseError: the key or the session cannot be looked up.
    """
    headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
    query = scope["query_string"].decode("latin-1")
    staff = name == DOCUMENT and await _is_staff(scope)

    async def read(config: Config) -> bytes:
        return await read_body(receive, config.api_body_bytes, config.limits.connect_timeout)

    outcome = await answer(Call(scope["method"], name, headers, query, _address(scope, headers), read, staff=staff))
    more = [(name.lower().encode(), value.encode()) for name, value in outcome.headers.items()]
    head = [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), *more]
    await respond(send, outcome.status, head, outcome.body)


def _address(scope: Scope, headers: Mapping[str, str]) -> str:
    peer = scope.get("client")
    return client_address(str(peer[0] or "") if peer else "", headers, get_config().trusted_proxies)


async def _is_staff(scope: Scope) -> bool:
    try:
        key = check_http_request(scope, get_config()).state.get(SESSION_STATE)
    except RefusedHandshake:
        return False
    login = await in_thread(authenticate, key) if isinstance(key, str) and key else None
    return login is not None and bool(getattr(login.user, "is_staff", False))
