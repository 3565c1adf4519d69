"""The WebSocket transport on plain ASGI: handshake, frames, limits, and how it ends."""

import asyncio
import time
from typing import Any

import pytest
from msgspec import Raw

from hotclub.engine.errors import Disconnect
from hotclub.engine.limits import Limits
from hotclub.engine.port import Handshake
from hotclub.engine.target import Target
from hotclub.engine.transports.websocket import PROTOBUF, serve_websocket, wants_protobuf
from tests.engine.support import Club
from tests.engine.transports.asgi import Exchange

CONNECT = '{"id":1,"connect":{}}'


def websocket(club: Club, *texts: str, **scope: Any) -> Exchange:
    full = {"type": "websocket", "query_string": b"", "headers": [], **scope}
    exchange = Exchange.start(serve_websocket, club.node, full, ..., Handshake())
    exchange.put({"type": "websocket.connect"})
    for text in texts:
        say(exchange, text)
    return exchange


def say(socket: Exchange, text: str) -> None:
    socket.put({"type": "websocket.receive", "text": text})


def close_of(socket: Exchange) -> tuple[int, str]:
    last = socket.sent[-1]
    assert last["type"] == "websocket.close"
    return last["code"], last["reason"]


def test_protobuf_is_chosen_by_sub_protocol_or_query() -> None:
    assert wants_protobuf({"subprotocols": ["x", PROTOBUF]})
    assert wants_protobuf({"query_string": b"format=protobuf"})
    assert wants_protobuf({"query_string": b"a=b&cf_protocol=protobuf"})
    for other in (
        {},
        {"query_string": b"format=json"},
        {"query_string": b"\xff"},
        {"subprotocols": ["centrifuge-json"]},
    ):
        assert not wants_protobuf(other)


@pytest.mark.parametrize(
    ("offered", "chosen"), [([], None), (["x"], None), ([PROTOBUF], PROTOBUF), (["x", PROTOBUF], PROTOBUF)]
)
async def test_a_sub_protocol_is_named_back(club: Club, offered: list[str], chosen: str | None) -> None:
    socket = websocket(club, subprotocols=offered)
    await socket.until(lambda: socket.sent)
    assert socket.sent == [{"type": "websocket.accept", "subprotocol": chosen}]
    socket.put({"type": "websocket.disconnect"})
    await socket.finished()


async def test_what_is_sent_in_one_turn_is_one_message(club: Club) -> None:
    socket = websocket(club, CONNECT + '\n{"id":2,"rpc":{"method":"whoami"}}\n{"id":3,"ping":{}}')
    await socket.message(lambda item: item.get("id") == 3)
    assert [item["id"] for item in socket.messages()] == [1, 2, 3]
    assert "session" not in socket.messages()[0]["connect"]
    assert "node" not in socket.messages()[0]["connect"]
    socket.put({"type": "websocket.disconnect"})
    await socket.finished()
    assert club.node.entrance.transports == 0


async def test_protobuf_is_bytes(club: Club) -> None:
    socket = websocket(club, query_string=b"format=protobuf")
    socket.put({"type": "websocket.receive", "bytes": b"\x04\x08\x01\x22\x00"})
    await socket.until(lambda: len(socket.sent) > 1)
    assert socket.sent[1]["type"] == "websocket.send"
    assert isinstance(socket.sent[1]["bytes"], bytes)
    socket.put({"type": "websocket.receive", "text": CONNECT})
    await socket.finished()
    assert close_of(socket) == (3501, "bad request")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"text": ""}, 3501),
        ({"text": "\n"}, 3501),
        ({"text": "x"}, 3501),
        ({"text": CONNECT + "\n\n"}, 3501),
        ({"text": '{"id":1,"rpc":{}}'}, 3501),
        ({"text": '{"connect":{}}'}, 3501),
        ({"bytes": CONNECT.encode()}, 3501),
        ({"text": None, "bytes": b""}, 3501),
        ({"text": "四" * 667}, 1009),
        ({"bytes": b"x" * 2_001}, 1009),
    ],
)
async def test_a_bad_message_ends_it(club: Club, message: dict[str, Any], code: int) -> None:
    socket = websocket(club)
    socket.put({"type": "websocket.receive", **message})
    await socket.finished()
    assert close_of(socket)[0] == code
    assert close_of(socket)[1]
    assert (club.node.hub.num_clients, club.node.entrance.transports) == (0, 0)


async def test_it_ends_with_the_code_after_what_was_written(club: Club) -> None:
    socket = websocket(club, CONNECT)
    await socket.connected()
    say(socket, '{"id":2,"subscribe":{"channel":"plain:a"}}')
    await socket.message(lambda item: "subscribe" in item)
    await club.publish("plain:a", 1)
    club.node.disconnect(Target(), Disconnect(3503))
    await socket.finished()
    assert [item for item in socket.messages() if "push" in item]
    assert close_of(socket) == (3503, "force disconnect")
    assert club.application.ended[0][1] == 3503


async def test_a_reader_that_stopped_is_cut_off(club: Club) -> None:
    socket = websocket(club, CONNECT, '{"id":2,"subscribe":{"channel":"log:a"}}')
    await socket.message(lambda item: "subscribe" in item)
    socket.stop_reading()
    for _ in range(50):
        await club.node.publish("log:a", Raw(b'"%b"' % (b"x" * 1_000)))
        await asyncio.sleep(0)
    await socket.finished()
    assert club.node.counters.closed == {3008: 1}
    assert (club.node.hub.num_clients, club.node.entrance.transports) == (0, 0)


@pytest.mark.parametrize("leave", ["gone", "cancelled"])
async def test_a_peer_that_is_gone_leaves_nothing(club: Club, leave: str) -> None:
    socket = websocket(club, CONNECT, '{"id":2,"subscribe":{"channel":"here:a"}}')
    await socket.message(lambda item: item.get("push", {}).get("join"))
    if leave == "gone":
        socket.put({"type": "websocket.disconnect", "code": 1006})
        await socket.finished()
    else:
        socket.cancel()
        with pytest.raises(asyncio.CancelledError):
            await socket.finished()
    assert await club.node.presence.members("here:a") == {}
    assert (club.node.hub.num_clients, club.node.entrance.transports, len(club.node.pulse)) == (0, 0, 0)
    assert [channel for _, channel in club.application.left] == ["here:a"]
    assert len(club.application.ended) == 1


async def test_a_silent_peer_is_ended_and_one_that_answers_is_not() -> None:
    club = Club(Limits(ping_interval=0.2, pong_timeout=0.1, close_timeout=0.1))
    await club.node.start()
    silent, alive = websocket(club, CONNECT), websocket(club, CONNECT)
    await silent.connected()
    await alive.connected()
    answered = 0
    while not silent.done:
        pings = sum(item == {} for item in alive.messages())
        for _ in range(pings - answered):
            say(alive, "{}")
        answered = pings
        await asyncio.sleep(0.01)
    assert close_of(silent) == (3012, "no pong")
    assert answered
    assert not alive.done
    await club.node.stop()
    await alive.finished()
    assert close_of(alive)[0] == 3001


async def test_no_connect_in_time_is_stale() -> None:
    club = Club(Limits(connect_timeout=0.05, close_timeout=0.1))
    await club.node.start()
    for texts in ((), ("{}",), ('{"id":1,"connect":{"data":{"error":103}}}',)):
        socket = websocket(club, *texts)
        await socket.finished()
        assert close_of(socket) == (3502, "stale")
    await club.node.stop()


async def test_a_client_whom_the_server_keeps_waiting_is_told_to_come_back() -> None:
    club = Club(Limits(connect_timeout=0.05, close_timeout=0.1))
    await club.node.start()
    gate = club.application.hold("connect", "")
    socket = websocket(club, CONNECT)
    await gate.entered.wait()
    await socket.finished()
    assert close_of(socket) == (3004, "internal server error")
    await club.node.stop()


async def test_a_connect_command_that_a_busy_loop_reads_late_is_in_time() -> None:
    club = Club(Limits(connect_timeout=0.05, close_timeout=0.1))
    await club.node.start()
    socket = websocket(club)
    await socket.until(lambda: socket.sent)
    # The kernel would have the command since the beginning of this work, and the loop reads it after the deadline.
    time.sleep(0.1)  # noqa: ASYNC251 - keeps the loop busy
    asyncio.get_running_loop().call_later(0, say, socket, CONNECT)
    await socket.connected()
    assert not socket.done
    await club.node.stop()


@pytest.mark.parametrize("extensions", [None, {}, {"websocket.http.response": {}}])
async def test_too_many_that_wait_are_refused(extensions: dict[str, Any] | None) -> None:
    club = Club(Limits(unauthenticated_connections=1))
    first = websocket(club)
    await first.until(lambda: first.sent)
    second = websocket(club, extensions=extensions)
    await second.finished()
    if extensions:
        assert second.sent[0]["status"] == 503
    else:
        assert second.sent == [{"type": "websocket.close", "code": 1013}]
    first.put({"type": "websocket.disconnect"})
    await first.finished()
    assert club.node.entrance.transports == 0
