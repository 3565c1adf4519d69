"""Judges the requests that open connections, by their host and origin, and finds their session cookie.

Forwarded headers count only as far as the settings trust them: Django's own `SECURE_PROXY_SSL_HEADER` and
`USE_X_FORWARDED_HOST`, and `HOTCLUB["TRUSTED_PROXIES"]` for the address of the client.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from http import HTTPStatus
from io import BytesIO
from ipaddress import IPv6Address, ip_address
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http.cookie import parse_cookie

from hotclub.conf.config import Config
from hotclub.conf.values import OPAQUE, UNIX, parse_network, parse_origin
from hotclub.engine.errors import HotclubError
from hotclub.engine.observe import printable, report
from hotclub.engine.port import Handshake

SESSION_STATE: Final = "session_key"
URL_STATE: Final = "credentials in the URL"

_HOST_FIELDS: Final = frozenset({b"host", b"x-forwarded-host", b"x-forwarded-port"})
"""The header fields from which Django's request reads the host."""
_REMEMBERED: Final = 1_024
"""The most judgements of hosts, and of origins, in memory. Clients that return name the same ones."""
_LONGEST: Final = 512
"""The longest header field in bytes whose judgement is remembered."""

Scope = Mapping[str, Any]


class RefusedHandshake(HotclubError):
    """The server refuses a request before it becomes a connection, with an HTTP status. `reason` is for the log."""

    def __init__(self, status: HTTPStatus, reason: str, *, retry_after: int = 0) -> None:
        """`retry_after` is the seconds until the client may try again, 0 for a refusal that lasts."""
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The headers of the answer."""
        return ((b"retry-after", b"%d" % self.retry_after),) if self.retry_after else ()


class RequestHeaders(Mapping[str, str]):
    """The header fields of a request by lower-cased name, as Django reads them.

    Repeated fields are joined by commas. Fields with an underscore in the name, and fields about a body, are left out.
    Each look decodes the fields anew: every connection keeps its fields, and few connections look at them.
    """

    __slots__ = ("_raw",)

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        """`raw` are the fields of an ASGI scope, with lower-cased names."""
        self._raw = raw

    def __getitem__(self, name: str) -> str:
        return self._decoded()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._decoded())

    def __len__(self) -> int:
        return len(self._decoded())

    def _decoded(self) -> dict[str, str]:
        decoded: dict[str, str] = {}
        for raw, value in self._raw:
            name, text = raw.decode("latin1"), value.decode("latin1")
            if "_" not in name and not name.startswith("content-"):
                decoded[name] = f"{decoded[name]},{text}" if name in decoded else text
        return decoded


def check_handshake(scope: Scope, config: Config) -> Handshake:
    """Judge a WebSocket handshake by its host and origin, without the database.

    A page of another site can open a socket with the user's cookies, and only the origin shows that. So a session
    cookie without an origin is refused, too.

    Args:
        scope: the ASGI scope of the handshake.
        config: the settings.

    Raises:
        RefusedHandshake: 400, the host is not one of `ALLOWED_HOSTS`; 403, the origin is not allowed.
    """
    origin, own = _judged(scope)
    key = _session_key(scope, origin)
    if origin is None and key:
        raise RefusedHandshake(HTTPStatus.FORBIDDEN, "a session cookie without an origin")
    if origin is not None:
        _check_origin(origin, own, config)
    return _handshake(scope, key, config)


def check_http_request(scope: Scope, config: Config) -> Handshake:
    """Judge a request to one of the HTTP transports by its host and origin.

    With a GET to the page's own site a browser sends `Sec-Fetch-Site` and no origin. A request with neither header may
    read with a session cookie, because no other site sees the answer. It may not send with a session cookie.

    Args:
        scope: the ASGI scope of the request.
        config: the settings.

    Raises:
        RefusedHandshake: 400, the host is not one of `ALLOWED_HOSTS`; 403, the origin is not allowed.
    """
    origin, own = _judged(scope)
    key = _session_key(scope, origin)
    site = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"sec-fetch-site"), "")
    unsafe = scope["method"] != "GET" and key
    if origin is not None:
        _check_origin(origin, own, config)
    elif site not in ("", "same-origin", "none") or (not site and unsafe):
        raise RefusedHandshake(HTTPStatus.FORBIDDEN, "a request of another site without an origin")
    return _handshake(scope, key, config)


def _judged(scope: Scope) -> tuple[str | None, str]:
    """Return the origin of the request, None without one, and the origin of the site that the request is for.

    Raises:
        RefusedHandshake: 400, the host is not one of `ALLOWED_HOSTS`.
    """
    proxy: tuple[str, str] | None = settings.SECURE_PROXY_SSL_HEADER
    named = (
        {*_HOST_FIELDS, proxy[0].removeprefix("HTTP_").replace("_", "-").lower().encode()} if proxy else _HOST_FIELDS
    )
    fields = tuple(field for field in scope["headers"] if field[0] in named)
    origin = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"), None)
    scheme = "https" if scope.get("scheme") in ("wss", "https") else "http"
    hosts, server = tuple(settings.ALLOWED_HOSTS), tuple(scope.get("server") or ())
    trusts = (settings.DEBUG, settings.USE_X_FORWARDED_HOST, settings.USE_X_FORWARDED_PORT, proxy)
    judge = _own_origin if sum(len(value) for _, value in fields) <= _LONGEST else _own_origin.__wrapped__
    return origin, judge(scheme, fields, server, hosts, trusts)


@lru_cache(maxsize=_REMEMBERED)
def _own_origin(
    scheme: str,
    fields: tuple[tuple[bytes, bytes], ...],
    server: tuple[Any, ...],
    _hosts: tuple[str, ...],
    _trusts: tuple[object, ...],
) -> str:
    """Return the origin of the site that a request is for, as Django's request names it.

    `_hosts` and `_trusts` are the settings that Django reads, so that a change of a setting is seen.

    Raises:
        RefusedHandshake: 400, the host is not one of `ALLOWED_HOSTS`.
    """
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "scheme": scheme, "headers": fields}
    request = ASGIRequest({**scope, "server": server or None}, BytesIO())
    try:
        return f"{request.scheme}://{request.get_host()}"
    except DisallowedHost as error:
        raise RefusedHandshake(HTTPStatus.BAD_REQUEST, str(error)) from None


def _session_key(scope: Scope, origin: str | None) -> str:
    """The key of the session cookie. A page with the opaque origin may be of any site, so its cookie does not count."""
    if origin == OPAQUE:
        return ""
    cookies = b"; ".join(value for name, value in scope["headers"] if name == b"cookie")
    if not cookies:
        return ""
    key: str = parse_cookie(cookies.decode("latin-1")).get(settings.SESSION_COOKIE_NAME, "")
    return key


def _handshake(scope: Scope, session_key: str, config: Config) -> Handshake:
    client = scope.get("client")
    headers = RequestHeaders(scope["headers"])
    return Handshake(
        headers=headers,
        address=client_address(str(client[0] or "") if client else "", headers, config.trusted_proxies),
        state={SESSION_STATE: session_key, URL_STATE: b"cf_connect=" in scope["query_string"]},
    )


def _check_origin(origin: str, own: str, config: Config) -> None:
    judge = _is_allowed if len(origin) <= _LONGEST else _is_allowed.__wrapped__
    if not judge(origin, own, config.allowed_origins):
        raise RefusedHandshake(
            HTTPStatus.FORBIDDEN,
            f"origin {printable(origin)} is neither {printable(own)} nor in HOTCLUB['ALLOWED_ORIGINS']; "
            "behind a proxy, check HOTCLUB['TRUSTED_PROXIES'], SECURE_PROXY_SSL_HEADER and the Host header it sends",
        )


@lru_cache(maxsize=_REMEMBERED)
def _is_allowed(origin: str, own: str, allowed: tuple[str, ...]) -> bool:
    if origin == OPAQUE:
        return OPAQUE in allowed
    parsed = parse_origin(origin)
    return parsed is not None and parsed in {parse_origin(text) for text in (own, *allowed)}


def log_refusal(refused: RefusedHandshake, scope: Scope) -> None:
    """Log why a connection was refused, because a browser does not show the reason."""
    peer = scope.get("client")
    address = str(peer[0] or "") if peer else ""
    report("Refused a request", status=int(refused.status), path=scope["path"], address=address, why=refused.reason)


def client_address(peer: str, headers: Mapping[str, str], trusted: tuple[str, ...]) -> str:
    """Return the client's address: the last address on the way here that does not belong to a trusted proxy.

    Args:
        peer: where the connection comes from, "" for a Unix socket.
        headers: lower-cased headers of the request.
        trusted: networks of the proxies, such as `10.0.0.0/8`, and `unix` for a proxy behind a Unix socket.
    """
    if not trusted or not is_trusted(peer, trusted):
        return peer
    address = peer
    for hop in reversed(headers.get("x-forwarded-for", "").split(",")):
        parsed = _plain(hop.strip())
        if parsed is None:
            # Trusted proxies write addresses, so this text and everything before it come from the client.
            break
        address = parsed
        if not is_trusted(address, trusted):
            break
    return address


@lru_cache(maxsize=1_024)
def is_trusted(address: str, trusted: tuple[str, ...]) -> bool:
    """Return whether the address, "" for a Unix socket, belongs to a trusted proxy."""
    if not address:
        return UNIX in trusted
    plain = _plain(address)
    if plain is None:
        return False
    return any(network is not None and ip_address(plain) in network for network in map(parse_network, trusted))


def _plain(text: str) -> str | None:
    """Return an address without port, brackets and zone, None for a text that is not an address."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)
