"""Cache recovery, positions alone, filters, differences after recovery, expiry, and subscribing by the server."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import Raw

from hotclub.engine.broker.base import HistoryQuery
from hotclub.engine.errors import Disconnect, Refused, Unsubscribed
from hotclub.engine.limits import Limits
from hotclub.engine.model import Position, Publication
from hotclub.engine.port import RefreshGrant, SubscribeGrant
from hotclub.engine.protocol.fossil import apply_delta
from hotclub.engine.subscriber import PollSubscriber
from hotclub.engine.target import Target
from tests.engine.support import Club, MemoryClient


@pytest.fixture
async def club() -> AsyncIterator[Club]:
    club = Club(Limits(expiry_grace=0.05))
    await club.node.start()
    yield club
    club.broker.held.set()
    await club.node.stop()


async def subscribe(client: MemoryClient, channel: str, **request: object) -> dict[str, Any]:
    reply = await client.call(subscribe={"channel": channel, **request})
    assert "subscribe" in reply, reply
    result: dict[str, Any] = reply["subscribe"]
    return result


async def at(club: Club, channel: str, offset: int) -> dict[str, Any]:
    """A position in the channel's log, as a subscribe command names it."""
    return {"epoch": (await club.node.channels.history(channel, HistoryQuery())).top.epoch, "offset": offset}


async def epoch_of(club: Club, channel: str) -> str:
    return (await (await club.connect()).call(history={"channel": channel}))["history"]["epoch"]  # type: ignore[no-any-return]


# Cache mode


async def test_a_cache_channel_gives_its_latest_unasked(club: Club) -> None:
    for value in (1, 2, 3):
        await club.publish("cache:a", value)
    client = await club.connect()
    result = await subscribe(client, "cache:a")
    assert [(pub["offset"], pub["data"]) for pub in result["publications"]] == [(3, 3)]
    assert (result["recovered"], result["was_recovering"], result["offset"]) == (True, True, 2)
    await club.publish("cache:a", 4)
    await client.flushed()
    assert client.offsets("cache:a") == [4]


async def test_a_cache_channel_gives_nothing_to_who_has_the_latest(club: Club) -> None:
    await club.publish("cache:a", 1)
    epoch = await epoch_of(club, "cache:a")
    client = await club.connect()
    result = await subscribe(client, "cache:a", recover=True, offset=1, epoch=epoch)
    assert (result["recovered"], result["offset"]) == (True, 1)
    assert "publications" not in result


async def test_a_cache_channel_gives_the_latest_across_any_gap_and_epoch(club: Club) -> None:
    for value in range(5):
        await club.publish("cache:a", value)
    for asked in ({"offset": 1}, {"offset": 99}, {"offset": 5, "epoch": "another"}):
        client = await club.connect()
        result = await subscribe(client, "cache:a", recover=True, **asked)
        assert ([pub["offset"] for pub in result["publications"]], result["recovered"]) == ([5], True)
        assert result["offset"] == asked["offset"]


async def test_a_position_before_the_first_is_none_on_the_wire(club: Club) -> None:
    await club.publish("cache:a", 1)
    result = await subscribe(await club.connect(), "cache:a", recover=True, offset=-5)
    assert ([pub["offset"] for pub in result["publications"]], "offset" in result) == ([1], False)


@pytest.mark.parametrize("channel", ["plain:a", "kept:a", "position:a"])
async def test_who_asks_to_recover_where_nothing_can_be_is_told_so(club: Club, channel: str) -> None:
    """Its application has to load its state anew; without `was_recovering` it would not know."""
    result = await subscribe(await club.connect(), channel, recover=True, offset=1, epoch="a")
    assert result["was_recovering"]
    assert "recovered" not in result
    assert "was_recovering" not in await subscribe(await club.connect(), channel)


async def test_an_empty_cache_channel_is_recovered_only_where_the_client_stands(club: Club) -> None:
    epoch = await epoch_of(club, "cache:a")
    client = await club.connect()
    assert "recovered" not in await subscribe(client, "cache:a", recover=True, offset=3, epoch=epoch)
    client = await club.connect()
    assert (await subscribe(client, "cache:a", recover=True, epoch=epoch))["recovered"]


async def test_an_empty_cache_channel_refuses_only_who_asked_to_recover(club: Club) -> None:
    client = await club.connect()
    assert "recovered" not in await subscribe(client, "cache:a", flag=2)
    await client.call(unsubscribe={"channel": "cache:a"})
    reply = await client.call(subscribe={"channel": "cache:a", "flag": 2, "recover": True, "offset": 3})
    assert reply["error"]["code"] == 112


async def test_what_arrives_while_a_cache_channel_is_read_follows(club: Club) -> None:
    await club.publish("cache:a", 1)
    client = await club.connect()
    club.broker.held.clear()
    club.broker.reading.clear()
    number = client.send(subscribe={"channel": "cache:a"})
    await club.broker.reading.wait()
    await club.publish("cache:a", 2)
    club.broker.held.set()
    reply = await client.until(lambda received: next((item for item in received if item.get("id") == number), None))
    assert [pub["offset"] for pub in reply["subscribe"]["publications"]][-1] == 2


# Positions alone


async def test_a_positioned_channel_is_held_to_its_order_and_recovers_nothing(club: Club) -> None:
    await club.publish("position:a")
    client = await club.connect()
    result = await subscribe(client, "position:a", recover=True, offset=0)
    assert (result["positioned"], result["offset"]) == (True, 1)
    assert not {"recoverable", "recovered", "publications"} & set(result)
    epoch = client.session.subscribers["position:a"].epoch
    club.node.hub.deliver("position:a", Publication(data=Raw(b"1"), offset=3), epoch)
    assert (await client.pushed("unsubscribe"))[0]["code"] == 2500


# Filters


async def test_a_filter_holds_in_a_recovery_and_counts_in_its_gap_check(club: Club) -> None:
    for lang in ("fr", "en", "fr", "en"):
        await club.publish("tagged:a", lang, lang=lang)
    wanted = {"key": "lang", "cmp": "eq", "val": "fr"}
    client = await club.connect()
    result = await subscribe(client, "tagged:a", recover=True, **await at(club, "tagged:a", 1), tf=wanted)
    assert ([pub["offset"] for pub in result["publications"]], result["recovered"]) == ([3], True)
    await club.publish("tagged:a", "fr", lang="fr")
    await client.flushed()
    assert client.offsets("tagged:a") == [5]


async def test_a_filter_holds_for_what_arrives_while_the_log_is_read(club: Club) -> None:
    client = await club.connect()
    club.broker.held.clear()
    club.broker.reading.clear()
    client.send(subscribe={"channel": "tagged:a", "recover": True, "tf": {"key": "lang", "cmp": "neq", "val": "en"}})
    await club.broker.reading.wait()
    await club.publish("tagged:a", 1, lang="en")
    await club.publish("tagged:a", 2, lang="fr")
    club.broker.held.set()
    reply = await client.until(lambda received: next((item for item in received if "subscribe" in item), None))
    assert [pub["offset"] for pub in reply["subscribe"]["publications"]] == [2]


async def test_the_servers_filter_holds_beside_the_clients(club: Club) -> None:
    club.application.grants["tagged:a"] = SubscribeGrant(admits=lambda tags: tags.get("secret") != "yes")
    client = await club.connect()
    await subscribe(client, "tagged:a", tf={"key": "lang", "cmp": "eq", "val": "fr"})
    await club.publish("tagged:a", 1, lang="fr", secret="yes")
    await club.publish("tagged:a", 2, lang="fr")
    await club.publish("tagged:a", 3, lang="en")
    await client.flushed()
    assert [pub["data"] for pub in client.pushes("pub")] == [2]


@pytest.mark.parametrize("tf", [{"key": "a", "cmp": "eq"}, {"op": "xor"}, {"key": "a", "cmp": "eq", "val": "1"}])
async def test_a_filter_that_is_wrong_or_not_offered_is_refused(club: Club, tf: dict[str, str]) -> None:
    client = await club.connect()
    channel = "log:a" if "val" in tf else "tagged:a"
    assert (await client.call(subscribe={"channel": channel, "tf": tf}))["error"]["code"] == 107
    assert club.node.hub.num_channels == 0


# Differences


TEXTS = ["x" * 200, "x" * 200 + "1", "x" * 200 + "12", "x" * 200 + "123"]


async def test_the_chain_goes_on_from_the_last_that_was_recovered(club: Club) -> None:
    for text in TEXTS[:3]:
        await club.publish("delta:a", text)
    client = await club.connect()
    since = await at(club, "delta:a", 1)
    result = await subscribe(client, "delta:a", delta="fossil", recover=True, **since)
    assert result["delta"]
    first, second = result["publications"]
    assert (json.loads(first["data"]), first.get("delta", False)) == (TEXTS[1], False)
    base = apply_delta(first["data"].encode(), second["data"].encode())
    assert (json.loads(base), second["delta"]) == (TEXTS[2], True)
    await club.publish("delta:a", TEXTS[3])
    (live,) = await client.pushed("pub")
    assert live["delta"]
    assert json.loads(apply_delta(base, live["data"].encode())) == TEXTS[3]


async def test_after_an_empty_recovery_the_next_is_whole(club: Club) -> None:
    await club.publish("delta:a", TEXTS[0])
    client = await club.connect()
    since = await at(club, "delta:a", 1)
    result = await subscribe(client, "delta:a", delta="fossil", recover=True, **since)
    assert result["recovered"]
    assert "publications" not in result
    await club.publish("delta:a", TEXTS[1])
    (live,) = await client.pushed("pub")
    assert (json.loads(live["data"]), "delta" in live) == (TEXTS[1], False)


async def test_after_a_failed_recovery_the_next_is_whole(club: Club) -> None:
    await club.publish("delta:a", TEXTS[0])
    client = await club.connect()
    await subscribe(client, "delta:a", delta="fossil", recover=True, offset=9)
    await club.publish("delta:a", TEXTS[1])
    (live,) = await client.pushed("pub")
    assert "delta" not in live


async def test_who_does_not_ask_for_differences_gets_none(club: Club) -> None:
    client = await club.connect()
    assert "delta" not in await subscribe(client, "delta:a")
    assert (await client.call(subscribe={"channel": "log:a", "delta": "zip"}))["error"]["code"] == 107


# Publications outside of the log


async def test_what_is_not_kept_does_not_disturb_who_is_subscribing(club: Club) -> None:
    client = await club.connect()
    club.broker.held.clear()
    club.broker.reading.clear()
    client.send(subscribe={"channel": "log:a"})
    await club.broker.reading.wait()
    club.node.hub.deliver("log:a", Publication(data=Raw(b'"passing"')), "")
    await club.publish("log:a", "kept")
    club.broker.held.set()
    (passing,) = await client.pushed("pub")
    assert passing["data"] == "passing"
    assert client.session.subscribers["log:a"].offset == 1


# By the server's will


async def test_the_server_subscribes_and_its_client_is_told_first(club: Club) -> None:
    client = await club.connect("7")
    assert await club.node.subscribe(Target(user_id="7"), "log:a", SubscribeGrant(data=Raw(b'"why"'))) == 1
    await club.publish("log:a", 1)
    (push,) = await client.pushed("pub")
    kinds = [next(key for key in message["push"] if key != "channel") for message in client.line.received[1:]]
    assert kinds == ["subscribe", "join", "pub"]
    (told,) = client.pushes("subscribe")
    assert (told["recoverable"], told["positioned"], told["data"]) == (True, True, "why")
    assert push["offset"] == 1


async def test_a_position_given_by_the_server_is_recovered_from(club: Club) -> None:
    for value in (1, 2, 3):
        await club.publish("log:a", value)
    client = await club.connect("7")
    since = Position(**await at(club, "log:a", 1))
    await club.node.subscribe(Target(user_id="7"), "log:a", SubscribeGrant(), since)
    assert [pub["data"] for pub in await client.pushed("pub", 2)] == [2, 3]
    assert client.pushes("subscribe")[0]["offset"] == 1
    await club.publish("log:a", 4)
    await client.pushed("pub", 3)
    assert client.offsets("log:a") == [2, 3, 4]


async def test_the_server_leaves_a_subscription_as_it_is(club: Club) -> None:
    client = await club.connect("7")
    await subscribe(client, "log:a")
    await club.node.subscribe(Target(user_id="7"), "log:a", SubscribeGrant())
    await client.flushed()
    assert client.pushes("subscribe") == []
    assert not client.session.subscribers["log:a"].server_side


async def test_the_server_may_be_faster_than_the_hook_of_a_subscribe_command(club: Club) -> None:
    client = await club.connect("7")
    gate = club.application.hold("subscribe", "here:a")
    number = client.send(subscribe={"channel": "here:a"})
    await gate.entered.wait()
    await club.node.subscribe(Target(user_id="7"), "here:a", SubscribeGrant())
    gate.open()
    reply = await client.until(lambda received: next((item for item in received if item.get("id") == number), None))
    assert reply["error"]["code"] == 105
    assert club.node.num_subscribers("here:a") == 1
    await client.leave(goodbye=True)
    assert club.node.num_subscribers("here:a") == 0
    assert await club.node.presence.members("here:a") == {}
    assert [channel for _, channel in club.application.left] == ["here:a"]


async def test_what_ends_meanwhile_is_skipped_and_the_others_are_subscribed(club: Club) -> None:
    first, second = await club.connect("7"), await club.connect("7")
    club.broker.held.clear()
    work = asyncio.ensure_future(club.node.subscribe(Target(user_id="7"), "log:a", SubscribeGrant()))
    await club.broker.reading.wait()
    subscribing = first if "log:a" in first.session.subscribers else second
    subscribing.session.expel("log:a", Unsubscribed(2000))
    club.broker.held.set()
    assert await work == 2
    assert club.node.num_subscribers("log:a") == 1
    assert "log:a" not in subscribing.session.subscribers


@pytest.mark.parametrize(("channel", "code"), [("map:a", 108), ("poll:a", 108), ("nowhere:a", 102), ("a b", 107)])
async def test_the_server_is_told_of_a_channel_that_has_no_such_subscribers(
    club: Club, channel: str, code: int
) -> None:
    with pytest.raises(Refused) as refused:
        await club.node.subscribe(Target(), channel, SubscribeGrant())
    assert refused.value.code == code


# What the server takes back while the application decides


@pytest.mark.parametrize("channel", ["log:a", ""])
async def test_an_unsubscribe_reaches_a_subscription_that_is_being_decided_on(club: Club, channel: str) -> None:
    client = await club.connect("7")
    gate = club.application.hold("subscribe", "log:a")
    number = client.send(subscribe={"channel": "log:a"})
    await gate.entered.wait()
    assert club.node.unsubscribe(Target(user_id="7"), channel, Unsubscribed(2000)) == 0
    gate.open()
    reply = await client.until(lambda received: next((item for item in received if item.get("id") == number), None))
    assert reply["error"]["code"] == 103
    assert club.node.hub.num_channels == 0
    assert "subscribe" in await client.call(subscribe={"channel": "log:a"})


@pytest.mark.parametrize("channel", ["log:a", ""])
@pytest.mark.parametrize("command", [{"history": {"limit": 10}}, {"presence": {}}, {"presence_stats": {}}])
async def test_an_unsubscribe_reaches_a_question_about_the_channel(
    club: Club, command: dict[str, dict[str, object]], channel: str
) -> None:
    await club.publish("log:a", "secret")
    client = await club.connect("7")
    gate = club.application.hold("authorize", "log:a")
    ((name, fields),) = command.items()
    number = client.send(**{name: {"channel": "log:a", **fields}})
    await gate.entered.wait()
    club.node.unsubscribe(Target(user_id="7"), channel, Unsubscribed(2000))
    gate.open()
    reply = await client.until(lambda received: next((item for item in received if item.get("id") == number), None))
    assert reply["error"]["code"] == 103
    assert name in await client.call(**{name: {"channel": "log:a", **fields}})


async def test_who_is_unsubscribed_while_asking_for_keys_follows_none(club: Club) -> None:
    client = await club.connect("7")
    assert "subscribe" in await client.call(subscribe={"channel": "poll:a", "type": 4})
    gate = club.application.hold("track", "poll:a")
    batch = {"signature": "600", "items": [{"key": "k"}]}
    number = client.send(sub_refresh={"channel": "poll:a", "type": 1, "track": [batch]})
    await gate.entered.wait()
    subscriber = client.session.subscribers["poll:a"]
    club.node.unsubscribe(Target(user_id="7"), "poll:a", Unsubscribed(2000))
    await club.node.channels.settle()
    gate.open()
    reply = await client.until(lambda received: next((item for item in received if item.get("id") == number), None))
    assert reply["error"]["code"] == 103
    assert isinstance(subscriber, PollSubscriber)
    assert not subscriber.tracked
    assert club.application.polls == []


# How long it lives


async def test_a_subscription_ends_when_its_time_and_the_grace_are_over(club: Club) -> None:
    club.application.grants["plain:a"] = SubscribeGrant(ttl=1)
    client = await club.connect()
    result = await subscribe(client, "plain:a")
    assert (result["expires"], result["ttl"]) == (True, 1)
    assert (await client.pushed("unsubscribe"))[0] == {"code": 2501, "reason": "subscription expired"}
    assert club.node.num_subscribers("plain:a") == 0
    assert not client.session.closed


async def test_one_by_the_server_ends_with_the_connection(club: Club) -> None:
    client = await club.connect("7")
    await club.node.subscribe(Target(user_id="7"), "plain:a", SubscribeGrant(ttl=1))
    assert (await client.ended()).code == 3006


async def test_a_new_token_prolongs_a_subscription(club: Club) -> None:
    club.application.grants["plain:a"] = SubscribeGrant(ttl=1)
    club.application.refreshes = {"longer": RefreshGrant(ttl=600), "for ever": RefreshGrant()}
    client = await club.connect()
    await subscribe(client, "plain:a")
    subscriber = client.session.subscribers["plain:a"]
    reply = await client.call(sub_refresh={"channel": "plain:a", "token": "longer"})
    assert reply["sub_refresh"] == {"expires": True, "ttl": 600}
    assert subscriber.expiry is not None
    assert subscriber.expiry.when() - asyncio.get_running_loop().time() > 590
    assert (await client.call(sub_refresh={"channel": "plain:a", "token": "for ever"}))["sub_refresh"] == {}
    assert subscriber.expiry is None


async def test_a_new_token_prolongs_a_connection(club: Club) -> None:
    club.application.ttl = 1
    club.application.refreshes = {"longer": RefreshGrant(ttl=600, info=Raw(b'"new"'))}
    client = await club.connect()
    assert (await client.call(refresh={"token": "longer"}))["refresh"] == {"expires": True, "ttl": 600}
    assert client.session.info().conn_info == Raw(b'"new"')
    assert client.session._expiry is not None
    assert client.session._expiry.when() - asyncio.get_running_loop().time() > 590


async def test_a_subscription_that_ended_during_its_refresh_leaves_no_timer(club: Club) -> None:
    club.application.refreshes = {"longer": RefreshGrant(ttl=600)}
    client = await club.connect("7")
    await subscribe(client, "plain:a")
    subscriber = client.session.subscribers["plain:a"]
    gate = club.application.hold("sub_refresh", "plain:a")
    client.send(sub_refresh={"channel": "plain:a", "token": "longer"})
    await gate.entered.wait()
    club.node.unsubscribe(Target(user_id="7"), "plain:a", Unsubscribed(2000))
    gate.open()
    await client.flushed()
    assert subscriber.expiry is None


@pytest.mark.parametrize(
    ("request_", "code"),
    [({"channel": "plain:b", "token": "t"}, 103), ({"channel": "plain:a"}, 107), ({"channel": "nowhere:a"}, 102)],
)
async def test_a_refresh_of_what_is_not_there_is_refused(club: Club, request_: dict[str, str], code: int) -> None:
    client = await club.connect()
    await subscribe(client, "plain:a")
    assert (await client.call(sub_refresh=request_))["error"]["code"] == code


async def test_a_refresh_without_a_channel_is_malformed(club: Club) -> None:
    client = await club.connect()
    assert (await client.call(sub_refresh={"token": "t"}))["error"]["code"] == 107
    assert (await client.call(refresh={}))["error"]["code"] == 107


@pytest.mark.parametrize(("command", "code"), [("refresh", 3005), ("refresh", 3500), ("sub_refresh", 3006)])
async def test_a_bad_token_ends_the_connection(club: Club, command: str, code: int) -> None:
    club.application.refreshes = {"bad": Disconnect(code)}
    client = await club.connect()
    await subscribe(client, "plain:a")
    client.send(**{command: {"token": "bad", "channel": "plain:a"}})
    assert (await client.ended()).code == code


async def test_a_refused_refresh_changes_nothing(club: Club) -> None:
    club.application.refreshes = {"later": Refused(111)}
    client = await club.connect()
    assert (await client.call(refresh={"token": "later"}))["error"] == {
        "code": 111,
        "message": "too many requests",
        "temporary": True,
    }
    assert not client.session.closed
