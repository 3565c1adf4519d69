"""reliability.md §4 A and B where they are about HTTP: requests to the streaming transports that mean no good."""

import asyncio
import base64
import json
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import quote

import pytest

from tests.abuse.conftest import LIMITS, Room
from tests.support.emulated import HttpStreamClient
from tests.support.listener import Listener, Response
from tests.support.processes import Server
from tests.support.wire import WireClient

JSON = MappingProxyType({"content-type": "application/json"})
CONNECT = b'{"id":1,"connect":{}}'
POSTED = [
    "/connection/http_stream",
    "/connection/sse",
    "/connection/uni_http_stream",
    "/connection/uni_sse",
    "/emulation",
]


async def status_of(server: Server, path: str, body: bytes | None = None, **options: object) -> int:
    headers = options.pop("headers", JSON)
    assert isinstance(headers, Mapping)
    method = str(options.pop("method", ""))
    async with await Response.open(server.port, path, body=body, headers=headers, method=method) as response:
        return response.status


async def first_push(response: Response) -> bytes:
    """What comes first and is no prelude."""
    async for piece in response.pieces():
        if piece.strip():
            return piece
    return b""


@pytest.mark.parametrize("path", POSTED)
async def test_a5_b9_a_body_that_is_too_large_is_413(server: Server, path: str) -> None:
    assert await status_of(server, path, b"\n" * 8_000_000) == 413


async def test_a9_bodies_that_dribble_are_given_up(server: Server) -> None:
    assert await asyncio.gather(*(_dribbled(server, path) for path in POSTED)) == [408] * len(POSTED)


async def _dribbled(server: Server, path: str) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n"
    writer.write(head.encode())
    dribbling = asyncio.create_task(_dribble(writer))
    try:
        answer = await asyncio.wait_for(reader.readline(), LIMITS["CONNECT_TIMEOUT"] + 3)
        return int(answer.split()[1])
    finally:
        dribbling.cancel()
        writer.transport.abort()


async def _dribble(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b" ")
        await asyncio.sleep(0.2)


@pytest.mark.parametrize("path", POSTED)
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD"])
async def test_a15_other_methods_are_405(server: Server, path: str, method: str) -> None:
    assert await status_of(server, path, method=method) == 405


@pytest.mark.parametrize("path", POSTED)
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
async def test_b15_what_a_form_of_another_site_could_send_is_415(server: Server, path: str, kind: str) -> None:
    assert await status_of(server, path, CONNECT, headers={"content-type": kind}) == 415


@pytest.mark.parametrize(
    "body", [b"hello", b"null", b"[]", b"[" * 60_000, b"\xff", b'{"id":1,"subscribe":{"channel":"memory:a"}}']
)
@pytest.mark.parametrize("path", ["/connection/http_stream", "/connection/sse"])
async def test_b1_b2_what_is_no_connect_command_ends_the_stream(server: Server, path: str, body: bytes) -> None:
    async with await Response.open(server.port, path, body=body, headers=JSON) as response:
        assert b'"code":3501' in (await first_push(response)).replace(b" ", b"")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"[]",
        b"{}",
        b'{"session":"a"}',
        b'{"session":1,"node":2,"data":3}',
        b'{"session":"a","node":"b","data":{}}',
        b"\xff" * 100,
        b"[" * 100_000,
    ],
)
async def test_b1_b2_a_post_that_makes_no_sense_is_400(server: Server, body: bytes) -> None:
    assert await status_of(server, "/emulation", body) == 400


async def test_b19_a_session_that_nobody_has_is_404_and_one_that_ended_is_none(server: Server) -> None:
    forged = {"session": "A" * 43, "node": "b", "data": "{}"}
    assert await status_of(server, "/emulation", json.dumps(forged).encode()) == 404
    async with await HttpStreamClient.connected(server.port) as client:
        await client.subscribe("memory:b19")


async def test_b19_the_session_of_another_user_is_403(room: Room) -> None:
    async with await HttpStreamClient.connected(
        room.port, headers=room.site.people["Alice"].headers(room.port)
    ) as alice:
        identity = await alice.emulated.identity()
        command = json.dumps({"id": 7, "subscribe": {"channel": room.channel}})
        body = json.dumps({**identity, "data": command}).encode()
        for headers in ({}, room.site.people["Mallory"].headers(room.port)):
            assert await status_of(room.server, "/emulation", body, headers={**JSON, **headers}) == 403
        assert await alice.subscribe(room.channel)


@pytest.mark.parametrize(
    "event_id",
    [
        "x",
        "A" * 10_000,
        "../../etc/passwd",
        base64.b64encode(b"[]").decode(),
        base64.b64encode(b'{"memory:b18":["e",-1]}').decode(),
        base64.b64encode(b'{"memory:b18":["forged",1]}').decode(),
        base64.b64encode(b'{"memory:b18":["",99999999999]}').decode(),
        base64.b64encode(b"[" * 3_000).decode(),
    ],
)
async def test_b18_a_forged_last_event_id_recovers_nothing(server: Server, event_id: str) -> None:
    async with await WireClient.connected(server.port) as writer:
        await writer.subscribe("memory:b18")
        await writer.publish("memory:b18", "kept")
    wish = quote('{"subs":{"memory:b18":{}}}')
    headers = {"last-event-id": event_id}
    async with await Response.open(server.port, f"/connection/uni_sse?cf_connect={wish}", headers=headers) as response:
        assert response.status == 200
        assert b"kept" not in await first_push(response)


@pytest.mark.parametrize(
    "text", ["a\nb", "a\r\ndata: evil", "\r", "\u2028\u2029", "\n\nevent: evil\ndata: x\n\n", "id: 1"]
)
@pytest.mark.parametrize("transport", ["sse-json", "uni_sse-json"])
async def test_b17_no_text_can_make_an_event(server: Server, transport: str, text: str) -> None:
    async with (
        Listener.open(server.port, transport, "memory:b17") as listener,
        await WireClient.connected(server.port) as writer,
    ):
        await writer.subscribe("memory:b17")
        await writer.socket.send_text(
            '{"id":50,"publish":{"channel":"memory:b17","data":[ \n"%s" ]}}'.replace("\n", "\r")
            % json.dumps(text)[1:-1]
        )
        await listener.until(lambda: bool(listener.seen))
        assert json.loads(listener.seen[-1][1]) == [text]
