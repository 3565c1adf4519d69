"""protocol.md §1.1 to §1.4: handshake, batches, and the shape of what goes out."""

import json

import pytest

from hotclub.engine.protocol.payload import check_payload
from tests.support.app import Served
from tests.support.rawws import BINARY, TEXT, RawWebSocket
from tests.support.wire import ErrorReply, WireClient


async def first_message(served: Served, payload: bytes, opcode: int = TEXT) -> WireClient:
    client = await WireClient.open(served.port)
    await client.socket.send_frame(opcode, payload)
    return client


@pytest.mark.parametrize("query", ["", "?cf_protocol_version=v2", "?cf_ws_frame_ping_pong=false&x=1"])
async def test_a_client_that_offers_no_subprotocol_is_answered_without_one(served: Served, query: str) -> None:
    async with await RawWebSocket.connect(served.port, f"/connection/websocket{query}") as socket:
        assert socket.subprotocol is None


async def test_an_offered_protobuf_form_is_named_back_and_spoken(served: Served) -> None:
    offer = {"Sec-WebSocket-Protocol": "centrifuge-protobuf"}
    async with await RawWebSocket.connect(served.port, headers=offer) as socket:
        assert socket.subprotocol == "centrifuge-protobuf"
        await socket.send_frame(BINARY, b"\x04\x08\x01\x22\x00")
        assert (await socket.read_frame()).opcode == BINARY


async def test_a_binary_message_ends_a_json_connection_for_good(served: Served) -> None:
    client = await first_message(served, b'{"id":1,"connect":{}}', BINARY)
    assert (await client.ended()).code in (1003, 3501, 3506)


@pytest.mark.parametrize("ending", ["", "\n"])
async def test_a_batch_may_end_with_one_line_break(served: Served, ending: str) -> None:
    batch = '{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"log:a","flag":1}}' + ending
    async with await first_message(served, batch.encode()) as client:
        await client.result(2, "subscribe")
        assert [item["id"] for item in client.inbox if "id" in item] == [1, 2]


@pytest.mark.parametrize("text", ["", "\n", "\n\n", "{", "[]", "null", "1", '{"id":1,"connect":{}}\n\n', "\ufeff{}"])
async def test_what_is_not_a_batch_of_commands_is_a_bad_request(served: Served, text: str) -> None:
    client = await first_message(served, text.encode())
    closed = await client.ended()
    assert (closed.code, closed.reason) == (3501, "bad request")


async def test_a_message_may_come_in_fragments(served: Served) -> None:
    async with await WireClient.open(served.port) as client:
        text = b'{"id":1,"connect":{"name":"fragmented"}}'
        await client.socket.send_frame(TEXT, text[:10], fin=False)
        await client.socket.send_frame(0, text[10:20], fin=False)
        await client.socket.send_frame(0, text[20:])
        assert (await client.result(1, "connect"))["client"]


async def test_unknown_keys_are_ignored(served: Served) -> None:
    async with await WireClient.open(served.port) as client:
        await client.send({"id": 1, "connect": {"name": "x", "flag": 3, "dict": "d", "new": [1]}, "later": {"a": 1}})
        assert (await client.result(1, "connect"))["client"]


async def test_a_connection_lives_through_pongs_nobody_asked_for(served: Served) -> None:
    async with await WireClient.connected(served.port) as client:
        await client.send({}, {}, {"id": 0})
        await client.settled()


@pytest.mark.parametrize("command", [{"id": 7}, {"id": 7, "unheard_of": {}}])
async def test_a_command_without_a_known_method_is_refused(served: Served, command: dict[str, object]) -> None:
    async with await WireClient.connected(served.port) as client:
        await client.send(command)
        with pytest.raises(ErrorReply) as refused:
            await client.result(7, "unheard_of")
        assert refused.value.code == 107
        assert await client.subscribe("plain:a") == {}


async def test_empty_results_are_still_there(served: Served) -> None:
    async with await WireClient.connected(served.port) as client:
        assert await client.subscribe("plain:a") == {}
        assert await client.publish("plain:a", {"n": 1}) == {}
        assert await client.call("unsubscribe", channel="plain:a") == {}


async def test_errors_always_carry_code_and_message(served: Served) -> None:
    async with await WireClient.connected(served.port) as client:
        command = await client.start("subscribe", channel="unknown:a")
        reply = await client.expect(lambda item: item.get("id") == command)
        assert reply == {"id": command, "error": {"code": 102, "message": "unknown channel"}}


async def test_a_temporary_error_says_so(served: Served) -> None:
    async with await WireClient.connected(served.port) as client:
        command = await client.start("rpc", method="fail", data={})
        reply = await client.expect(lambda item: item.get("id") == command)
        assert reply["error"] == {"code": 100, "message": "internal server error", "temporary": True}


async def test_a_payload_keeps_its_text(served: Served) -> None:
    """Floats, big integers, key order, escapes and spaces come out as they went in (trap 9)."""
    text = '{"b":1.50,"a":9007199254740993,"e":1e5, "u":"\\u4f60\\/","n":"\\u0000"}'
    async with await WireClient.connected(served.port) as client:
        await client.subscribe("log:a")
        await client.socket.send_text('{"id":90,"publish":{"channel":"log:a","data":' + text + "}}")
        await client.publications("log:a", 1)
        frame = next(frame for frame in client.frames if b'"pub"' in frame.payload)
        assert text.encode() in frame.payload


async def test_raw_line_breaks_of_a_payload_never_reach_the_wire(served: Served) -> None:
    async with await WireClient.connected(served.port) as client:
        await client.subscribe("log:a")
        await served.node.publish("log:a", check_payload(b'{\r\n  "n":\n1\n}', served.node.limits))
        (publication,) = await client.publications("log:a", 1)
        assert publication["data"] == {"n": 1}
        assert all(line for frame in client.frames for line in frame.payload.split(b"\n"))
        assert not any(b"\r" in frame.payload for frame in client.frames)


async def test_objects_sent_together_are_one_frame(served: Served) -> None:
    """What one turn of the loop makes leaves in one write: objects joined by one line break, none at the end."""
    async with await WireClient.connected(served.port) as client:
        await client.subscribe("log:a")
        batch = [{"id": 100 + n, "publish": {"channel": "log:a", "data": n}} for n in range(20)]
        await client.send(*batch)
        await client.publications("log:a", 20)
        for frame in client.frames:
            assert all(json.loads(line) is not None for line in frame.payload.split(b"\n"))
