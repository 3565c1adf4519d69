"""protocol.md §1.5, §2.1, §4.2 and §5: from connect to the close frame."""

import asyncio
import json
import re

import pytest

from hotclub.engine.errors import Disconnect
from hotclub.engine.limits import Limits
from hotclub.engine.target import Target
from tests.support.app import Served, raw, serve
from tests.support.rawws import CLOSE, RawWebSocket
from tests.support.wire import Closed, ErrorReply, WireClient


async def test_connect_names_the_connection_and_the_ping_interval(served: Served) -> None:
    async with await WireClient.open(served.port) as client:
        result = await client.connect(name="js", data={"user": "ann", "greet": {"hello": 1}})
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", result["client"])
    assert result["version"]
    assert result["ping"] == 12
    assert result["pong"] is True
    assert result["data"] == {"hello": 1}
    assert "expires" not in result
    assert "subs" not in result


async def test_connect_is_finished_before_the_next_command_of_the_same_frame(served: Served) -> None:
    gate = served.application.hold("connect", "ann")
    async with await WireClient.open(served.port) as client:
        await client.send(
            {"connect": {"data": {"user": "ann"}}, "id": 1},
            {"subscribe": {"channel": "log:a"}, "id": 2},
            {"rpc": {"method": "whoami"}, "id": 3},
        )
        await gate.entered.wait()
        assert client.inbox == []
        gate.open()
        assert (await client.result(3, "rpc"))["data"]["user"] == "ann"
        assert [item["id"] for item in client.inbox if "id" in item] == [1, 2, 3]


async def test_what_follows_a_refused_connect_is_dropped(served: Served) -> None:
    async with await WireClient.open(served.port) as client, await WireClient.connected(served.port) as witness:
        await witness.subscribe("log:a")
        await client.send(
            {"connect": {"data": {"error": 109}}, "id": 1}, {"publish": {"channel": "log:a", "data": 1}, "id": 2}
        )
        closed = await client.ended()
        await witness.settled()
        assert client.inbox == [{"id": 1, "error": {"code": 109, "message": "token expired"}}]
        assert closed.code == 3501
        assert witness.received("log:a") == []


async def test_a_refused_connection_is_closed_as_stale_when_it_stays_silent(write_path: str) -> None:
    async with (
        serve(write_path=write_path, limits=Limits(connect_timeout=0.3)) as served,
        await WireClient.open(served.port) as client,
    ):
        with pytest.raises(ErrorReply) as refused:
            await client.connect(data={"error": 101})
        assert refused.value.code == 101
        assert (await client.ended()).code == 3502


async def test_a_hook_may_end_the_connection_instead_of_answering(served: Served) -> None:
    async with await WireClient.open(served.port) as client:
        with pytest.raises(Closed) as closed:
            await client.connect(data={"disconnect": 3500})
        assert (closed.value.code, closed.value.reason) == (3500, "invalid token")
        assert client.inbox == []


@pytest.mark.parametrize(
    "command",
    [
        {"subscribe": {"channel": "log:a"}, "id": 1},
        {"publish": {"channel": "log:a", "data": 1}, "id": 1},
        {"rpc": {"method": "echo"}, "id": 1},
        {"send": {"data": 1}},
    ],
)
async def test_the_first_command_must_be_connect(served: Served, command: dict[str, object]) -> None:
    async with await WireClient.open(served.port) as client:
        await client.send(command)
        assert (await client.ended()).code == 3501
        assert client.inbox == []


async def test_a_second_connect_is_a_bad_request(served: Served) -> None:
    async with await WireClient.connected(served.port) as client:
        await client.send({"connect": {}, "id": 9})
        assert (await client.ended()).code == 3501


async def test_a_silent_connection_is_closed_as_stale(write_path: str) -> None:
    async with serve(write_path=write_path, limits=Limits(connect_timeout=0.3)) as served:
        async with await WireClient.open(served.port) as client:
            closed = await client.ended()
        assert (closed.code, closed.reason) == (3502, "stale")


async def test_a_disconnected_client_is_told_why(served: Served) -> None:
    async with await WireClient.connected(served.port, data={"user": "ann"}) as client:
        assert served.node.disconnect(Target(user_id="ann"), Disconnect(4321, "tea time")) == 1
        closed = await client.ended()
        assert (closed.code, closed.reason) == (4321, "tea time")


@pytest.mark.parametrize("code", [3500, 3501, 3503, 3507])
async def test_a_final_reason_is_neither_empty_nor_json(served: Served, code: int) -> None:
    async with await WireClient.open(served.port) as client:
        with pytest.raises(Closed) as closed:
            await client.connect(data={"disconnect": code})
    assert closed.value.code == code
    assert closed.value.reason
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(closed.value.reason)


async def test_the_last_messages_come_before_the_close_frame(served: Served) -> None:
    async with await WireClient.connected(served.port, data={"user": "ann"}) as client:
        await client.subscribe("log:a")
        for number in range(10):
            await served.node.publish("log:a", raw(number))
        served.node.disconnect(Target(user_id="ann"), Disconnect(3503, "force disconnect"))
        await client.ended()
        assert [publication["data"] for publication in client.received("log:a")] == list(range(10))


async def test_shutdown_is_told_as_3001(write_path: str) -> None:
    async with serve(write_path=write_path) as served:
        client = await WireClient.connected(served.port)
        await served.node.stop()
        assert (await client.ended()).code == 3001


async def test_the_servers_shutdown_is_told_as_3001(write_path: str) -> None:
    async with serve(write_path=write_path) as served:
        client = await WireClient.connected(served.port)
    assert (await client.ended()).code == 3001


async def test_the_application_learns_of_every_end(served: Served) -> None:
    application = served.application
    client = await WireClient.connected(served.port)
    await client.close()
    lost = await WireClient.connected(served.port)
    lost.abort()
    kicked = await WireClient.connected(served.port, data={"user": "kim"})
    served.node.disconnect(Target(user_id="kim"), Disconnect(3503, "force disconnect"))
    await kicked.ended()
    await application.until(lambda: len(application.ended) == 3)
    assert {ended[0] for ended in application.ended} == {client.client_id, lost.client_id, kicked.client_id}
    assert (kicked.client_id, 3503, "force disconnect") in application.ended


async def test_a_closing_handshake_is_answered(served: Served) -> None:
    async with await RawWebSocket.connect(served.port) as socket:
        await socket.send_frame(CLOSE, (1000).to_bytes(2, "big"))
        assert (await socket.read_close()).close_code == 1000
        await socket.read_eof()


# Ping and pong


async def test_pings_come_at_a_fixed_rate_also_on_a_busy_connection(write_path: str) -> None:
    limits = Limits(ping_interval=0.4, pong_timeout=0.3)
    async with serve(write_path=write_path, limits=limits) as served, await WireClient.connected(served.port) as client:
        await client.subscribe("plain:busy")
        traffic = asyncio.create_task(_traffic(served))
        await client.wait(lambda: client.pings >= 4)
        traffic.cancel()
        assert client.closed is None
        assert len(client.received("plain:busy")) > 20


async def test_a_client_that_does_not_answer_pings_is_closed(write_path: str) -> None:
    limits = Limits(ping_interval=0.4, pong_timeout=0.2)
    async with (
        serve(write_path=write_path, limits=limits) as served,
        await WireClient.connected(served.port, answer_pings=False) as silent,
        await WireClient.connected(served.port) as lively,
    ):
        closed = await silent.ended()
        assert (closed.code, closed.reason) == (3012, "no pong")
        assert silent.pings >= 1
        assert lively.closed is None


async def test_the_connect_reply_tells_pings_in_whole_seconds(write_path: str) -> None:
    limits = Limits(ping_interval=3.0, pong_timeout=1.0)
    async with serve(write_path=write_path, limits=limits) as served, await WireClient.open(served.port) as client:
        assert (await client.connect())["ping"] == 3


async def _traffic(served: Served) -> None:
    number = 0
    while True:
        await served.node.publish("plain:busy", raw(number))
        number += 1
        await asyncio.sleep(0.01)  # the pace of the traffic; nothing waits for it
