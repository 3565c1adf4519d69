"""reliability.md §4 B1–B16 on the transports that take no commands: connect requests that mean no good."""

import asyncio
import base64
import json
from typing import Any

import pytest

from tests.abuse.conftest import Room, subscriber
from tests.support.matrix import mostly, smoke
from tests.support.processes import Server
from tests.support.rawws import BINARY, TEXT, RawWebSocket, encode_frame
from tests.support.unidirectional import WAYS, Listening
from tests.support.wire import WireClient

every_way = pytest.mark.parametrize("way", WAYS)
most_ways = pytest.mark.parametrize("way", mostly(["uni_http_stream", "uni_websocket"], WAYS))
REFUSED: tuple[dict[str, Any], ...] = ({}, {"disconnect": {"code": 3501}})
"""An HTTP status, or the end of a WebSocket, which is accepted before it says anything."""


async def refused(server: Server, way: str, request: bytes) -> bool:
    """Whether the request is answered with 400, or the WebSocket closed with 3501, or 1007 for what is no text."""
    async with Listening.open(server.port, way, request) as listening:
        first = await listening.first()
    if listening.status == 101:
        return first["disconnect"]["code"] in (3501, 1007)
    return (listening.status, first) == (400, {})


@most_ways
@pytest.mark.parametrize(
    "request_bytes",
    [
        smoke(b"hello", "hello"), b"\xef\xbb\xbf{}", b"null", b"[]", b"1", b'"text"', b"{'subs':{}}", b"{}x", b"{}\n{}",
        b"\xff", b'{"subs":[]}', b'{"subs":{"memory:a":1}}', b'{"token":7}',
        b'{"token":"\\ud800"}', b'{"subs":{"\\ud800":{}}}', b'{"token":"\xed\xa0\x80"}',
        b'{"subs":{"memory:a":{"recover":true,"offset":1.5}}}',
        b'{"subs":{"memory:a":{"offset":18446744073709551616}}}'
    ],
)  # fmt: skip
async def test_b1_b4_b5_what_is_no_connect_request_is_refused(server: Server, way: str, request_bytes: bytes) -> None:
    assert await refused(server, way, request_bytes)


@every_way
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
async def test_b2_depth_is_refused_quickly(server: Server, way: str, opening: bytes) -> None:
    # In a URL every one of these bytes may take three, and a request line that is upgraded is short.
    size = {"uni_sse": 15_000, "uni_websocket-query": 2_500}.get(way, 60_000)
    nested = b'{"later":' + opening * (size // len(opening))
    with server.works_less_than(0.5):
        assert await refused(server, way, nested)


@most_ways
@pytest.mark.parametrize("data", [smoke("NaN", "NaN"), "1e999", "[" * 17 + "]" * 17, "-0", '"\\ud800"'])
async def test_b2_b3_a_payload_that_is_none_connects_nobody(server: Server, way: str, data: str) -> None:
    async with Listening.open(server.port, way, b'{"data":%b}' % data.encode()) as listening:
        assert (await listening.first()) in (*REFUSED, {"disconnect": {"code": 3004}})
        assert listening.pushes == []


@every_way
async def test_b6_b8_what_is_unknown_is_ignored(server: Server, way: str) -> None:
    request = b'{"__proto__":{"a":1},"constructor":1,"id":7,"publish":{"channel":"memory:b8","data":1},"subs":{}}'
    async with (
        await subscriber(WireClient, server, "memory:b8") as witness,
        Listening.open(server.port, way, request) as listening,
    ):
        assert "connect" in await listening.first()
        await witness.settled()
        assert witness.received("memory:b8") == []


async def test_b8_b10_what_a_listener_says_later_is_ignored_and_bounded(server: Server) -> None:
    publish = b'{"id":2,"publish":{"channel":"memory:b8","data":1}}'
    async with (
        await subscriber(WireClient, server, "memory:b8") as witness,
        await RawWebSocket.connect(server.port, "/connection/uni_websocket") as socket,
    ):
        for message in (b"{}", publish, b"nonsense", publish):
            await socket.send_message(message)
        assert b'"connect"' in (await socket.read_frame()).payload
        await witness.settled()
        assert witness.received("memory:b8") == []
        await socket.send_bytes(encode_frame(TEXT, publish) * 2_000)
        async with asyncio.timeout(5):
            assert (await socket.read_close()).close_code == 3013


@pytest.mark.parametrize("path", ["/connection/uni_websocket", "/connection/websocket"])
async def test_b15_a_binary_frame_is_no_text(server: Server, path: str) -> None:
    async with asyncio.timeout(5), await RawWebSocket.connect(server.port, path) as socket:
        await socket.send_frame(BINARY, b'{"id":1,"connect":{}}')
        assert (await socket.read_close()).close_code == 3501


@every_way
async def test_b9_b11_wishes_beyond_the_limit_are_not_granted(server: Server, way: str) -> None:
    channels: dict[str, Any] = {f"ephemeral:b{number}": {} for number in range(140)}
    request = json.dumps({"subs": channels}, separators=(",", ":")).encode()
    async with Listening.open(server.port, way, request) as listening:
        first = await listening.first()
        assert len(first["connect"]["subs"]) == 128


@pytest.mark.parametrize("way", ["uni_sse-post", "uni_http_stream", "uni_websocket"])
async def test_b9_thousands_of_wishes_are_refused(server: Server, way: str) -> None:
    channels: dict[str, Any] = {f"ephemeral:b{number}": {} for number in range(2_000)}
    assert await refused(server, way, json.dumps({"subs": channels}).encode())


@most_ways
@pytest.mark.parametrize(
    "position", [smoke({"offset": 10**15}, "beyond"), {"epoch": "forged", "offset": 1}, {"offset": -1}]
)
async def test_b13_a_forged_position_means_reload(server: Server, way: str, position: dict[str, Any]) -> None:
    async with await subscriber(WireClient, server, "memory:b13") as client:
        await client.publish("memory:b13", "kept")
    request = json.dumps({"subs": {"memory:b13": {"recover": True, **position}}}).encode()
    async with Listening.open(server.port, way, request) as listening:
        found = (await listening.first())["connect"]["subs"]["memory:b13"]
        assert not found.get("recovered", False)
        assert "publications" not in found


@every_way
async def test_b13_a_position_of_another_channel_shows_nothing_of_it(server: Server, way: str) -> None:
    async with await WireClient.connected(server.port) as client:
        secret = await client.subscribe("memory:b13-secret")
        await client.publish("memory:b13-secret", "secret")
        await client.subscribe("memory:b13-own")
        await client.publish("memory:b13-own", "own")
    wish = {"recover": True, "epoch": secret["epoch"], "offset": 0}
    async with Listening.open(server.port, way, json.dumps({"subs": {"memory:b13-own": wish}}).encode()) as listening:
        found = (await listening.first())["connect"]["subs"]["memory:b13-own"]
        assert not found.get("recovered", False)
        assert "secret" not in json.dumps(found)


@every_way
async def test_b16_a_wish_whose_hook_fails_is_not_granted(server: Server, way: str) -> None:
    request = b'{"subs":{"failing:b16":{},"memory:b16":{}}}'
    async with Listening.open(server.port, way, request) as listening:
        first = await listening.first()
        assert first == {"disconnect": {"code": 3004}} or list(first["connect"]["subs"]) == ["memory:b16"]


@every_way
async def test_c1_a_wish_for_a_room_one_is_not_in_is_not_granted(room: Room, way: str) -> None:
    request = json.dumps({"subs": {room.channel: {"recover": True}}}).encode()
    headers = room.site.people["Mallory"].headers(room.port)
    async with Listening.open(room.port, way, request, headers=headers) as listening:
        assert room.channel not in (await listening.first())["connect"]["subs"]


async def test_b18_the_last_event_id_of_another_opens_no_door(room: Room) -> None:
    """Positions are wishes: Mallory, who is not in the room, gets nothing by Alice's."""
    stolen = base64.urlsafe_b64encode(json.dumps({room.channel: ["", 0]}).encode()).decode()
    headers = {"last-event-id": stolen, **room.site.people["Mallory"].headers(room.port)}
    async with Listening.open(room.port, "uni_sse", b"{}", headers=headers) as listening:
        assert room.channel not in (await listening.first())["connect"]["subs"]
