"""The inbound half: order, floods, failures."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from functools import partial

import pytest

from hotclub.engine.limits import Limits
from tests.engine.support import Club, MemoryClient


@pytest.fixture
async def club() -> AsyncIterator[Club]:
    club = Club(Limits(commands_rate=0.001, commands_burst=20, rejected_commands=5, pending_commands=10))
    await club.node.start()
    yield club
    await club.node.stop()


async def test_commands_of_one_connection_run_in_order_and_hold_up_nobody_else(club: Club) -> None:
    slow, other = await club.connect(), await club.connect()
    gate = club.application.hold("rpc", "echo")
    first = slow.send(rpc={"method": "echo", "data": 1})
    second = slow.send(rpc={"method": "whoami"})
    await gate.entered.wait()
    assert "rpc" in await other.call(rpc={"method": "whoami"})
    gate.open()
    await slow.until(lambda received: next((True for message in received if message.get("id") == second), None))
    ids = [message["id"] for message in slow.line.received if "id" in message]
    assert ids.index(first) < ids.index(second)


async def test_a_flood_is_answered_with_111_and_then_ended(club: Club) -> None:
    client = await club.connect()
    for _ in range(19):
        assert "rpc" in await client.call(rpc={"method": "echo"})
    for _ in range(5):
        assert (await client.call(rpc={"method": "echo"}))["error"] == {
            "code": 111,
            "message": "too many requests",
            "temporary": True,
        }
    client.send(rpc={"method": "echo"})
    assert (await client.ended()).code == 3013


async def test_commands_that_pile_up_behind_a_slow_one_are_bounded(club: Club) -> None:
    client = await club.connect()
    gate = club.application.hold("rpc", "echo")
    client.send(rpc={"method": "echo"})
    await gate.entered.wait()
    for _ in range(11):
        client.send(rpc={"method": "whoami"})
    assert (await client.ended()).code == 3013
    gate.open()


async def test_a_pong_is_seen_while_a_command_is_slow(club: Club) -> None:
    client = await club.connect()
    gate = club.application.hold("rpc", "echo")
    client.send(rpc={"method": "echo"})
    await gate.entered.wait()
    due, _ = club.node.pulse.tick(client.session.clock() + 25)
    assert due == [client.session]
    client.dispatcher.receive(b"{}")
    assert club.node.pulse.tick(client.session.clock() + 34)[1] == []
    gate.open()


@pytest.mark.parametrize(
    "command",
    [
        {"rpc": {"method": "x"}},
        {"subscribe": {"channel": "log:a"}},
        {"id": 3},
    ],
)
async def test_the_first_command_must_be_connect(club: Club, command: dict[str, object]) -> None:
    client = MemoryClient(club.node)
    client.send(**command)
    assert (await client.ended()).code == 3501


async def test_commands_behind_a_refused_connect_are_dropped(club: Club) -> None:
    client = MemoryClient(club.node)
    client.dispatcher.receive(b'{"id":1,"connect":{"data":{"error":103}}}\n{"id":2,"subscribe":{"channel":"log:a"}}')
    assert (await client.ended()).code == 3501
    assert [message.get("error", {}).get("code") for message in client.line.received] == [103]
    assert club.node.hub.num_channels == 0


async def test_a_failing_hook_costs_its_own_command_only(club: Club, caplog: pytest.LogCaptureFixture) -> None:
    client = await club.connect()
    assert (await client.call(rpc={"method": "fail"}))["error"]["code"] == 100
    assert "rpc" in await client.call(rpc={"method": "whoami"})
    assert "RpcCommand failed" in caplog.text


async def test_a_command_without_an_id_that_needs_a_reply_is_malformed(club: Club) -> None:
    client = await club.connect()
    client.dispatcher.receive(b'{"rpc":{"method":"echo"}}')
    assert (await client.ended()).code == 3501


@pytest.mark.parametrize(("at_once", "lives"), [([10], False), ([1, 2], True)])
async def test_a_steady_flood_is_ended_though_a_few_of_its_commands_are_taken(at_once: list[int], lives: bool) -> None:
    """Every second there is a token for one command."""
    club = Club(Limits(commands_rate=1.0, commands_burst=20, rejected_commands=50))
    await club.node.start()
    client = await club.connect()
    began = client.session.clock()
    for second, number in zip(range(200), itertools.cycle(at_once), strict=False):
        client.session.clock = partial(float, began + second)
        for _ in range(number):
            client.send(rpc={"method": "whoami"})
        await asyncio.sleep(0)
    assert client.session.closed is not lives
    if not lives:
        assert (await client.ended()).code == 3013
    await club.node.stop()


async def test_a_connection_that_winds_up_answers_what_was_taken_and_takes_no_more(club: Club) -> None:
    client = await club.connect()
    gate = club.application.hold("rpc", "echo")
    first = client.send(rpc={"method": "echo", "data": 1})
    second = client.send(rpc={"method": "echo", "data": 2})
    await gate.entered.wait()

    client.dispatcher.wind_up()
    client.send(rpc={"method": "echo", "data": 3})
    gate.open()

    assert (await client.ended()).code == 3001
    assert [message["id"] for message in client.line.received if "rpc" in message] == [first, second]


async def test_a_connection_without_commands_winds_up_at_once(club: Club) -> None:
    client = await club.connect()
    client.dispatcher.wind_up()
    assert (await client.ended()).code == 3001


async def test_the_second_winding_up_waits_for_nothing(club: Club) -> None:
    client = await club.connect()
    gate = club.application.hold("rpc", "echo")
    client.send(rpc={"method": "echo", "data": 1})
    await gate.entered.wait()

    client.dispatcher.wind_up()
    assert client.line.ended_with is None
    client.dispatcher.wind_up()

    assert (await client.ended()).code == 3001
    gate.open()
