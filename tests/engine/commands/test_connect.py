"""The connect command: what is granted, what the server orders meanwhile, and what failure leaves behind."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import Raw

from hotclub.engine.broker.base import HistoryQuery
from hotclub.engine.errors import Disconnect, Refused, Unsubscribed
from hotclub.engine.limits import Limits
from hotclub.engine.port import SubscribeGrant
from hotclub.engine.protocol.connection import State
from hotclub.engine.protocol.messages import ConnectCommand, SubscribeCommand
from hotclub.engine.session import Kind
from hotclub.engine.target import Target
from tests.engine.support import Club, MemoryClient

LISTENER = Kind(version="1", secret="secret", unidirectional=True)


@pytest.fixture
async def club() -> AsyncIterator[Club]:
    club = Club(Limits(expiry_grace=0.05))
    await club.node.start()
    yield club
    club.broker.held.set()
    await club.node.stop()


async def listening(club: Club, **subs: SubscribeCommand) -> MemoryClient:
    """A unidirectional connection that names these channels, `log__a` for `log:a`."""
    client = club.client(encoder=club.node.encoders.uni_messages, kind=LISTENER)
    wishes = {name.replace("__", ":"): wish for name, wish in subs.items()}
    client.dispatcher.submit(1, ConnectCommand(subs=wishes))
    await client.until(lambda received: received or client.line.ended_with)
    return client


def connecting(club: Club, user: str = "7", *channels: str, **fields: object) -> MemoryClient:
    client = club.client()
    client.send(connect={"data": {"user": user, "channels": channels}, **fields})
    return client


async def subs_of(client: MemoryClient) -> dict[str, dict[str, Any]]:
    reply = await client.until(lambda received: received[0] if received else None)
    subs: dict[str, dict[str, Any]] = reply["connect"].get("subs", {})
    return subs


# What the server has in store


async def test_server_side_subscriptions_stand_in_the_reply_and_their_publications_follow(club: Club) -> None:
    club.application.welcome = {"log:a": SubscribeGrant(data=Raw(b'"hello"')), "plain:b": SubscribeGrant()}
    client = await club.connect()
    subs = client.line.received[0]["connect"]["subs"]
    assert (set(subs), subs["log:a"]["data"]) == ({"log:a", "plain:b"}, "hello")
    await club.publish("log:a")
    assert (await client.pushed("pub"))[0]["offset"] == 1
    assert (await client.call(subscribe={"channel": "log:a"}))["error"]["code"] == 105


async def test_they_are_recovered_through_connect(club: Club) -> None:
    for _ in range(3):
        await club.publish("log:a")
    top = (await club.node.channels.history("log:a", HistoryQuery())).top
    client = connecting(club, "7", "log:a", subs={"log:a": {"recover": True, "epoch": top.epoch, "offset": 1}})
    result = (await subs_of(client))["log:a"]
    assert (result["recovered"], result["offset"]) == (True, 1)
    assert [pub["offset"] for pub in result["publications"]] == [2, 3]


async def test_one_that_cannot_be_refuses_the_connection_and_leaves_nothing(club: Club) -> None:
    client = connecting(club, "7", "log:a", "map:b")
    reply = await client.until(lambda received: received[0] if received else None)
    assert reply["error"]["code"] == 108
    assert client.session.state is State.REFUSED
    assert (club.node.hub.num_clients, club.node.hub.num_channels) == (0, 0)
    assert "-log:a" in club.broker.calls
    assert len(club.node.pulse) == 0
    client.send(rpc={"method": "echo"})
    assert (await client.ended()).code == 3501


async def test_one_that_nobody_knows_refuses_the_connection_before_anything_is_done(club: Club) -> None:
    client = connecting(club, "7", "log:a", "nowhere:b")
    reply = await client.until(lambda received: received[0] if received else None)
    assert reply["error"]["code"] == 102
    assert club.broker.calls == []


async def test_a_store_that_fails_ends_the_connection(club: Club, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*args: object) -> None:
        raise OSError("the store is down")

    monkeypatch.setattr(club.broker, "history", fail)
    client = connecting(club, "7", "log:a")
    assert (await client.ended()).code == 3004
    assert (club.node.hub.num_clients, club.node.hub.num_channels, len(club.node.pulse)) == (0, 0, 0)


# What it orders meanwhile


@pytest.mark.parametrize("target", [Target(user_id="7"), Target()])
async def test_a_disconnect_reaches_a_connection_that_is_being_decided_on(club: Club, target: Target) -> None:
    gate = club.application.hold("connect", "7")
    client = connecting(club)
    await gate.entered.wait()
    assert club.node.disconnect(target, Disconnect(3503)) == 0
    gate.open()
    assert (await client.ended()).code == 3011
    assert client.line.received == []
    assert club.node.hub.num_clients == 0


async def test_a_disconnect_of_others_meanwhile_does_not(club: Club) -> None:
    gate = club.application.hold("connect", "7")
    client = connecting(club)
    await gate.entered.wait()
    club.node.disconnect(Target(user_id="8"), Disconnect(3503))
    club.node.unsubscribe(Target(user_id="8"), "log:a", Unsubscribed(2000))
    gate.open()
    await subs_of(client)
    assert not client.session.closed


async def test_an_unsubscribe_reaches_what_is_being_granted(club: Club) -> None:
    gate = club.application.hold("connect", "7")
    client = connecting(club, "7", "log:a", "log:b")
    await gate.entered.wait()
    assert club.node.unsubscribe(Target(user_id="7"), "log:a", Unsubscribed(2000)) == 0
    gate.open()
    assert set(await subs_of(client)) == {"log:b"}
    assert club.node.hub.channels() == ["log:b"]


@pytest.mark.parametrize("ended", ["log:a", "log:b", "log:c"])
async def test_an_unsubscribe_while_the_logs_are_read_takes_that_channel_out_alone(club: Club, ended: str) -> None:
    club.broker.held.clear()
    client = connecting(club, "7", "log:a", "log:b", "log:c")
    await club.broker.reading.wait()
    # The log of the first is being read; let it through to stand at the second.
    club.broker.reading.clear()
    club.broker.held.set()
    club.broker.held.clear()
    await club.broker.reading.wait()
    club.node.unsubscribe(Target(user_id="7"), ended, Unsubscribed(2000))
    club.broker.held.set()
    left = {"log:a", "log:b", "log:c"} - {ended}
    assert set(await subs_of(client)) == left
    await club.node.channels.settle()
    await client.flushed()
    assert set(club.node.hub.channels()) == set(client.session.subscribers) == left
    assert set(await club.node.presence.members(ended)) == set()


async def test_a_subscription_by_the_server_waits_for_the_connect_reply(club: Club) -> None:
    club.broker.held.clear()
    client = connecting(club, "7", "log:a")
    await club.broker.reading.wait()
    assert await club.node.subscribe(Target(user_id="7"), "log:b", SubscribeGrant()) == 1
    club.broker.held.set()
    await client.pushed("subscribe")
    assert "connect" in client.line.received[0]
    assert set(client.session.subscribers) == {"log:a", "log:b"}


async def test_a_connection_that_ends_meanwhile_is_not_pinged(club: Club) -> None:
    gate = club.application.hold("subscribe", "deny:a")
    client = club.client(encoder=club.node.encoders.uni_messages, kind=LISTENER)
    client.dispatcher.submit(1, ConnectCommand(subs={"deny:a": SubscribeCommand()}))
    await gate.entered.wait()
    client.session.close(Disconnect(3503))
    gate.open()
    await client.leave()
    assert len(club.node.pulse) == 0


# How long it lives


async def test_a_connection_ends_when_its_time_and_the_grace_are_over(club: Club) -> None:
    club.application.ttl = 1
    client = await club.connect()
    told = client.line.received[0]["connect"]
    assert (told["expires"], told["ttl"]) == (True, 1)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert (await client.ended()).code == 3005
    assert loop.time() - began > 0.9


# Those that only listen


async def test_wishes_are_granted_as_a_subscribe_command_would_be_and_denied_silently(club: Club) -> None:
    wish = SubscribeCommand(token="t", data=Raw(b"1"))
    client = await listening(club, plain__a=wish, deny__b=wish, nowhere__c=wish, **{"not a name": wish}, map__d=wish)
    connected = client.line.received[0]["connect"]
    assert (set(connected["subs"]), connected["session"]) == ({"plain:a"}, "secret")
    assert [channel for channel, _ in club.application.asked] == ["plain:a", "deny:b"]
    assert club.application.asked[0][1].token == "t"
    await club.publish("plain:a", 5)
    push = await client.until(lambda received: received[1] if len(received) > 1 else None)
    assert push == {"channel": "plain:a", "pub": push["pub"]}
    assert push["pub"]["data"] == 5


async def test_no_more_wishes_are_looked_at_than_a_connection_may_have_channels(club: Club) -> None:
    most = club.node.limits.channels_per_connection
    client = await listening(club, **{f"plain__{number}": SubscribeCommand() for number in range(most + 10)})
    assert len(client.line.received[0]["connect"]["subs"]) == most


@pytest.mark.parametrize(("code", "ends"), [(100, 3004), (111, 3013)])
async def test_a_wish_that_cannot_be_granted_just_now_makes_the_client_come_back(
    club: Club, code: int, ends: int
) -> None:
    club.application.grants["log:a"] = Refused(code)
    client = await listening(club, plain__b=SubscribeCommand(), log__a=SubscribeCommand())
    assert (await client.ended()).code == ends
    assert (client.line.received, club.node.hub.num_clients) == ([], 0)


@pytest.mark.parametrize(
    ("code", "ends"), [(100, 3004), (101, 3004), (103, 3507), (109, 3005), (110, 3005), (111, 3013), (107, 3004)]
)
async def test_a_refusal_becomes_the_end_of_the_connection(club: Club, code: int, ends: int) -> None:
    client = club.client(encoder=club.node.encoders.uni_messages, kind=LISTENER)
    client.dispatcher.submit(1, ConnectCommand(data=Raw(json.dumps({"error": code}).encode())))
    assert (await client.ended()).code == ends
    assert client.line.received == []


async def test_a_failing_connect_hook_ends_it_too(club: Club) -> None:
    client = club.client(encoder=club.node.encoders.uni_messages, kind=LISTENER)
    client.dispatcher.submit(1, ConnectCommand(data=Raw(b'"no dictionary"')))
    assert (await client.ended()).code == 3004


async def test_a_listener_needs_no_pong_and_its_pings_are_bare(club: Club) -> None:
    client = await listening(club)
    told = client.line.received[0]["connect"]
    assert "pong" not in told
    client.session.ping()
    client.session.outbox.flush()
    assert client.line.frames[-1] == b"{}"


# What the server has given after the connect reply


@pytest.fixture
async def given(club: Club) -> MemoryClient:
    """User 7, subscribed by the server to a channel that the user may not subscribe to."""
    club.application.grants["log:a"] = Refused(103)
    client = await club.connect("7")
    await club.node.subscribe(Target(user_id="7"), "log:a", SubscribeGrant())
    return client


async def back(club: Club, *, user: str = "7") -> tuple[MemoryClient, dict[str, Any]]:
    """A client of theirs that names the channel, and the subscriptions of its connect reply."""
    client = club.client()
    reply = await client.call(connect={"data": {"user": user}, "subs": {"log:a": {"recover": True}}})
    subs: dict[str, Any] = reply["connect"].get("subs", {})
    return client, subs


async def test_whoever_comes_back_has_it_again_and_again(club: Club, given: MemoryClient) -> None:
    await given.leave()
    client, first = await back(club)
    # However long this one lives: it is remembered anew.
    club.node.hub.peers.departed.forget(Target(user_id="7"))
    await client.leave()
    _, second = await back(club)
    _, stranger = await back(club, user="8")
    assert (set(first), set(second), stranger) == ({"log:a"}, {"log:a"}, {})


async def test_it_is_filtered_as_it_was(club: Club, given: MemoryClient) -> None:
    club.application.filters["log:a"] = lambda tags: "secret" not in tags
    await given.leave()
    await club.publish("log:a", 1, secret="y")
    await club.publish("log:a", 2)
    client, subs = await back(club)
    await club.publish("log:a", 3, secret="y")
    await club.publish("log:a", 4)
    assert [item["data"] for item in subs["log:a"]["publications"]] == [2]
    assert [item["data"] for item in await client.pushed("pub", 1)] == [4]


@pytest.mark.parametrize("away", [False, True], ids=["here", "away"])
@pytest.mark.parametrize("whom", ["user", "client"])
async def test_what_was_taken_away_does_not_come_back(club: Club, given: MemoryClient, away: bool, whom: str) -> None:
    await given.leave()
    client, _ = await back(club)
    if away:
        await client.leave()
    target = Target(user_id="7") if whom == "user" else Target(client_id=client.session.id)
    club.node.unsubscribe(target, "log:a", Unsubscribed(2000))
    if not away:
        await client.leave()
    assert (await back(club))[1] == {}


async def test_what_one_connection_was_given_ends_with_it(club: Club) -> None:
    club.application.grants["log:a"] = Refused(103)
    client = await club.connect("7")
    await club.node.subscribe(Target(client_id=client.session.id), "log:a", SubscribeGrant())
    assert set(client.session.subscribers) == {"log:a"}
    assert (await back(club))[1] == {}
    await client.leave()
    assert (await back(club))[1] == {}
