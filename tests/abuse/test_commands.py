"""reliability.md §4 B2–B16: commands and payloads that mean no good, in either form of the protocol."""

import asyncio
import contextlib
import json
from typing import Any

import pytest

from tests.abuse.conftest import runs_on, subscriber
from tests.support.emulated import CLIENTS, HttpStreamClient
from tests.support.emulated import ProtobufClient as OtherClient
from tests.support.processes import Server
from tests.support.wire import ErrorReply, WireClient

BAD_REQUEST = 107

everywhere = runs_on(CLIENTS)


@pytest.mark.smoke
async def test_b2_the_depth_limit_is_exact(server: Server) -> None:
    async with await subscriber(WireClient, server, "memory:b2-limit") as client:
        taken = await client.publish_bytes("memory:b2-limit", b"[" * 16 + b"]" * 16)
        assert await client.fate(taken) == 0
        refused = await client.publish_bytes("memory:b2-limit", b"[" * 17 + b"]" * 17)
        assert await client.fate(refused) == BAD_REQUEST


@pytest.mark.parametrize("text", [b"[" * 30_000 + b"]" * 30_000, b'{"a":' * 10_000, b"[" * 100 + b"]" * 100])
@pytest.mark.parametrize("kind", ["memory", "ephemeral", "open"])
async def test_b2_a_payload_too_deep_reaches_nobody(server: Server, kind: str, text: bytes) -> None:
    """Neither hooks nor subscribers; and who listens in the other form is not disconnected for it."""
    channel = f"{kind}:b2"
    async with (
        await OtherClient.connected(server.port) as other,
        await subscriber(WireClient, server, channel) as client,
    ):
        await other.subscribe(channel)
        with server.works_less_than(0.5):
            assert await client.fate(await client.publish_bytes(channel, text)) in (BAD_REQUEST, 3501)
        await other.settled()
        assert other.received(channel) == []


@pytest.mark.parametrize(
    "number",
    ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "-0", "01", "+1", ".5", "1.", "0x1", "1e", "9" * 5_000],
)
async def test_b3_b4_numbers_that_parsers_disagree_on_are_refused(server: Server, number: str) -> None:
    async with await subscriber(WireClient, server, "memory:b3") as client:
        command = await client.publish_bytes("memory:b3", f"[{number}]".encode())
        assert await client.fate(command) in (BAD_REQUEST, 3501)
        assert client.received("memory:b3") == []


@pytest.mark.parametrize("number", ["9007199254740993", "18446744073709551615", "-9223372036854775808", "0.1", "1e5"])
async def test_b4_numbers_that_are_json_keep_every_digit(server: Server, number: str) -> None:
    channel = "ephemeral:b4"
    async with await subscriber(WireClient, server, channel) as client:
        assert await client.fate(await client.publish_bytes(channel, f"[{number}]".encode())) == 0
        await client.publications(channel, 1)
        assert json.dumps(client.received(channel)[0]["data"]) == json.dumps(json.loads(f"[{number}]"))


@pytest.mark.parametrize("text", ['"\\ud800"', '"\\udfff\\ud800"', '{"\\ud800":1}', '["ok\\udc00"]'])
@pytest.mark.parametrize("kind", ["durable", "memory", "ephemeral"])
async def test_b5_a_lone_surrogate_is_refused_and_never_stored(server: Server, kind: str, text: str) -> None:
    channel = f"{kind}:b5"
    data = '{"id":"x","text":' + text + "}"
    async with await subscriber(WireClient, server, channel) as client:
        assert await client.fate(await client.publish_bytes(channel, data.encode())) in (BAD_REQUEST, 3501)
    async with await subscriber(WireClient, server, channel) as client:
        if kind != "ephemeral":
            assert (await client.call("history", channel=channel, limit=-1)).get("publications", []) == []


async def test_b6_odd_keys_are_only_data(server: Server) -> None:
    async with await subscriber(WireClient, server, "memory:b6") as client:
        text = b'{"__proto__":{"a":1},"constructor":1,"toString":2}'
        assert await client.fate(await client.publish_bytes("memory:b6", text)) == 0
        (publication,) = await client.publications("memory:b6", 1)
        assert publication["data"] == {"__proto__": {"a": 1}, "constructor": 1, "toString": 2}


@pytest.mark.parametrize(
    "text", ["\0", "\u202e\u2066evil", "\u200b\u200d\ufeff", "e" + "\u0301" * 10_000, "\u2028\u2029"]
)
async def test_b7_unusual_text_is_only_data(server: Server, text: str) -> None:
    async with await subscriber(WireClient, server, "memory:b7") as client:
        before = len(client.received("memory:b7"))
        await client.publish("memory:b7", text)
        received = await client.publications("memory:b7", before + 1)
        assert received[-1]["data"] == text


@pytest.mark.smoke
async def test_b8_a_reused_id_is_answered_twice(server: Server) -> None:
    async with await WireClient.connected(server.port) as client:
        command = {"id": 9, "rpc": {"method": "slow", "data": {"seconds": 0}}}
        await client.send(command, command)
        await client.wait(lambda: sum(item.get("id") == 9 for item in client.inbox) == 2)


@pytest.mark.smoke
async def test_b10_a_flood_of_commands_is_warned_and_then_ended(server: Server) -> None:
    async with (
        await WireClient.connected(server.port) as client,
        await subscriber(WireClient, server, "memory:b10") as witness,
    ):
        flood = asyncio.create_task(_flood(client, 20_000))
        before_it = [await _work_before(server, witness, number) for number in range(20)]
        closed = await client.ended(timeout=20)
        flood.cancel()
        await asyncio.wait({flood})

        refused = [item["error"] for item in client.inbox if "error" in item]
        assert {"code": 111, "message": "too many requests", "temporary": True} in refused
        assert (closed.code, closed.reason) == (3013, "too many requests")
        assert sorted(before_it)[len(before_it) // 2] < 0.5


@pytest.mark.smoke
async def test_a12_a_flood_of_pongs_that_nobody_asked_for_is_ended(server: Server) -> None:
    async with await WireClient.connected(server.port) as client:
        pongs = b"\x00" * 250 if client.form == "protobuf" else b"\n".join([b"{}"] * 250)
        with contextlib.suppress(ConnectionError):
            for _ in range(8):
                await client.send_message(pongs)
        closed = await client.ended()
        assert (closed.code, closed.reason) == (3013, "too many requests")


async def test_b10_slow_calls_of_one_client_cannot_take_all_threads(server: Server) -> None:
    """There are eight threads; one client asks for fifty slow calls; another client's hook still gets its turn."""
    async with (
        await WireClient.connected(server.port) as greedy,
        await subscriber(WireClient, server, "memory:b10") as other,
    ):
        for number in range(50):
            await greedy.send({"id": 100 + number, "rpc": {"method": "slow", "data": {"seconds": 0.2}}})
        await other.publish("memory:b10", "mine")
        assert sum(item.get("id", 0) >= 100 for item in greedy.inbox) < 25


async def test_b11_the_129th_channel_is_refused(server: Server) -> None:
    async with await WireClient.connected(server.port) as client:
        commands = [{"id": 1_000 + n, "subscribe": {"channel": f"ephemeral:b11-{n}"}} for n in range(129)]
        await client.send(*commands)
        await client.expect(lambda item: item.get("id") == 1_128)
        answers = {item["id"]: item for item in client.inbox if item.get("id", 0) >= 1_000}
        assert all("error" not in answers[1_000 + n] for n in range(128))
        assert answers[1_128]["error"]["code"] == 106


@pytest.mark.smoke
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


@pytest.mark.smoke
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
    async with await subscriber(WireClient, server, "memory:b13") as client:
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


@pytest.mark.parametrize(
    "wish", [{"limit": 10**9}, {"limit": -1}, {"limit": -(2**31)}, {"limit": 10**9, "reverse": True}]
)
async def test_b14_a_history_is_capped_whatever_is_asked_for(server: Server, wish: dict[str, Any]) -> None:
    channel = "memory:b14"
    async with await subscriber(WireClient, server, channel) as client:
        top = (await client.call("history", channel=channel, limit=0)).get("offset", 0)
        for _ in range(350 - top):
            await client.start("publish", channel=channel, data="x")
        await client.settled()
        with server.works_less_than(0.5):
            result = await client.call("history", channel=channel, **wish)
        assert len(result["publications"]) == 300


@pytest.mark.parametrize(
    ("since", "reverse", "outcomes"),
    [
        ({"offset": 0}, True, {BAD_REQUEST}),
        ({"offset": 10**15}, False, {0}),
        ({"offset": 10**15}, True, {0}),
        ({"offset": 1, "epoch": "forged"}, False, {112}),
        ({"offset": 1, "epoch": "x" * 10_000}, True, {112}),
    ],
)
async def test_b14_a_position_that_is_none_shows_no_more_than_there_is(
    server: Server, since: dict[str, Any], reverse: bool, outcomes: set[int]
) -> None:
    channel = "memory:b14-since"
    async with await subscriber(WireClient, server, channel) as client:
        await client.publish(channel, "x")
        command = await client.start("history", channel=channel, limit=10**9, since=since, reverse=reverse)
        assert await client.fate(command) in outcomes
        found = (await client.answer(command)).get("history", {}).get("publications", [])
        assert len(found) <= (await client.call("history", channel=channel, limit=0))["offset"]


async def test_b16_a_hook_that_fails_costs_one_command(server: Server) -> None:
    async with await subscriber(WireClient, server, "durable:b16") as client:
        with pytest.raises(ErrorReply) as refused:
            await client.publish("durable:b16", {"without": "an id"})
        assert refused.value.code == 100
        await client.publish("durable:b16", {"id": "one"})


async def test_b16_a_permission_that_fails_is_none(server: Server) -> None:
    async with await subscriber(WireClient, server, "memory:b16") as client:
        with pytest.raises(ErrorReply) as refused:
            await client.subscribe("failing:b16")
        assert refused.value.code == 100
        await client.publish("memory:b16", "still here")


async def _work_before(server: Server, client: WireClient, number: int) -> float:
    """How long the server works, for whomever, before the client's turn is over."""
    started = server.work
    before = len(client.received("memory:b10"))
    await client.publish("memory:b10", number)
    await client.publications("memory:b10", before + 1)
    return server.work - started


async def _flood(client: WireClient, count: int) -> None:
    at_once = 50 if isinstance(client, HttpStreamClient) else 1
    command = '{"id":%d,"presence_stats":{"channel":"ephemeral:x"}}'
    try:
        for first in range(100, count, at_once):
            await client.socket.send_text("\n".join(command % number for number in range(first, first + at_once)))
            # Whoever never reads is reset, and does not see why it was closed.
            await asyncio.sleep(0)
    except ConnectionError:
        return


async def _alone(witness: WireClient, channel: str) -> None:
    """Wait until the witness is the only one there; everybody else's end is pushed to it as a leave."""
    async with asyncio.timeout(10):
        seen = len(witness.inbox)
        while (await witness.call("presence_stats", channel=channel))["num_clients"] > 1:
            # A leave may have come together with the answer.
            await witness.expect(lambda item: "push" in item, start=seen)
            seen = len(witness.inbox)
