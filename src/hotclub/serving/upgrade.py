"""The WebSocket handshake of an ordinary client, read from the fields that uvicorn's HTTP parser has found.

The `websockets` package judges every other handshake, and words every refusal. A handshake through that package takes a
quarter of the time of a connect, and a crowd that returns sends thousands of ordinary ones.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.utils import accept_key

_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")
"""16 bytes in base 64 (RFC 6455 §4.1): the last letter before the padding has four bits of zero."""
_TOKENS: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:, ?[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")
_UPGRADES: Final = frozenset({b"upgrade", b"keep-alive, upgrade"})
_ONCE: Final = frozenset({b"connection", b"upgrade", b"sec-websocket-key", b"sec-websocket-version", b"origin"})
_HEAD: Final = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"

Fields = Sequence[tuple[bytes, bytes]]
"""Header fields of a request with lower-cased names, in their order."""


class Ordinary:
    """The ordinary handshake of a request. `accept` is the value of its `Sec-WebSocket-Accept`."""

    __slots__ = ("accept", "subprotocols")

    def __init__(self, accept: str, subprotocols: list[str]) -> None:
        self.accept = accept
        self.subprotocols = subprotocols
        """The sub-protocols that the client offers."""

    def head(self, fields: Iterable[tuple[bytes, bytes]], subprotocol: str | None) -> bytes:
        """The head of the response.

        Args:
            fields: more header fields of the server.
            subprotocol: the sub-protocol that the application has chosen; None for none.
        """
        lines = [_HEAD, b"Sec-WebSocket-Accept: ", self.accept.encode(), b"\r\n"]
        if subprotocol:
            lines += [b"Sec-WebSocket-Protocol: ", subprotocol.encode(), b"\r\n"]
        for name, value in fields:
            lines += [name, b": ", value, b"\r\n"]
        return b"".join((*lines, b"\r\n"))

    def response(self) -> Response:
        """The response as `ServerProtocol.accept` makes it, for an application that adds fields of its own."""
        fields = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": self.accept, "Date": ""}
        return Response(101, "Switching Protocols", Headers(fields))


def ordinary(method: str, version: str, fields: Fields, *, compression: bool) -> Ordinary | None:
    """Read an ordinary handshake (RFC 6455 §4.2.1).

    Args:
        method: the method of the request.
        version: the version of HTTP, such as "1.1".
        fields: the header fields of the request.
        compression: whether the server compresses, so that an offered extension has to be answered.

    Returns:
        None for a handshake that `ServerProtocol.accept` has to judge.
    """
    found = dict(fields)
    if method != "GET" or version != "1.1" or (len(found) != len(fields) and _repeats(fields)):
        return None
    if found.get(b"upgrade", b"").lower() != b"websocket" or found.get(b"sec-websocket-version") != b"13":
        return None
    key = found.get(b"sec-websocket-key", b"")
    if found.get(b"connection", b"").lower() not in _UPGRADES or not _KEY.fullmatch(key):
        return None
    offered = found.get(b"sec-websocket-protocol", b"")
    extended = b"sec-websocket-extensions" in found
    if (compression and extended) or (offered and not _TOKENS.fullmatch(offered)):
        return None
    names = [name.strip() for name in offered.decode().split(",")] if offered else []
    return Ordinary(accept_key(key.decode()), names)


def _repeats(fields: Fields) -> bool:
    names = [name for name, _value in fields]
    return any(names.count(name) > 1 for name in (*_ONCE, b"sec-websocket-protocol", b"sec-websocket-extensions"))


def request_of(path: bytes, fields: Fields, method: str, version: str) -> Request:
    """The request as the `websockets` package reads one, for `ServerProtocol.accept`."""
    headers = Headers([(name.decode("ascii"), value.decode("latin-1")) for name, value in fields])
    return Request(path.decode("ascii"), headers, method=method, protocol=f"HTTP/{version}")


def websocket_scope(
    http: Mapping[str, Any], url: bytes, scheme: str, handshake: Ordinary, extensions: Mapping[str, Any]
) -> Any:
    """The ASGI scope of a WebSocket.

    Args:
        http: the scope of the request that asks for the WebSocket.
        url: the path and the query of that request.
        scheme: "ws" or "wss".
        handshake: the handshake.
        extensions: the server's own extensions.
    """
    raw_path, _, query = url.partition(b"?")
    return {
        "type": "websocket",
        "asgi": {"version": http["asgi"]["version"], "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": scheme,
        "server": http["server"],
        "client": http["client"],
        "root_path": http["root_path"],
        "path": http["root_path"] + unquote(raw_path.decode("ascii")),
        "raw_path": http["root_path"].encode("ascii") + raw_path,
        "query_string": query,
        "headers": http["headers"],
        "subprotocols": handshake.subprotocols,
        "state": http["state"],
        "extensions": {"websocket.http.response": {}, **extensions},
    }
