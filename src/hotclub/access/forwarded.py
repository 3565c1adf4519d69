"""Believes what proxies say of a request, and nobody else: its client's address, its scheme and its host.

`HOTCLUB["TRUSTED_PROXIES"]` names the proxies. Django, the consumers of Channels and Hotclub's transports all get the
scope that `believed` returns, so a project's own limits, for instance on log-ins, count the same address as Hotclub.
"""

from collections.abc import Sequence
from typing import Any, Final

from django.conf import settings

from hotclub.access.handshake import RequestHeaders, client_address, is_trusted
from hotclub.engine.observe import logger, printable
from hotclub.engine.transports.base import Scope

_FORWARDED: Final = frozenset(
    {b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port", b"x-real-ip"}
)


class Forwarded:
    """The rules about forwarded headers, and whether the log has told of a proxy that nobody trusts."""

    def __init__(self) -> None:
        self._told = False

    def believed(self, scope: Scope, trusted: tuple[str, ...]) -> Scope:
        """Return the scope of an HTTP request or WebSocket handshake, as far as it can be believed.

        With a trusted proxy in front, `client` is the address of the real client. From anybody else the headers in
        which proxies forward something are left out, so Django does not see them. Without trusted proxies the scope
        stays as it is: then the server in front of the application may have its own rules.

        Args:
            scope: the scope from the server.
            trusted: networks of the proxies, and `unix`; see `client_address`.
        """
        if not trusted:
            return scope
        client: Sequence[Any] = scope.get("client") or ("", 0)
        peer = str(client[0] or "")
        if is_trusted(peer, trusted):
            address = client_address(peer, RequestHeaders(scope["headers"]), trusted)
            return {**scope, "client": (address, 0)}
        return {**scope, "headers": self._own_headers(scope["headers"], peer)}

    def _own_headers(self, headers: Sequence[tuple[bytes, bytes]], peer: str) -> list[tuple[bytes, bytes]]:
        forwarded = _FORWARDED | _scheme_header()
        own = [(name, value) for name, value in headers if name not in forwarded]
        if len(own) != len(headers) and not self._told:
            self._told = True
            logger.warning(
                "Left out the forwarded headers of a request from %s, which is not in HOTCLUB['TRUSTED_PROXIES']; if "
                "your proxy has this address, add it. Further ones are left out without a word.",
                printable(peer) or "a Unix socket (unix)",
            )
        return own


def _scheme_header() -> frozenset[bytes]:
    """The header in which the project's proxy tells the scheme, as it stands in a scope."""
    header = getattr(settings, "SECURE_PROXY_SSL_HEADER", None)
    if not header:
        return frozenset()
    return frozenset({header[0].removeprefix("HTTP_").replace("_", "-").lower().encode("latin1")})
