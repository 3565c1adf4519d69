"""Forwarded headers count from trusted proxies alone, for Django as for Hotclub's own transports."""

import logging
from typing import Any

import pytest

from hotclub.access.forwarded import Forwarded

TRUSTED = ("127.0.0.1", "10.0.0.0/8", "unix")
HEADERS = [
    (b"host", b"example.com"),
    (b"x-forwarded-for", b"6.6.6.6, 1.2.3.4"),
    (b"x-forwarded-proto", b"https"),
    (b"x-forwarded-host", b"evil.example"),
    (b"forwarded", b"for=6.6.6.6"),
    (b"x-scheme", b"https"),
]


def scope(peer: Any) -> dict[str, Any]:
    return {"type": "http", "client": peer, "headers": HEADERS}


@pytest.mark.parametrize("peer", [("127.0.0.1", 5000), ("10.1.2.3", 5000), ("::ffff:10.1.2.3", 1), None, ("", 0)])
def test_a_trusted_proxy_tells_the_clients_address(peer: Any) -> None:
    given = scope(peer)
    believed = Forwarded().believed(given, TRUSTED)
    assert believed["client"][0] == "1.2.3.4"
    assert believed["headers"] == HEADERS
    assert given["client"] == peer, "the server's scope stays as it was"
    assert Forwarded().believed(believed, ())["client"][0] == "1.2.3.4"


def test_nobody_else_says_anything_of_address_scheme_and_host(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_SCHEME", "https")
    forwarded = Forwarded()
    with caplog.at_level(logging.WARNING, "hotclub"):
        believed = [forwarded.believed(scope(("192.0.2.7", 5000)), TRUSTED) for _ in range(3)]
    assert {scope["client"] for scope in believed} == {("192.0.2.7", 5000)}
    assert [scope["headers"] for scope in believed] == [[(b"host", b"example.com")]] * 3
    (line,) = caplog.messages
    assert "192.0.2.7" in line
    assert "TRUSTED_PROXIES" in line


def test_without_trusted_proxies_the_server_in_front_decides() -> None:
    assert Forwarded().believed(scope(("127.0.0.1", 1)), ()) == scope(("127.0.0.1", 1))
