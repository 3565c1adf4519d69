"""Connections that only listen (protocol §6.2), and the positions in an SSE id."""

import asyncio
import base64
import json
from typing import Any
from urllib.parse import quote

import pytest
from msgspec import Raw

from hotclub.engine.errors import Disconnect, Refused
from hotclub.engine.port import Handshake
from hotclub.engine.protocol.messages import ConnectCommand, SubscribeCommand
from hotclub.engine.target import Target
from hotclub.engine.transports.unidirectional import (
    decode_positions,
    encode_positions,
    resume,
    serve_uni_http_stream,
    serve_uni_sse,
    serve_uni_websocket,
)
from tests.engine.support import Club
from tests.engine.transports.asgi import Exchange, post_commands, scope_of


def uni_sse(club: Club, request: object = None, last_id: bytes = b"") -> Exchange:
    query = b"" if request is None else b"cf_connect=" + quote(json.dumps(request)).encode()
    scope = scope_of("GET", query=query)
    if last_id:
        scope["headers"].append((b"last-event-id", last_id))
    exchange = Exchange.start(serve_uni_sse, club.node, scope, ..., Handshake())
    exchange.body(b"")
    return exchange


def uni_http_stream(club: Club, request: object = None) -> Exchange:
    exchange = Exchange.start(serve_uni_http_stream, club.node, scope_of(), ..., Handshake())
    exchange.body(b"" if request is None else json.dumps(request).encode())
    return exchange


def uni_websocket(club: Club, request: object = None) -> Exchange:
    scope = {"type": "websocket", "query_string": b"", "headers": [], "subprotocols": ["centrifuge-protobuf"]}
    exchange = Exchange.start(serve_uni_websocket, club.node, scope, ..., Handshake())
    exchange.put({"type": "websocket.connect"})
    exchange.put({"type": "websocket.receive", "text": json.dumps(request or {})})
    return exchange


OPENERS = [uni_sse, uni_http_stream, uni_websocket]


def go(stream: Exchange) -> None:
    """The peer leaves."""
    websocket = stream.sent[0]["type"].startswith("websocket")
    stream.put({"type": "websocket.disconnect" if websocket else "http.disconnect"})


def wishing(*channels: str, **wish: object) -> dict[str, Any]:
    return {"subs": dict.fromkeys(channels, wish)}


# What comes


@pytest.mark.parametrize("opener", OPENERS)
async def test_bare_pushes_come_after_a_bare_connect(club: Club, opener: Any) -> None:
    stream = opener(club, wishing("log:a", "deny:b"))
    connected = await stream.connected()
    assert set(connected["subs"]) == {"log:a"}
    assert connected["session"]
    assert "node" not in connected
    await club.publish("log:a", {"n": 1})
    pub = await stream.message(lambda item: item.get("pub"))
    assert (pub["data"], pub["offset"]) == ({"n": 1}, 1)
    assert not any("push" in item or "id" in item for item in stream.messages())
    go(stream)
    await stream.finished()
    assert (club.node.hub.num_clients, club.node.hub.num_channels, club.node.entrance.transports) == (0, 0, 0)
    assert len(club.node.pulse) == 0


@pytest.mark.parametrize("opener", OPENERS)
async def test_all_of_them_are_told_the_same(club: Club, opener: Any) -> None:
    stream, other = opener(club, wishing("plain:a")), uni_http_stream(club, wishing("plain:a"))
    await stream.connected()
    await other.connected()
    for value in (1, "zwei", {"three": [3]}, "四\u2028\r\n"):
        await club.publish("plain:a", value)
    told = [await publications(each, 4) for each in (stream, other)]
    assert told[0] == told[1]
    go(stream)
    go(other)


async def publications(stream: Exchange, number: int) -> list[Any]:
    """The pushes of publications, as soon as there are so many."""

    def found() -> list[Any] | None:
        pushes = [item for item in stream.messages() if "pub" in item]
        return pushes if len(pushes) >= number else None

    pushes: list[Any] = await stream.until(found)
    return pushes


@pytest.mark.parametrize("opener", OPENERS)
async def test_its_secret_opens_no_way_back(club: Club, opener: Any) -> None:
    stream = opener(club)
    connected = await stream.connected()
    await post_commands(club, {**connected, "node": club.node.id}, {"id": 2, "subscribe": {"channel": "log:a"}})
    assert club.node.hub.num_channels == 0
    go(stream)


async def test_nothing_at_all_is_a_request(club: Club) -> None:
    for opener in OPENERS:
        stream = opener(club)
        await stream.connected()
        go(stream)


# How it ends


@pytest.mark.parametrize("opener", [uni_sse, uni_http_stream])
async def test_a_disconnect_is_the_last_push(club: Club, opener: Any) -> None:
    stream = opener(club, wishing("log:a"))
    await stream.connected()
    club.node.disconnect(Target(), Disconnect(3503))
    await stream.finished()
    assert stream.messages()[-1] == {"disconnect": {"code": 3503, "reason": "force disconnect"}}
    assert stream.ended


@pytest.mark.parametrize(("error", "code"), [(109, 3005), (110, 3005), (111, 3013), (103, 3507), (100, 3004)])
@pytest.mark.parametrize("opener", OPENERS)
async def test_an_error_of_connect_is_a_disconnect(club: Club, opener: Any, error: int, code: int) -> None:
    stream = opener(club, {"data": {"error": error}})
    await stream.finished()
    if opener is uni_websocket:
        assert stream.sent[-1]["code"] == code
    else:
        assert [item["disconnect"]["code"] for item in stream.messages()] == [code]
    assert club.node.hub.num_clients == 0


@pytest.mark.parametrize(
    "request_", [[], 1, "x", {"subs": []}, {"subs": {"a": 1}}, {"token": 1}, {"data": {"x": float("nan")}}]
)
async def test_what_is_no_request(club: Club, request_: object) -> None:
    assert await uni_sse(club, request_).status() == 400
    assert await uni_http_stream(club, request_).status() == 400
    stream = uni_websocket(club, request_ or [0])
    await stream.finished()
    assert stream.sent[-1]["code"] == 3501


async def test_a_form_that_is_not_spoken_is_not_agreed_on(club: Club) -> None:
    stream = uni_websocket(club)
    await stream.until(lambda: stream.sent)
    assert stream.sent[0] == {"type": "websocket.accept", "subprotocol": None}
    go(stream)
    await stream.finished()


async def test_what_is_refused_before_the_stream(club: Club) -> None:
    for serve, method, headers, status in (
        (serve_uni_sse, "PUT", {}, 405),
        (serve_uni_sse, "POST", {"content-type": "text/plain"}, 415),
        (serve_uni_http_stream, "GET", {}, 405),
        (serve_uni_http_stream, "POST", {"content-type": "application/octet-stream"}, 415),
    ):
        stream = Exchange.start(serve, club.node, scope_of(method, headers=headers), ..., Handshake())
        assert await stream.status() == status
    stream = Exchange.start(serve_uni_http_stream, club.node, scope_of(), ..., Handshake())
    stream.body(b" " * 2_001, more=True)
    assert await stream.status() == 413


@pytest.mark.parametrize("opener", OPENERS)
async def test_a_reader_that_stopped_is_cut_off(club: Club, opener: Any) -> None:
    stream = opener(club, wishing("log:a"))
    await stream.connected()
    stream.stop_reading()
    for _ in range(50):
        await club.node.publish("log:a", Raw(b'"%b"' % (b"x" * 1_000)))
        await asyncio.sleep(0)
    await stream.finished()
    assert club.node.counters.closed == {3008: 1}
    assert (club.node.hub.num_clients, club.node.entrance.transports) == (0, 0)


async def test_a_websocket_client_is_listened_to_once(club: Club) -> None:
    stream = uni_websocket(club, wishing("log:a"))
    await stream.connected()
    stream.put({"type": "websocket.receive", "text": '{"subs":{"log:b":{}}}'})
    stream.put({"type": "websocket.receive", "text": "nonsense"})
    await club.publish("log:a", 1)
    await stream.message(lambda item: item.get("pub"))
    assert club.node.hub.channels() == ["log:a"]
    stream.put({"type": "websocket.receive", "bytes": b"\x00"})
    await stream.finished()
    assert stream.sent[-1]["code"] == 3501


@pytest.mark.parametrize("query", [b"&".join([b"x=1"] * 5_000), b"cf_connect", b"%", b"\xff\xfe=1", b"cf_connect=%ff"])
async def test_a_hostile_query_is_only_a_bad_request(club: Club, query: bytes) -> None:
    scope = {"type": "websocket", "query_string": query, "headers": []}
    stream = Exchange.start(serve_uni_websocket, club.node, scope, ..., Handshake())
    stream.put({"type": "websocket.connect"})
    stream.put({"type": "websocket.receive", "text": "x"})
    await stream.finished()
    assert stream.sent[-1]["code"] == 3501


async def test_a_websocket_may_be_asked_in_its_address(club: Club) -> None:
    query = b"cf_connect=" + quote(json.dumps(wishing("log:a"))).encode()
    stream = Exchange.start(
        serve_uni_websocket, club.node, {"type": "websocket", "query_string": query, "headers": []}, ..., Handshake()
    )
    stream.put({"type": "websocket.connect"})
    assert set((await stream.connected())["subs"]) == {"log:a"}
    go(stream)


# Positions


async def test_a_browser_that_comes_back_goes_on_where_it_was(club: Club) -> None:
    stream = uni_sse(club, wishing("log:a", "log:b", "plain:c"))
    await stream.connected()
    for value in (1, 2):
        await club.publish("log:a", value)
    await club.publish("log:b", "b")
    await club.publish("plain:c", "c")
    await stream.message(lambda item: item.get("pub", {}).get("data") == "c")
    last = stream.ids()[-1]
    go(stream)
    await stream.finished()
    for value in (3, 4):
        await club.publish("log:a", value)
    stream = uni_sse(club, wishing("log:a", "log:b", "plain:c"), last)
    subs = (await stream.connected())["subs"]
    assert [pub["data"] for pub in subs["log:a"]["publications"]] == [3, 4]
    assert (subs["log:a"]["recovered"], subs["log:b"]["recovered"]) == (True, True)
    assert "publications" not in subs["log:b"]
    assert "recovered" not in subs["plain:c"]
    go(stream)


async def test_the_id_never_says_more_than_was_written(club: Club) -> None:
    """Whatever is cut off after an id can be recovered from it."""
    stream = uni_sse(club, wishing("log:a", "log:b"))
    await stream.connected()
    for turn in range(30):
        await club.publish("log:a", "x" * turn)
        await club.publish("log:b", turn)
        if turn % 7 == 0:
            await asyncio.sleep(0)
    await stream.message(lambda item: item.get("pub", {}).get("data") == 29)
    seen = {"log:a": 0, "log:b": 0}
    ids = 0
    for line in stream.written.splitlines():
        if line.startswith(b"data: {"):
            item = json.loads(line[6:])
            if "pub" in item:
                seen[item["channel"]] = item["pub"]["offset"]
        elif line.startswith(b"id: "):
            ids += 1
            for channel, (_epoch, offset) in decode_positions(line[4:]).items():
                assert offset <= seen[channel]
    assert ids > 3
    go(stream)


async def test_the_id_does_not_count_what_ended_the_stream(club: Club) -> None:
    stream = uni_sse(club, wishing("log:a"))
    await stream.connected()
    await club.publish("log:a", 1)
    await club.publish_bytes("log:a", b"\xff")
    await stream.finished()
    assert stream.messages()[-1]["disconnect"]["code"] == 3506
    assert decode_positions(stream.ids()[-1])["log:a"][1] == 1


async def test_a_channel_that_may_no_longer_be_seen_is_not_resumed(club: Club) -> None:
    stream = uni_sse(club, wishing("log:a"))
    await stream.connected()
    await club.publish("log:a", 1)
    await stream.message(lambda item: item.get("pub"))
    last = stream.ids()[-1]
    go(stream)
    await club.publish("log:a", "secret")
    club.application.grants["log:a"] = Refused(103)
    stream = uni_sse(club, wishing("log:a"), last)
    assert "subs" not in await stream.connected()
    assert b"secret" not in stream.written
    go(stream)


def position_id(value: object) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(value).encode())


@pytest.mark.parametrize(
    "forged",
    [
        b"1",
        b"!" * 10,
        b"=" * 8,
        b"A" * 10_240,
        b"a\r\nset-cookie: x=1",
        b"a\x00b",
        b"\xff\xfe",
        position_id(None),
        position_id([]),
        position_id({"log:a": 1}),
        position_id({"log:a": ["e"]}),
        position_id({"log:a": ["e", "1"]}),
        position_id({"log:a": ["e", 1.5]}),
        position_id({"log:a": [None, 1]}),
        position_id({"log:a": ["e", 10**100]}),
        position_id({"log:a": ["e", 2**63]}),
        position_id({"log:a": ["e", 1, 1]}),
        base64.urlsafe_b64encode(b"{"),
        base64.urlsafe_b64encode(b"[" * 3_000),
        base64.urlsafe_b64encode(b'{"\xff":["",1]}'),
        base64.urlsafe_b64encode(b'{"log:a":["\\ud800",1]}'),
    ],
)
async def test_an_id_that_is_not_ours_is_no_position(club: Club, forged: bytes) -> None:
    assert decode_positions(forged) == {}
    stream = uni_sse(club, wishing("log:a"), forged)
    assert "recovered" not in (await stream.connected())["subs"]["log:a"]
    go(stream)


@pytest.mark.parametrize(
    ("channel", "position"),
    [
        ("log:a", ["another epoch", 1]),
        ("log:a", ["", 99]),
        ("log:a", ["", -1]),
        ("log:a", ["", 2**53]),
        ("deny:b", ["", 0]),
        ("#8", ["", 0]),
        ("a\r\nb", ["", 0]),
        ("x" * 1_000, ["", 0]),
    ],
)
async def test_a_position_in_a_forged_id_is_a_wish_like_any_other(
    club: Club, channel: str, position: list[object]
) -> None:
    await club.publish("log:a", "kept")
    stream = uni_sse(club, wishing("log:a"), position_id({channel: position}))
    subs = (await stream.connected())["subs"]
    assert set(subs) == {"log:a"}
    assert "recovered" not in subs["log:a"]
    assert b"kept" not in stream.written
    go(stream)


def test_positions_come_back_as_they_were() -> None:
    known = {"log:a": ("epoch", 5), "四#-.:": ("", 0)}
    encoded = encode_positions(known)
    assert decode_positions(encoded) == known
    assert encoded.isascii()
    assert not set(encoded) & set(b"\r\n\x00 ")


def test_an_id_is_never_longer_than_is_taken_back() -> None:
    known = {f"channel-{'x' * 200}-{number}": ("epoch", number) for number in range(128)}
    encoded = encode_positions(known)
    some = decode_positions(encoded)
    assert 5 < len(some) < 128
    assert some.items() <= known.items()
    assert decode_positions(encode_positions({"x" * 255: ("e" * 9_000, 1)})) == {}


def test_a_resumed_wish_keeps_what_it_was_wished_with() -> None:
    wish = SubscribeCommand(token="t", data=Raw(b"1"), delta="fossil")
    request = resume(ConnectCommand(token="c", subs={"a": wish, "b": wish}), {"a": ("e", 7), "c": ("f", 1)})
    assert request.token == "c"
    assert request.subs == {
        "a": SubscribeCommand(token="t", data=Raw(b"1"), delta="fossil", recover=True, epoch="e", offset=7),
        "b": wish,
        "c": SubscribeCommand(recover=True, epoch="f", offset=1),
    }
