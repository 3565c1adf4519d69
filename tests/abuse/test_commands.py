"""reliability.md §4 B1–B13: JSON and commands that mean no good."""

import asyncio
import json
import sys
import time
from typing import Any

import pytest

from tests.support.emulated import HttpStreamClient, SseClient
from tests.support.processes import Server
from tests.support.wire import ErrorReply, WireClient

BAD_REQUEST = 107


@pytest.fixture(params=[WireClient, HttpStreamClient, SseClient], ids=["websocket", "http_stream", "sse"], autouse=True)
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[WireClient]:
    """Every test of this file runs on every transport that takes commands."""
    kind: type[WireClient] = request.param
    monkeypatch.setattr(sys.modules[__name__], "WireClient", kind)
    return kind


async def subscriber(server: Server, channel: str) -> WireClient:
    client = await WireClient.connected(server.port)
    await client.subscribe(channel)
    return client


async def publish_text(client: WireClient, channel: str, data: str) -> dict[str, Any]:
    """Publish this very text, and return the reply or the reason of the end as an error."""
    command = client.next_id()
    await client.socket.send_text('{"id":%d,"publish":{"channel":"%s","data":%s}}' % (command, channel, data))  # noqa: UP031 - braces
    return await client.expect(lambda item: item.get("id") == command)


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        '{"id":2,"rpc":{"method":"x"}}x',
        "\ufeff{}",
        "",
        "null",
        "[]",
        "[{}]",
        "1",
        '"text"',
        "{'id':2}",
        "{}{}",
    ],
)
async def test_b1_what_is_no_command_is_a_bad_request(server: Server, text: str) -> None:
    async with await WireClient.connected(server.port) as client:
        await client.socket.send_text(text)
        if isinstance(client, HttpStreamClient) and not text:
            # A request without commands is refused as a request, and the connection it names has done nothing.
            assert client.emulated.statuses == [400]
        else:
            assert (await client.ended()).code == 3501


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("place", ["data", "unknown key", "top"])
async def test_b2_depth_is_refused_quickly(server: Server, opening: str, place: str) -> None:
    nested = opening * (60_000 // len(opening))
    text = {
        "data": '{"id":2,"publish":{"channel":"memory:b2","data":' + nested,
        "unknown key": '{"id":2,"later":' + nested,
        "top": nested,
    }[place]
    async with await WireClient.connected(server.port) as client:
        started = time.monotonic()
        await client.socket.send_text(text)
        assert (await client.ended()).code == 3501
        assert time.monotonic() - started < 0.5


@pytest.mark.parametrize("place", ["data", "unknown key"])
async def test_b2_balanced_depth_is_refused(server: Server, place: str) -> None:
    nested = "[" * 30_000 + "]" * 30_000
    async with await subscriber(server, "memory:b2") as client:
        if place == "data":
            text = '{"id":9,"publish":{"channel":"memory:b2","data":' + nested + "}}"
        else:
            text = '{"id":9,"rpc":{"method":"nothing","later":' + nested + "}}"
        await client.socket.send_text(text)
        await client.wait(lambda: client.closed is not None or any(item.get("id") == 9 for item in client.inbox))
        if client.closed is not None:
            assert client.closed.code == 3501
        else:
            reply = next(item for item in client.inbox if item.get("id") == 9)
            assert reply["error"]["code"] in (BAD_REQUEST, 104)
        assert client.received("memory:b2") == []


async def test_b2_the_depth_limit_is_exact(server: Server) -> None:
    async with await subscriber(server, "memory:b2-limit") as client:
        assert "error" not in await publish_text(client, "memory:b2-limit", "[" * 16 + "]" * 16)
        refused = await publish_text(client, "memory:b2-limit", "[" * 17 + "]" * 17)
        assert refused["error"]["code"] == BAD_REQUEST


@pytest.mark.parametrize(
    "number",
    ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "-0", "01", "+1", ".5", "1.", "0x1", "1e", "9" * 5_000],
)
async def test_b3_b4_numbers_that_parsers_disagree_on_are_refused(server: Server, number: str) -> None:
    async with await subscriber(server, "memory:b3") as client:
        await client.socket.send_text('{"id":9,"publish":{"channel":"memory:b3","data":[' + number + "]}}")
        await client.wait(lambda: client.closed is not None or any(item.get("id") == 9 for item in client.inbox))
        assert client.received("memory:b3") == []
        if client.closed is not None:
            assert client.closed.code == 3501
        else:
            reply = next(item for item in client.inbox if item.get("id") == 9)
            assert reply["error"]["code"] == BAD_REQUEST


@pytest.mark.parametrize("number", ["9007199254740993", "18446744073709551615", "-9223372036854775808", "0.1", "1e5"])
async def test_b4_numbers_that_are_json_keep_every_digit(server: Server, number: str) -> None:
    channel = "ephemeral:b4"
    async with await subscriber(server, channel) as client:
        reply = await publish_text(client, channel, f"[{number}]")
        assert "error" not in reply
        await client.publications(channel, 1)
        assert json.dumps(client.received(channel)[0]["data"]) == json.dumps(json.loads(f"[{number}]"))


@pytest.mark.parametrize("number", ["18446744073709551616", "-1", "1.5", '"1"', "1e2", "4294967296"])
async def test_b4_an_id_that_is_no_id_is_a_bad_request(server: Server, number: str) -> None:
    async with await WireClient.connected(server.port) as client:
        await client.socket.send_text('{"id":' + number + ',"rpc":{"method":"slow","data":{"seconds":0}}}')
        assert (await client.ended()).code == 3501


@pytest.mark.parametrize("offset", ["-1", "18446744073709551616", "1.5", '"1"'])
async def test_b4_an_offset_that_is_none_never_reaches_a_channel(server: Server, offset: str) -> None:
    async with await WireClient.connected(server.port) as client:
        await client.socket.send_text(
            '{"id":9,"subscribe":{"channel":"memory:b4","recover":true,"offset":' + offset + "}}"
        )
        await client.wait(lambda: client.closed is not None or any(item.get("id") == 9 for item in client.inbox))
        if client.closed is not None:
            assert client.closed.code == 3501
        else:
            reply = next(item for item in client.inbox if item.get("id") == 9)
            assert "error" in reply or not reply["subscribe"].get("recovered", False)


@pytest.mark.parametrize("text", ['"\\ud800"', '"\\udfff\\ud800"', '{"\\ud800":1}', '["ok\\udc00"]'])
@pytest.mark.parametrize("kind", ["durable", "memory", "ephemeral"])
async def test_b5_a_lone_surrogate_is_refused_and_never_stored(server: Server, kind: str, text: str) -> None:
    channel = f"{kind}:b5"
    data = '{"id":"x","text":' + text + "}"
    async with await subscriber(server, channel) as client:
        await client.socket.send_text('{"id":9,"publish":{"channel":"' + channel + '","data":' + data + "}}")
        await client.wait(lambda: client.closed is not None or any(item.get("id") == 9 for item in client.inbox))
        assert client.closed is not None or client.inbox[-1]["error"]["code"] == BAD_REQUEST
    async with await subscriber(server, channel) as client:
        if kind != "ephemeral":
            assert (await client.call("history", channel=channel, limit=-1))["publications"] == []


async def test_b5_a_lone_surrogate_elsewhere_is_refused(server: Server) -> None:
    for command in (
        '{"id":9,"rpc":{"method":"\\ud800"}}',
        '{"id":9,"subscribe":{"channel":"\\ud800"}}',
        '{"id":9,"rpc":{"method":"slow","data":{"seconds":"\\ud800"}}}',
    ):
        async with await WireClient.connected(server.port) as client:
            await client.socket.send_text(command)
            await client.wait(lambda: client.closed is not None or any(i.get("id") == 9 for i in client.inbox))
            assert client.closed is not None or "error" in client.inbox[-1]


async def test_b6_odd_keys_are_only_data(server: Server) -> None:
    async with await subscriber(server, "memory:b6") as client:
        reply = await publish_text(client, "memory:b6", '{"__proto__":{"a":1},"constructor":1,"toString":2}')
        assert "error" not in reply
        (publication,) = await client.publications("memory:b6", 1)
        assert publication["data"] == {"__proto__": {"a": 1}, "constructor": 1, "toString": 2}


async def test_b6_a_doubled_key_has_one_meaning_for_everybody(server: Server) -> None:
    """Authorisation and delivery read the same channel: nobody gets what was meant for another."""
    async with await subscriber(server, "memory:b6-a") as client, await subscriber(server, "memory:b6-b") as other:
        await client.socket.send_text(
            '{"id":9,"publish":{"channel":"memory:b6-b","data":1,"channel":"memory:b6-a","data":2}}'
        )
        await client.wait(lambda: client.closed is not None or any(item.get("id") == 9 for item in client.inbox))
        await other.settled()
        assert other.received("memory:b6-b") == []
        assert [publication["data"] for publication in client.received("memory:b6-a")] in ([], [2])


@pytest.mark.parametrize(
    "text", ["\0", "\u202e\u2066evil", "\u200b\u200d\ufeff", "e" + "\u0301" * 10_000, "\u2028\u2029"]
)
async def test_b7_unusual_text_is_only_data(server: Server, text: str) -> None:
    async with await subscriber(server, "memory:b7") as client:
        before = len(client.received("memory:b7"))
        await client.publish("memory:b7", text)
        received = await client.publications("memory:b7", before + 1)
        assert received[-1]["data"] == text


async def test_b8_what_makes_no_sense_changes_nothing(server: Server) -> None:
    async with await subscriber(server, "memory:b8") as witness:
        for text in (
            '{"id":9,"unheard_of":{}}',
            '{"id":9}',
            '{"publish":{"channel":"memory:b8","data":1}}',
            '{"id":9,"publish":null}',
            '{"id":9,"publish":[]}',
            '{"id":9,"publish":{"channel":7,"data":1}}',
            '{"id":9,"result":{}}',
            '{"id":9,"error":{"code":1}}',
        ):
            async with await subscriber(server, "memory:b8") as client:
                await client.socket.send_text(text)
                await client.wait(lambda: client.closed is not None or any(i.get("id") == 9 for i in client.inbox))
                assert client.closed is not None or "error" in client.inbox[-1], text
        await witness.settled()
        assert witness.received("memory:b8") == []


async def test_b8_a_reused_id_is_answered_twice(server: Server) -> None:
    async with await WireClient.connected(server.port) as client:
        command = {"id": 9, "rpc": {"method": "slow", "data": {"seconds": 0}}}
        await client.send(command, command)
        await client.wait(lambda: sum(item.get("id") == 9 for item in client.inbox) == 2)


async def test_b9_ten_thousand_commands_in_one_frame_are_refused(server: Server) -> None:
    async with await WireClient.connected(server.port) as client:
        await client.socket.send_text("\n".join(["{}"] * 10_000))
        assert (await client.ended()).code == 3501


async def test_b9_a_frame_of_line_breaks_is_refused(server: Server) -> None:
    async with await WireClient.connected(server.port) as client:
        await client.socket.send_text("\n" * 65_000)
        assert (await client.ended()).code == 3501


async def test_b10_a_flood_of_commands_is_warned_and_then_ended(server: Server) -> None:
    async with await WireClient.connected(server.port) as client, await subscriber(server, "memory:b10") as witness:
        flood = asyncio.create_task(_flood(client, 20_000))
        delays = [await _round_trip(witness, number) for number in range(20)]
        closed = await client.ended(timeout=20)
        flood.cancel()
        await asyncio.wait({flood})
        refused = [item["error"] for item in client.inbox if "error" in item]
        assert {"code": 111, "message": "too many requests", "temporary": True} in refused
        assert (closed.code, closed.reason) == (3013, "too many requests")
        assert sorted(delays)[len(delays) // 2] < 0.5


async def test_b10_slow_calls_of_one_client_cannot_take_all_threads(server: Server) -> None:
    """There are eight threads; one client asks for fifty slow calls; another client's hook still gets its turn."""
    async with await WireClient.connected(server.port) as greedy, await subscriber(server, "memory:b10") as other:
        for number in range(50):
            await greedy.send({"id": 100 + number, "rpc": {"method": "slow", "data": {"seconds": 0.2}}})
        started = time.monotonic()
        await other.publish("memory:b10", "mine")
        assert time.monotonic() - started < 1


async def test_b11_the_129th_channel_is_refused(server: Server) -> None:
    async with await WireClient.connected(server.port) as client:
        commands = [{"id": 1_000 + n, "subscribe": {"channel": f"ephemeral:b11-{n}"}} for n in range(129)]
        await client.send(*commands)
        await client.expect(lambda item: item.get("id") == 1_128)
        answers = {item["id"]: item for item in client.inbox if item.get("id", 0) >= 1_000}
        assert all("error" not in answers[1_000 + n] for n in range(128))
        assert answers[1_128]["error"]["code"] == 106


async def test_b11_a_loop_of_subscribing_leaves_nothing_behind(server: Server) -> None:
    async with await WireClient.connected(server.port) as witness, await WireClient.connected(server.port) as client:
        await witness.subscribe("memory:b11")
        for number in range(100):
            channel = {"channel": "memory:b11"}
            await client.send(
                {"id": 2_000 + 2 * number, "subscribe": channel}, {"id": 2_001 + 2 * number, "unsubscribe": channel}
            )
        await client.expect(lambda item: item.get("id") == 2_199)
        client.abort()
        await _alone(witness, "memory:b11")


async def test_b12_subscribing_twice_at_once_while_leaving_leaves_no_ghost(server: Server) -> None:
    async with await WireClient.connected(server.port) as witness:
        await witness.subscribe("memory:b12")
        command = {"subscribe": {"channel": "memory:b12"}}
        for _ in range(20):
            client = await WireClient.connected(server.port)
            await client.send({"id": 5, **command}, {"id": 6, **command})
            client.abort()
        async with await WireClient.connected(server.port) as client:
            await client.send({"id": 5, **command}, {"id": 6, **command})
            await client.expect(lambda item: item.get("id") == 6)
            outcomes = ["error" in item for item in client.inbox if item.get("id") in (5, 6)]
            assert outcomes == [False, True]
        await _alone(witness, "memory:b12")


@pytest.mark.parametrize("position", [{"offset": 10**15}, {"epoch": "forged", "offset": 1}, {"epoch": "x" * 10_000}])
async def test_b13_a_forged_position_means_reload(server: Server, position: dict[str, Any]) -> None:
    async with await subscriber(server, "memory:b13") as client:
        await client.publish("memory:b13", "kept")
    async with await WireClient.connected(server.port) as client:
        result = await client.subscribe("memory:b13", recover=True, **position)
        assert not result.get("recovered", False)
        assert "publications" not in result


async def test_b13_a_position_of_another_channel_shows_nothing_of_it(server: Server) -> None:
    async with await WireClient.connected(server.port) as client:
        secret = await client.subscribe("memory:b13-secret")
        await client.publish("memory:b13-secret", "secret")
        await client.subscribe("memory:b13-own")
        await client.publish("memory:b13-own", "own")
    async with await WireClient.connected(server.port) as client:
        result = await client.subscribe("memory:b13-own", recover=True, epoch=secret["epoch"])
        assert not result.get("recovered", False)
        await client.settled()
        assert not any(b"secret" in frame.payload for frame in client.frames)


async def test_b16_a_hook_that_fails_costs_one_command(server: Server) -> None:
    async with await subscriber(server, "durable:b16") as client:
        with pytest.raises(ErrorReply) as refused:
            await client.publish("durable:b16", {"without": "an id"})
        assert refused.value.code == 100
        await client.publish("durable:b16", {"id": "one"})


async def _round_trip(client: WireClient, number: int) -> float:
    started = time.monotonic()
    before = len(client.received("memory:b10"))
    await client.publish("memory:b10", number)
    await client.publications("memory:b10", before + 1)
    return time.monotonic() - started


async def _flood(client: WireClient, count: int) -> None:
    at_once = 50 if isinstance(client, HttpStreamClient) else 1
    command = '{"id":%d,"presence_stats":{"channel":"ephemeral:x"}}'
    try:
        for first in range(100, count, at_once):
            await client.socket.send_text("\n".join(command % number for number in range(first, first + at_once)))
    except ConnectionError:
        return


async def _alone(witness: WireClient, channel: str) -> None:
    """Wait until the witness is the only one there; everybody else's end is pushed to it as a leave."""
    async with asyncio.timeout(10):
        while (await witness.call("presence_stats", channel=channel))["num_clients"] > 1:
            seen = len(witness.inbox)
            await witness.expect(lambda item: "push" in item, start=seen)
