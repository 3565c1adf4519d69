"""The quick reading of ordinary WebSocket handshakes agrees with the judgement of the `websockets` package."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uvicorn import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.server import ServerProtocol

from hotclub.engine.limits import Limits
from hotclub.serving.frames import FrameParser
from hotclub.serving.upgrade import Fields, ordinary, request_of
from hotclub.serving.websocket import WebSocketProtocol

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
PLAIN = (
    (b"host", b"a"),
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-key", KEY),
    (b"sec-websocket-version", b"13"),
)
VALUES = st.sampled_from(
    (b"", b"websocket", b"WebSocket", b"h2c", b"Upgrade", b"keep-alive, Upgrade", b"close", b"13", b"8", b"13, 8")
) | st.sampled_from((KEY, b"c2hvcnQ=", KEY + b"=", KEY[:-3] + b"R==", b"a", b"a, b", b"a,,b", b"permessage-deflate"))
NAMES = st.sampled_from([name for name, _value in PLAIN] + [b"sec-websocket-protocol", b"sec-websocket-extensions"])


def judged(fields: Fields, method: str = "GET", version: str = "1.1") -> tuple[int, str | None]:
    response = ServerProtocol().accept(request_of(b"/", fields, method, version))
    return response.status_code, response.headers.get("Sec-WebSocket-Accept")


def test_a_plain_handshake_is_ordinary() -> None:
    handshake = ordinary("GET", "1.1", PLAIN, compression=False)
    assert handshake is not None
    assert judged(PLAIN) == (101, handshake.accept)


@given(
    changes=st.lists(st.tuples(NAMES, VALUES), max_size=4), drop=st.sets(NAMES, max_size=2), compression=st.booleans()
)
def test_what_counts_as_ordinary_would_be_accepted_with_the_same_answer(
    changes: list[tuple[bytes, bytes]], drop: set[bytes], compression: bool
) -> None:
    fields = [*(field for field in PLAIN if field[0] not in drop), *changes]
    handshake = ordinary("GET", "1.1", fields, compression=compression)
    offers_nothing = (b"sec-websocket-protocol", b"") in fields
    if handshake is not None and not offers_nothing:
        assert judged(fields) == (101, handshake.accept)


@pytest.mark.parametrize(("method", "version"), [("POST", "1.1"), ("HEAD", "1.1"), ("GET", "1.0"), ("GET", "2")])
def test_another_method_or_version_is_not_ordinary(method: str, version: str) -> None:
    assert ordinary(method, version, PLAIN, compression=False) is None
    assert judged(PLAIN, method, version)[0] != 101


def test_an_offered_extension_is_judged_where_the_server_compresses() -> None:
    fields = (*PLAIN, (b"sec-websocket-extensions", b"permessage-deflate"))
    assert ordinary("GET", "1.1", fields, compression=True) is None
    assert ordinary("GET", "1.1", fields, compression=False) is not None


def test_a_connection_has_every_attribute_that_uvicorn_gives_one() -> None:
    """The constructor of uvicorn's class is not called, so that a new attribute there has to be noticed."""

    async def app(_scope: Any, _receive: Any, _send: Any) -> None: ...

    config = Config(app)
    config.load()
    state: Any = SimpleNamespace(connections=set(), tasks=set(), default_headers=[])
    loop: Any = SimpleNamespace()
    theirs = WebSocketsSansIOProtocol(config, state, {}, loop)
    ours = WebSocketProtocol(config, state, {}, loop, limits=Limits())
    # The transport's own come with the connection.
    later = {"transport", "server", "client", "scheme"}
    assert [name for name in vars(theirs) if name not in later and not hasattr(ours, name)] == []


def test_a_parser_has_every_attribute_that_the_websockets_package_gives_one() -> None:
    theirs, ours = ServerProtocol(logger=logging.getLogger("uvicorn.error")), FrameParser(Limits(), compression=False)
    names = {name for name in vars(theirs) if name not in ("id", "parser", "reader")}
    assert names <= vars(ours).keys()
    differs = {"max_message_size", "available_extensions"}
    assert {name for name in names - differs if vars(theirs)[name] != vars(ours)[name]} == set()
