"""protocol.md §3: every branch of recovery, and what is told to a client that has missed something."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hotclub.engine.limits import Limits
from tests.support.app import LossyBroker, Served, raw, serve
from tests.support.wire import ErrorReply, WireClient, push_of

Connect = Callable[..., Awaitable[WireClient]]


async def fill(served: Served, channel: str, count: int) -> str:
    """Publish and return the epoch."""
    epoch = ""
    for number in range(1, count + 1):
        epoch = (await served.node.publish(channel, raw(number))).epoch
    return epoch


def offsets(result: dict[str, Any]) -> list[int]:
    return [publication["offset"] for publication in result.get("publications", ())]


async def test_what_was_missed_comes_with_the_reply(served: Served, connect: Connect) -> None:
    epoch = await fill(served, "log:a", 5)
    client = await connect()
    result = await client.subscribe("log:a", recover=True, epoch=epoch, offset=2)
    assert (result["recovered"], result["was_recovering"]) == (True, True)
    assert offsets(result) == [3, 4, 5]
    assert [publication["data"] for publication in result["publications"]] == [3, 4, 5]
    assert result["offset"] == 2, "the position recovered from, not the top (trap 4)"
    await served.node.publish("log:a", raw(6))
    (publication,) = await client.publications("log:a", 1)
    assert publication["offset"] == 6


async def test_a_current_client_recovers_nothing(served: Served, connect: Connect) -> None:
    epoch = await fill(served, "log:a", 5)
    result = await (await connect()).subscribe("log:a", recover=True, epoch=epoch, offset=5)
    assert (result["recovered"], result["was_recovering"], result["offset"]) == (True, True, 5)
    assert offsets(result) == []


async def test_a_fresh_client_can_have_the_whole_log(served: Served, connect: Connect) -> None:
    await fill(served, "log:a", 5)
    result = await (await connect()).subscribe("log:a", recover=True)
    assert result["recovered"] is True
    assert offsets(result) == [1, 2, 3, 4, 5]
    assert result.get("offset", 0) == 0


@pytest.mark.parametrize(
    ("channel", "count", "position"),
    [
        ("log:a", 5, {"epoch": "other", "offset": 2}),
        ("log:a", 5, {"offset": 6}),
        ("log:a", 5, {"offset": 2**40}),
        ("short:a", 5, {"offset": 2}),
        ("short:a", 5, {}),
        ("log:a", 5, {"epoch": "_"}),
        ("log:a", 5, {"epoch": "", "offset": 2}),
        ("log:a", 5, {"epoch": "", "offset": 5}),
    ],
)
async def test_what_cannot_be_recovered_is_said_and_nothing_is_replayed(
    served: Served, connect: Connect, channel: str, count: int, position: dict[str, Any]
) -> None:
    epoch = await fill(served, channel, count)
    client = await connect()
    result = await client.subscribe(channel, **({"recover": True, "epoch": epoch} | position))
    assert result.get("recovered", False) is False
    assert result["was_recovering"] is True
    assert offsets(result) == []
    assert (result["epoch"], result["offset"]) == (epoch, count)
    await served.node.publish(channel, raw("next"))
    (publication,) = await client.publications(channel, 1)
    assert publication["offset"] == count + 1


@pytest.mark.parametrize(("offset", "recovered"), [(3, True), (2, False)])
async def test_the_boundary_of_the_retention_is_exact(
    served: Served, connect: Connect, offset: int, recovered: bool
) -> None:
    epoch = await fill(served, "short:a", 5)
    result = await (await connect()).subscribe("short:a", recover=True, epoch=epoch, offset=offset)
    assert result.get("recovered", False) is recovered


@pytest.mark.parametrize(("missed", "recovered"), [(50, True), (51, False)])
async def test_a_gap_longer_than_the_limit_is_not_replayed_in_part(
    write_path: str, missed: int, recovered: bool
) -> None:
    async with (
        serve(write_path=write_path, limits=Limits(recovery_publications=50)) as served,
        await WireClient.connected(served.port) as client,
    ):
        epoch = await fill(served, "deep:a", missed)
        result = await client.subscribe("deep:a", recover=True, epoch=epoch)
        assert result.get("recovered", False) is recovered
        assert offsets(result) == (list(range(1, missed + 1)) if recovered else [])


async def test_a_client_may_rather_be_refused_than_reset(served: Served, connect: Connect) -> None:
    await fill(served, "log:a", 5)
    client = await connect()
    with pytest.raises(ErrorReply) as refused:
        await client.subscribe("log:a", recover=True, epoch="other", offset=2, flag=3)
    assert refused.value.code == 112
    await served.node.publish("log:a", raw(6))
    await client.settled()
    assert client.received("log:a") == []
    assert served.node.num_subscribers("log:a") == 0


async def test_the_first_publication_of_a_stream_names_its_epoch_and_no_other_does(connect: Connect) -> None:
    client = await connect()
    result = await client.subscribe("log:new")
    for value in (1, 2):
        await client.publish("log:new", value)
    live = await client.publications("log:new", 2)
    replayed = (await (await connect()).subscribe("log:new", recover=True))["publications"]
    kept = (await client.call("history", channel="log:new", limit=-1))["publications"]
    for publications in (live, replayed, kept):
        assert [publication.get("epoch") for publication in publications] == [result["epoch"], None]
        assert all("prev_data" not in publication for publication in publications)


async def test_a_live_gap_ends_the_subscription_with_2500(write_path: str) -> None:
    async with (
        serve(write_path=write_path, make_broker=LossyBroker) as served,
        await WireClient.connected(served.port) as client,
    ):
        await client.subscribe("log:a")
        await served.node.publish("log:a", raw(1))
        await served.node.publish("log:a", LossyBroker.LOST)
        await served.node.publish("log:a", raw(3))
        told = await client.push("unsubscribe", "log:a")
        assert told == {"code": 2500, "reason": "insufficient state"}
        assert [publication["offset"] for publication in client.received("log:a")] == [1]
        epoch = (await client.subscribe("log:a"))["epoch"]
        assert epoch


async def test_a_loss_on_an_idle_channel_is_found_by_the_position_check(write_path: str) -> None:
    limits = Limits(position_check=0.2)
    async with (
        serve(write_path=write_path, make_broker=LossyBroker, limits=limits) as served,
        await WireClient.connected(served.port) as client,
    ):
        first = await client.subscribe("log:a")
        await served.node.publish("log:a", LossyBroker.LOST)
        assert (await client.push("unsubscribe", "log:a"))["code"] == 2500
        again = await client.subscribe("log:a", recover=True, epoch=first["epoch"])
        assert (again["recovered"], offsets(again)) == (True, [1])


async def test_a_loss_on_an_idle_channel_of_the_servers_own_ends_the_connection(write_path: str) -> None:
    limits = Limits(position_check=0.2)
    async with (
        serve(write_path=write_path, make_broker=LossyBroker, limits=limits) as served,
        await WireClient.connected(served.port, data={"channels": ["log:mine"]}) as client,
    ):
        await served.node.publish("log:mine", LossyBroker.LOST)
        closed = await client.ended()
        assert (closed.code, closed.reason) == (3010, "insufficient state")


async def test_a_gap_of_a_server_side_subscription_ends_the_connection(write_path: str) -> None:
    async with (
        serve(write_path=write_path, make_broker=LossyBroker) as served,
        await WireClient.connected(served.port, data={"channels": ["log:mine"]}) as client,
    ):
        await served.node.publish("log:mine", LossyBroker.LOST)
        await served.node.publish("log:mine", raw(2))
        closed = await client.ended()
        assert (closed.code, closed.reason) == (3010, "insufficient state")
        assert not any(push_of(item, "pub") for item in client.inbox)
