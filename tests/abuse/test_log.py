"""reliability.md §4: whatever is tried leaves one line on the log, which tells who and what and never what was sent."""

import asyncio
import re

import pytest

from tests.abuse.conftest import Said, subscriber
from tests.support.emulated import CLIENTS
from tests.support.matrix import mostly, smoke
from tests.support.processes import Server
from tests.support.rawws import TEXT, RawWebSocket, encode_frame
from tests.support.requests import ENDPOINTS, answer, request
from tests.support.unidirectional import WAYS, Listening
from tests.support.wire import WireClient

SECRET = b"the-secret-that-was-sent"
most_endpoints = pytest.mark.parametrize("endpoint", mostly(["websocket", "http_stream"], ENDPOINTS))
EVIL = "\x1b[31m\u2028\u202e'\" code=0"
"""Letters that forge or colour lines where they are put on a terminal as they are."""


@pytest.mark.parametrize("transport", CLIENTS)
async def test_the_end_of_a_connection_is_one_line(server: Server, transport: str) -> None:
    said = Said(server)
    async with await CLIENTS[transport].connected(server.port) as client:
        await client.send_message(SECRET)
        await client.ended()
    who = f"transport={transport.partition('-')[0]!r} client={client.client_id!r} user='' address='127.0.0.1'"
    assert said.lines == [f"Ended a connection: code=3501 reason='bad request' {who}"]


@pytest.mark.parametrize("transport", CLIENTS)
async def test_refused_commands_of_one_connection_are_one_line(server: Server, transport: str) -> None:
    said = Said(server)
    async with await subscriber(CLIENTS[transport], server, "memory:log") as client:
        for _ in range(3):
            assert await client.fate(
                await client.publish_bytes("memory:log", b'["%b",' % SECRET + b"[" * 20 + b"]" * 21)
            )
        with pytest.raises(Exception, match="107"):
            await client.subscribe(EVIL + SECRET.decode())
    assert [line.partition(" transport=")[0] for line in said.lines] == [
        "Refused a command: code=107 reason='bad request'"
    ]


@pytest.mark.parametrize("way", WAYS)
async def test_a_refused_listener_is_one_line(server: Server, way: str) -> None:
    said = Said(server)
    async with Listening.open(server.port, way, SECRET) as listening:
        await listening.first()
    [line] = said.lines
    assert re.match(r"Ended a connection: code=3501 |Refused a request: status=400 ", line)


@most_endpoints
@pytest.mark.parametrize(
    ("more", "host", "status"),
    [
        pytest.param(f"Origin: http://{EVIL[1:]}".encode(), "", 403, id="origin", marks=pytest.mark.smoke),
        pytest.param(b"Origin: http://" + b"x" * 5_000, "", 403, id="long origin"),
        pytest.param(b"Origin: http://evil", "evil\u2028.com", 400, id="host"),
        pytest.param(b"X: y", "x" * 5_000, 400, id="long host"),
        pytest.param(f"Origin: http://evil\r\nUser-Agent: {EVIL[1:]}".encode(), "", 403, id="user agent"),
        pytest.param(f"Origin: http://evil\r\nX-Forwarded-For: {EVIL[1:]}".encode(), "", 403, id="forwarded"),
    ],
)
async def test_a17_a_refused_request_is_one_line(
    server: Server, endpoint: str, more: bytes, host: str, status: int
) -> None:
    said = Said(server)
    sent = request(server.port, endpoint, more, host=host, query="token=" + SECRET.decode())
    assert (await answer(server.port, sent)).status == status
    [line] = said.lines
    assert line.startswith(f"Refused a request: status={status} ")
    assert SECRET.decode() not in line


@most_endpoints
@pytest.mark.parametrize(
    "path", [smoke("%0d%0aFORGED%20line%1b%5b31m", "line"), "%e2%80%a8", "x" * 5_000, "%ff", "\\n%00"]
)
async def test_a17_a_path_forges_nothing(server: Server, endpoint: str, path: str) -> None:
    """Asked of what is beside the endpoints, too: that is Django's."""
    said = Said(server)
    target, _, rest = request(server.port, endpoint).partition(b" HTTP/1.1")
    for separator in (b"", b"/", b"?x="):
        await answer(server.port, target + separator + path.encode() + b" HTTP/1.1" + rest)
    assert not [line for line in said.lines if "FORGED" in line and not line.startswith("Refused a request")]


async def test_a_broken_frame_is_one_line(server: Server) -> None:
    for path in ("/connection/websocket", "/connection/uni_websocket"):
        said = Said(server)
        async with asyncio.timeout(5), await RawWebSocket.connect(server.port, path) as socket:
            await socket.send_bytes(encode_frame(TEXT, SECRET, rsv=4))
            await socket.read_close()
        [line] = said.lines
        assert re.fullmatch(rf"Ended a connection: code=1002 reason='[ -~]+' path='{path}' address='127.0.0.1'", line)


async def test_who_behaves_leaves_none(server: Server) -> None:
    said = Said(server)
    for kind in CLIENTS.values():
        async with await kind.connected(server.port) as client:
            await client.subscribe("memory:quiet")
            await client.publish("memory:quiet", "hello")
            await client.call("unsubscribe", channel="memory:quiet")
    assert said.lines == []


async def test_whoever_comes_back_without_a_session_is_one_line(server: Server) -> None:
    said = Said(server)
    async with await WireClient.open(server.port) as client:
        await client.start("connect", token="forged")
        assert (await client.ended()).code == 3500
    [line] = said.lines
    assert "code=3500" in line
    assert "forged" not in line
