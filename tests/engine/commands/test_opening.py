"""The subscribe story: what happens between its steps, and that every undo leaves nothing behind."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec import Raw

from hotclub.engine.errors import Disconnect, Unsubscribed
from hotclub.engine.limits import Limits
from hotclub.engine.target import Target
from tests.engine.support import Club, MemoryClient


@pytest.fixture
async def club() -> AsyncIterator[Club]:
    club = Club()
    await club.node.start()
    yield club
    club.broker.held.set()
    await club.node.stop()


async def subscribing(club: Club, client: MemoryClient, channel: str, **request: object) -> int:
    """A subscribe command that has read the log and is held there."""
    club.broker.held.clear()
    club.broker.reading.clear()
    number = client.send(subscribe={"channel": channel, **request})
    await club.broker.reading.wait()
    return number


def reply_to(client: MemoryClient, number: int) -> dict[str, object] | None:
    return next((message for message in client.line.received if message.get("id") == number), None)


async def test_publications_that_arrive_while_the_log_is_read_are_part_of_the_reply(club: Club) -> None:
    client = await club.connect()
    await club.publish("log:a")
    epoch = (await client.call(history={"channel": "log:a"}))["history"]["epoch"]
    number = await subscribing(club, client, "log:a", recover=True, offset=0, epoch=epoch)
    await club.publish("log:a")
    await club.publish("log:a")
    club.broker.held.set()
    reply = await client.until(lambda _: reply_to(client, number))
    result = reply["subscribe"]
    assert (result["recovered"], [pub["offset"] for pub in result["publications"]]) == (True, [1, 2, 3])
    assert result.get("offset", 0) == 0
    await club.publish("log:a")
    await client.until(lambda _: client.offsets("log:a") or None)
    assert client.offsets("log:a") == [4]


async def test_without_recovery_the_reply_starts_after_what_arrived_meanwhile(club: Club) -> None:
    client = await club.connect()
    number = await subscribing(club, client, "log:a")
    await club.publish("log:a")
    club.broker.held.set()
    reply = await client.until(lambda _: reply_to(client, number))
    assert reply["subscribe"]["offset"] == 1
    await club.publish("log:a")
    await client.until(lambda _: client.offsets("log:a") or None)
    assert client.offsets("log:a") == [2]


async def test_a_hole_between_log_and_buffer_ends_the_connection(club: Club) -> None:
    client = await club.connect()
    await subscribing(club, client, "log:a")
    await club.broker.unsubscribe("log:a")
    await club.publish("log:a")
    await club.broker.subscribe("log:a")
    await club.publish("log:a")
    club.broker.held.set()
    assert (await client.ended()).code == 3010
    assert club.node.hub.num_channels == 0


async def test_a_subscription_that_the_server_ends_meanwhile_is_refused(club: Club) -> None:
    client = await club.connect("7")
    number = await subscribing(club, client, "log:a")
    assert club.node.unsubscribe(Target(user_id="7"), "log:a", Unsubscribed(2000)) == 1
    club.broker.held.set()
    reply = await client.until(lambda _: reply_to(client, number))
    assert reply["error"]["code"] == 103
    assert not client.session.subscribers
    assert club.node.hub.num_channels == 0
    assert "-log:a" in club.broker.calls


async def test_a_connection_that_ends_while_subscribing_leaves_nothing(club: Club) -> None:
    client = await club.connect()
    await subscribing(club, client, "log:a")
    await client.leave()
    assert (club.node.hub.num_clients, club.node.hub.num_channels) == (0, 0)
    assert await club.node.presence.members("log:a") == {}
    assert club.broker.calls == ["+log:a", "-log:a"]


async def test_a_refused_recovery_leaves_nothing_and_says_so(club: Club) -> None:
    client = await club.connect()
    reply = await client.call(subscribe={"channel": "log:a", "recover": True, "epoch": "other", "offset": 3, "flag": 2})
    assert reply["error"]["code"] == 112
    assert club.node.hub.num_channels == 0
    reply = await client.call(subscribe={"channel": "log:a", "recover": True, "epoch": "other", "offset": 3})
    assert reply["subscribe"]["was_recovering"]
    assert "recovered" not in reply["subscribe"]


async def test_a_recovery_larger_than_a_connection_may_hold_is_not_attempted(club: Club) -> None:
    small = Club(Limits(outbox_bytes=1_000))
    await small.node.start()
    client = await small.connect()
    for _ in range(20):
        await small.publish("log:a", "x" * 100)
    reply = await client.call(subscribe={"channel": "log:a", "recover": True})
    assert "recovered" not in reply["subscribe"]
    assert reply["subscribe"]["offset"] == 20
    await small.node.stop()


async def test_the_subscriber_sees_its_own_join_after_its_reply(club: Club) -> None:
    client = await club.connect("7")
    await client.call(subscribe={"channel": "log:a"})
    join = await client.until(
        lambda received: next((message for message in received if "join" in message.get("push", {})), None)
    )
    assert join["push"]["join"]["info"]["user"] == "7"
    kinds = [next(iter(message)) for message in client.line.received]
    assert kinds.index("push") == len(kinds) - 1


async def test_leaving_while_appearing_leaves_no_ghost(club: Club) -> None:
    client, watcher = await club.connect("7"), await club.connect("8")
    await watcher.call(subscribe={"channel": "here:a"})
    gate = club.application.hold("presence", "here:a")
    client.send(subscribe={"channel": "here:a"})
    await gate.entered.wait()
    club.node.unsubscribe(Target(user_id="7"), "here:a", Unsubscribed(2000))
    gate.open()
    await client.until(
        lambda received: next((message for message in received if "unsubscribe" in message.get("push", {})), None)
    )
    await club.node.channels.settle()
    await client.call(rpc={"method": "echo"})
    assert [info.user for info in (await club.node.presence.members("here:a")).values()] == ["8"]


async def test_the_broker_follows_the_hub_through_a_storm(club: Club) -> None:
    clients = [await club.connect() for _ in range(5)]
    for _ in range(20):
        for client in clients:
            client.send(subscribe={"channel": "plain:a"})
            client.send(unsubscribe={"channel": "plain:a"})
    await asyncio.gather(*(client.call(subscribe={"channel": "plain:b"}) for client in clients))
    assert club.node.hub.channels() == ["plain:b"]
    state: set[str] = set()
    for call in club.broker.calls:
        assert (call[1:] in state) is (call[0] == "-"), "the broker was told the same thing twice"
        (state.add if call[0] == "+" else state.discard)(call[1:])
    assert state == {"plain:b"}
    for client in clients:
        await client.leave()
    assert club.node.hub.num_channels == 0


async def test_a_connection_that_was_closed_gets_nothing_more(club: Club) -> None:
    client = await club.connect("7")
    await client.call(subscribe={"channel": "log:a"})
    assert club.node.disconnect(Target(user_id="7"), Disconnect(3503)) == 1
    await club.node.publish("log:a", Raw(b"1"))
    assert client.offsets("log:a") == []
    assert (await client.ended()).code == 3503
