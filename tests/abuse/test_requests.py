"""reliability.md §4 A7, A14 and A15: request heads that mean no good, to every endpoint."""

import asyncio

import pytest

from tests.support.matrix import mostly
from tests.support.processes import Server
from tests.support.requests import ENDPOINTS, OPENINGS, answer, answered, request

every_endpoint = pytest.mark.parametrize("endpoint", ENDPOINTS)
most_endpoints = pytest.mark.parametrize("endpoint", mostly(["websocket", "http_stream"], ENDPOINTS))
GOOD = {"websocket": 101, "websocket-protobuf": 101, "uni_websocket": 101, "emulation": 404}
"""Of a request that nothing is wrong with, where it is not 200: nobody has the session of the POST."""


@every_endpoint
async def test_a_good_request_is_let_in(server: Server, endpoint: str) -> None:
    """Without this the tests below could not fail."""
    assert (await answer(server.port, request(server.port, endpoint))).status == GOOD.get(endpoint, 200)


@most_endpoints
@pytest.mark.parametrize(
    "line",
    [
        *(pytest.param(b"X: a%cb" % byte, id=f"byte {byte:02x}") for byte in (0, 0x0B, 0x0C, 0x1B, 0x1C, 0x7F, 0x85)),
        pytest.param(b"X: a\rSet-Cookie: b", id="carriage return", marks=pytest.mark.smoke),
        pytest.param(b"X: a\r\n b", id="folded"),
        pytest.param(b"X\x85: a", id="byte in a name"),
        pytest.param(b"X : a", id="space after a name"),
        pytest.param(b"no colon", id="no colon"),
        pytest.param(b"Host: evil.com", id="second host"),
        pytest.param(b"Origin: http://a\r\nOrigin: http://b", id="two origins", marks=pytest.mark.smoke),
        pytest.param(b"Cookie: a=b\r\nCookie: c=d", id="two cookies"),
        pytest.param(b"X: " + b"a" * 66_000, id="64 KiB"),
        pytest.param(b"X: a\r\n" * 200 + b"Y: b", id="200 fields"),
    ],
)
async def test_a14_an_ambiguous_head_is_refused(server: Server, endpoint: str, line: bytes) -> None:
    async with answered(server.port, request(server.port, endpoint, line)) as (found, reader):
        assert found.status in (400, 431)
        async with asyncio.timeout(5):
            await reader.read()


@pytest.mark.parametrize("endpoint", ["websocket", "uni_websocket"])
@pytest.mark.parametrize("name", [b"\xff\xfe", "ｊｓｏｎ".encode(), "centrifuge‑protobuf".encode()])
async def test_a14_a_subprotocol_of_other_letters_is_refused(server: Server, endpoint: str, name: bytes) -> None:
    found = await answer(server.port, request(server.port, endpoint, b"Sec-WebSocket-Protocol: " + name))
    assert found.status == 400


@pytest.mark.parametrize("endpoint", ["websocket", "websocket-protobuf", "uni_websocket"])
@pytest.mark.parametrize("version", [b"8", b"12", b"99", b"-1", b"x"])
async def test_a15_another_version_of_websocket_is_refused(server: Server, endpoint: str, version: bytes) -> None:
    sent = request(server.port, endpoint, b"Sec-WebSocket-Version: " + version, without="Sec-WebSocket-Version")
    async with answered(server.port, sent) as (found, reader):
        assert found.status in (400, 426)
        async with asyncio.timeout(5):
            assert b"HTTP/1.1" not in await reader.read()


@pytest.mark.parametrize("endpoint", [endpoint for endpoint in ENDPOINTS if "websocket" not in endpoint])
@pytest.mark.parametrize("to", ["websocket", "h2c", "TLS/1.0"])
async def test_a15_no_other_endpoint_becomes_a_tunnel(server: Server, endpoint: str, to: str) -> None:
    smuggled = b"GET /connection/uni_sse HTTP/1.1\r\nHost: a\r\n\r\n"
    more = (b"Connection: Upgrade", f"Upgrade: {to}".encode(), b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: x")
    async with answered(server.port, request(server.port, endpoint, *more) + smuggled) as (found, reader):
        assert found.status in (200, 400, 404, 405, 426)
        if found.status != 200:
            async with asyncio.timeout(5):
                assert b"HTTP/1.1" not in await reader.read()


@every_endpoint
async def test_a15_two_lengths_are_refused(server: Server, endpoint: str) -> None:
    for more in (
        (b"Content-Length: 3", b"Transfer-Encoding: chunked"),
        (b"Content-Length: 3", b"Content-Length: 4"),
        (b"Transfer-Encoding: chunked, identity", b"Content-Length: 3"),
    ):
        found = await answer(server.port, request(server.port, endpoint, *more, without="Content-Length"))
        assert found.status == 400, more


@pytest.mark.parametrize("endpoint", ["sse", "uni_sse", "websocket", "uni_websocket"])
async def test_a15_a_get_with_a_body_is_refused(server: Server, endpoint: str) -> None:
    sent = request(server.port, endpoint, b"Content-Length: 5") + b"hello"
    assert (await answer(server.port, sent)).status in (400, 413)


@pytest.mark.parametrize("endpoint", ["websocket", "websocket-protobuf", "uni_websocket"])
@pytest.mark.parametrize("offer", [b"permessage-deflate", b"permessage-deflate; client_max_window_bits=8, x"])
async def test_a7_a8_nobody_is_granted_compression(server: Server, endpoint: str, offer: bytes) -> None:
    """So there is nothing to inflate, and no secret beside an attacker's text in one window."""
    found = await answer(server.port, request(server.port, endpoint, b"Sec-WebSocket-Extensions: " + offer))
    assert found.status == 101
    assert "sec-websocket-extensions" not in found.headers


@pytest.mark.parametrize("endpoint", OPENINGS)
async def test_a7_a8_no_answer_is_compressed(server: Server, endpoint: str) -> None:
    found = await answer(server.port, request(server.port, endpoint, b"Accept-Encoding: gzip, br, zstd"))
    assert "content-encoding" not in found.headers


@every_endpoint
async def test_a7_a_compressed_body_is_not_inflated(server: Server, endpoint: str) -> None:
    """The bytes are taken as they are: what is compressed is no JSON."""
    found = await answer(server.port, request(server.port, endpoint, b"Content-Encoding: gzip"))
    assert found.status == GOOD.get(endpoint, 200)


async def test_a9_heads_that_dribble_are_given_up_and_others_are_served(server: Server) -> None:
    heads = [request(server.port, endpoint).partition(b"\r\n\r\n")[0] for endpoint in ENDPOINTS]
    slow = [asyncio.create_task(answer(server.port, head)) for head in heads * 20]
    for endpoint in ENDPOINTS:
        assert (await answer(server.port, request(server.port, endpoint))).status == GOOD.get(endpoint, 200)
    assert not any(waiting.done() for waiting in slow)
    assert {found.status for found in await asyncio.gather(*slow)} == {408}
