"""protocol.md §2.2, §2.3, §2.9 and §3.5: subscribing, its ordering MUSTs, and its ends."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from hotclub.engine.errors import Disconnect, Unsubscribed
from hotclub.engine.limits import Limits
from hotclub.engine.target import Target
from tests.support.app import Served, raw, serve
from tests.support.wire import ErrorReply, WireClient, push_of

Connect = Callable[..., Awaitable[WireClient]]


def index(client: WireClient, matches: Callable[[dict[str, object]], bool]) -> int:
    return next(number for number, item in enumerate(client.inbox) if matches(item))


async def test_a_plain_channel_promises_nothing(connect: Connect) -> None:
    client = await connect()
    assert await client.subscribe("plain:a", flag=1) == {}


async def test_a_recoverable_channel_gives_its_position(served: Served, connect: Connect) -> None:
    client = await connect()
    first = await client.subscribe("log:a")
    assert first["recoverable"] is True
    assert first["positioned"] is True
    assert first["epoch"] not in ("", "_")
    assert "offset" not in first
    for number in range(3):
        await served.node.publish("log:a", raw(number))
    late = await connect()
    assert (await late.subscribe("log:a"))["offset"] == 3
    assert late.received("log:a") == []


async def test_history_without_recovery_is_not_positioned(connect: Connect) -> None:
    client = await connect()
    assert await client.subscribe("kept:a") == {}


async def test_the_hooks_data_is_in_the_reply(connect: Connect) -> None:
    client = await connect()
    assert (await client.subscribe("log:a", data={"x": 1}))["data"] == {"x": 1}


@pytest.mark.parametrize(("channel", "code"), [("unknown:a", 102), ("deny:a", 103), ("bad name", 107)])
async def test_a_refused_subscription_leaves_the_connection_alone(connect: Connect, channel: str, code: int) -> None:
    client = await connect()
    with pytest.raises(ErrorReply) as refused:
        await client.subscribe(channel)
    assert refused.value.code == code
    assert await client.subscribe("plain:a") == {}


async def test_an_empty_channel_name_is_refused(connect: Connect) -> None:
    client = await connect()
    with pytest.raises(ErrorReply) as refused:
        await client.subscribe("")
    assert refused.value.code == 107
    assert await client.call("unsubscribe", channel="") == {}


async def test_a_second_subscription_to_a_channel_is_refused(connect: Connect) -> None:
    client = await connect()
    await client.subscribe("log:a")
    with pytest.raises(ErrorReply) as refused:
        await client.subscribe("log:a")
    assert refused.value.code == 105


async def test_the_number_of_channels_is_limited(write_path: str) -> None:
    async with (
        serve(write_path=write_path, limits=Limits(channels_per_connection=3)) as served,
        await WireClient.connected(served.port) as client,
    ):
        for number in range(3):
            await client.subscribe(f"plain:{number}")
        with pytest.raises(ErrorReply) as refused:
            await client.subscribe("plain:3")
        assert refused.value.code == 106
        await client.call("unsubscribe", channel="plain:0")
        assert await client.subscribe("plain:3") == {}


@pytest.mark.parametrize("fields", [{"type": 1}, {"type": 4}, {"delta": "xdelta"}])
async def test_what_is_not_offered_is_refused_and_never_granted(connect: Connect, fields: dict[str, object]) -> None:
    client = await connect()
    with pytest.raises(ErrorReply) as refused:
        await client.subscribe("log:a", **fields)
    assert refused.value.code == (107 if "delta" in fields else 108)


async def test_an_offer_of_compaction_or_delta_is_simply_not_taken(connect: Connect) -> None:
    client = await connect()
    result = await client.subscribe("log:a", flag=1, delta="fossil")
    assert "id" not in result
    assert "delta" not in result


# Ordering MUST 1: the reply first, then anything else of the channel


async def test_no_publication_overtakes_the_reply(served: Served, connect: Connect) -> None:
    """Subscribers come while the channel is busy; each sees its reply, then every offset behind it."""
    publishing = asyncio.create_task(_publish_until_cancelled(served, "deep:busy"))
    clients = [await connect() for _ in range(20)]
    results = await asyncio.gather(*(client.subscribe("deep:busy") for client in clients))
    await asyncio.gather(*(client.publications("deep:busy", 30) for client in clients))
    publishing.cancel()
    for client, result in zip(clients, results, strict=True):
        replied = index(client, lambda item: "subscribe" in item)
        pushed = index(client, lambda item: push_of(item, "pub") is not None)
        assert replied < pushed
        offsets = [publication["offset"] for publication in client.received("deep:busy")]
        first = result.get("offset", 0) + len(result.get("publications", ())) + 1
        assert offsets == list(range(first, first + len(offsets)))


async def test_nothing_is_pushed_while_the_hook_still_decides(served: Served, connect: Connect) -> None:
    gate = served.application.hold("subscribe", "log:a")
    client = await connect()
    command = await client.start("subscribe", channel="log:a")
    await gate.entered.wait()
    await served.node.publish("log:a", raw("early"))
    gate.open()
    result = await client.result(command, "subscribe")
    await served.node.publish("log:a", raw("late"))
    (publication,) = await client.publications("log:a", 1)
    assert result["offset"] == 1
    assert (publication["data"], publication["offset"]) == ("late", 2)


async def test_a_slow_subscribe_of_one_channel_holds_up_nobody_else(served: Served, connect: Connect) -> None:
    gate = served.application.hold("subscribe", "log:slow")
    slow, other = await connect(), await connect()
    command = await slow.start("subscribe", channel="log:slow")
    await gate.entered.wait()
    await other.subscribe("log:a")
    await other.publish("log:a", 1)
    await other.publications("log:a", 1)
    gate.open()
    await slow.result(command, "subscribe")


# Ordering MUST 3: same-channel commands keep their order


async def test_unsubscribe_waits_for_the_subscribe_in_flight(served: Served, connect: Connect) -> None:
    gate = served.application.hold("subscribe", "log:a")
    client = await connect()
    await client.send({"id": 51, "subscribe": {"channel": "log:a"}}, {"id": 52, "unsubscribe": {"channel": "log:a"}})
    await gate.entered.wait()
    gate.open()
    await client.result(52, "unsubscribe")
    assert [item["id"] for item in client.inbox if item.get("id") in (51, 52)] == [51, 52]
    await served.application.until(lambda: (client.client_id, "log:a") in served.application.left)
    await served.node.publish("log:a", raw(1))
    await client.settled()
    assert client.received("log:a") == []
    assert served.node.num_subscribers("log:a") == 0


async def test_subscribe_unsubscribe_subscribe_in_one_frame_ends_subscribed(served: Served, connect: Connect) -> None:
    client = await connect()
    await client.send(
        {"id": 61, "subscribe": {"channel": "log:a"}},
        {"id": 62, "unsubscribe": {"channel": "log:a"}},
        {"id": 63, "subscribe": {"channel": "log:a"}},
    )
    await client.result(63, "subscribe")
    await served.node.publish("log:a", raw(1))
    assert len(await client.publications("log:a", 1)) == 1


# Ordering MUST 4: by offset, no holes, no duplicates


async def test_concurrent_publishers_reach_everybody_in_one_order(served: Served, connect: Connect) -> None:
    clients = [await connect() for _ in range(6)]
    for client in clients:
        await client.subscribe("log:a")
    await asyncio.gather(*(client.publish("log:a", [n, k]) for k in range(10) for n, client in enumerate(clients)))
    views = [await client.publications("log:a", 60) for client in clients]
    assert all(view == views[0] for view in views)
    assert [publication["offset"] for publication in views[0]] == list(range(1, 61))


# Ordering MUST 5: join behind the reply, seen by the joiner too


async def test_the_joiner_sees_its_own_join_behind_its_reply(connect: Connect) -> None:
    before, client = await connect("ann"), await connect("bob", info={"name": "Bob"})
    await before.subscribe("here:a")
    await client.subscribe("here:a")
    join = await client.push("join", "here:a")
    assert join["info"] == {"user": "bob", "client": client.client_id, "conn_info": {"name": "Bob"}}
    replied = index(client, lambda item: "subscribe" in item)
    assert replied < index(client, lambda item: push_of(item, "join") is not None)
    await before.expect(lambda item: (push_of(item, "join") or {}).get("info", {}).get("user") == "bob")


async def test_a_leave_is_pushed_to_those_who_stay(connect: Connect) -> None:
    stays, leaves, says_goodbye = await connect("ann"), await connect("bob"), await connect("cy")
    for client in (stays, leaves, says_goodbye):
        await client.subscribe("here:a")
    await leaves.call("unsubscribe", channel="here:a")
    leave = await stays.push("leave", "here:a")
    assert leave["info"] == {"user": "bob", "client": leaves.client_id}
    await says_goodbye.close()
    await stays.expect(lambda item: (push_of(item, "leave") or {}).get("info", {}).get("user") == "cy")
    await leaves.settled()
    assert not any(push_of(item, "leave") for item in leaves.inbox)


async def test_a_leave_is_pushed_when_a_lost_connection_stays_away(write_path: str) -> None:
    async with (
        serve(write_path=write_path, limits=Limits(presence_grace=0.1)) as served,
        await WireClient.connected(served.port, data={"user": "ann"}) as stays,
        await WireClient.connected(served.port, data={"user": "bob"}) as drops,
    ):
        await stays.subscribe("here:a")
        await drops.subscribe("here:a")
        drops.abort()
        leave = await stays.push("leave", "here:a")
        assert leave["info"] == {"user": "bob", "client": drops.client_id}


# Unsubscribe


async def test_unsubscribe_never_fails_and_is_not_pushed(connect: Connect) -> None:
    client = await connect()
    await client.subscribe("log:a")
    assert await client.call("unsubscribe", channel="log:a") == {}
    assert await client.call("unsubscribe", channel="log:a") == {}
    assert await client.call("unsubscribe", channel="unknown:a") == {}
    assert await client.call("unsubscribe", channel="bad name") == {}
    await client.settled()
    assert not any(push_of(item, "unsubscribe") for item in client.inbox)


async def test_the_server_can_end_a_subscription(served: Served, connect: Connect) -> None:
    client = await connect("ann")
    await client.subscribe("log:a")
    assert served.node.unsubscribe(Target(user_id="ann"), "log:a", Unsubscribed(2000)) == 1
    assert await client.push("unsubscribe", "log:a") == {"code": 2000, "reason": "server unsubscribe"}
    await served.node.publish("log:a", raw(1))
    await client.settled()
    assert client.received("log:a") == []
    assert (await client.subscribe("log:a"))["offset"] == 1


async def test_a_disconnect_while_subscribing_leaves_nothing_behind(served: Served, connect: Connect) -> None:
    gate = served.application.hold("subscribe", "log:a")
    client = await connect("ann")
    await client.start("subscribe", channel="log:a")
    await gate.entered.wait()
    served.node.disconnect(Target(user_id="ann"), Disconnect(3503, "force disconnect"))
    gate.open()
    await client.ended()
    await served.application.until(lambda: len(served.application.ended) == 1)
    assert served.node.num_subscribers("log:a") == 0
    assert await served.node.presence_members("log:a") == {}


# Server-side subscriptions


async def test_server_side_subscriptions_come_with_the_connect_reply(served: Served) -> None:
    async with await WireClient.open(served.port) as client:
        result = await client.connect(data={"user": "ann", "channels": ["log:mine"]})
        assert result["subs"]["log:mine"]["recoverable"] is True
        await served.node.publish("log:mine", raw(1))
        (publication,) = await client.publications("log:mine", 1)
        assert publication["offset"] == 1
        with pytest.raises(ErrorReply) as refused:
            await client.subscribe("log:mine")
        assert refused.value.code == 105


async def test_server_side_subscriptions_recover_through_connect(served: Served) -> None:
    async with await WireClient.open(served.port) as client:
        first = (await client.connect(data={"channels": ["log:mine"]}))["subs"]["log:mine"]
    for number in range(3):
        await served.node.publish("log:mine", raw(number))
    async with await WireClient.open(served.port) as client:
        position = {"recover": True, "epoch": first["epoch"], "offset": 1}
        result = await client.connect(data={"channels": ["log:mine"]}, subs={"log:mine": position})
    again = result["subs"]["log:mine"]
    assert (again["recovered"], again["was_recovering"], again["offset"]) == (True, True, 1)
    assert [publication["offset"] for publication in again["publications"]] == [2, 3]


async def test_a_client_cannot_grant_itself_what_it_could_not_subscribe_to(served: Served) -> None:
    async with await WireClient.open(served.port) as client:
        result = await client.connect(subs={"deny:a": {"recover": True}, "log:a": {"recover": True}})
        assert set(result["subs"]) == {"log:a"}


async def _publish_until_cancelled(served: Served, channel: str) -> None:
    number = 0
    while True:
        await served.node.publish(channel, raw(number))
        number += 1
        if number % 3 == 0:
            await asyncio.sleep(0.001)  # the pace of the traffic; nothing waits for it


@pytest.mark.parametrize("others", [0, 1])
async def test_leaving_and_hanging_up_at_once_leaves_nothing_behind(
    served: Served, connect: Connect, others: int
) -> None:
    for _ in range(others):
        await (await connect("bob")).subscribe("here:a")
    client = await connect("ann")
    await client.subscribe("here:a")
    await client.push("join", "here:a")
    gate = served.application.hold("presence", "here:a")
    await client.start("unsubscribe", channel="here:a")
    closed = asyncio.create_task(client.close())
    await gate.entered.wait()
    await closed
    gate.open()
    await served.application.until(lambda: bool(served.application.left))
    assert served.application.left == [(client.client_id, "here:a")]
    assert [info.user for info in (await served.node.presence_members("here:a")).values()] == ["bob"] * others
