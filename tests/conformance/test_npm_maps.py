"""npm `centrifuge` 5.8.0: maps, over every transport and in both forms."""

import time
from collections.abc import Iterable
from typing import Any

import pytest

from tests.conformance.conftest import Conformance, away, over_every_wire, token
from tests.support.npm import CLIENTS, MAP, NpmClient
from tests.support.proxy import FaultProxy

KINDS = ["streamless:", "positioned:", "smallstream:", "mapdelta:", "shortttl:", "prestest:", "debounced:", "tagged:"]


async def fill(conformance: Conformance, channel: str, items: Iterable[tuple[str, Any]], **options: Any) -> None:
    commands = [{"map_publish": {"channel": channel, "key": key, "data": data, **options}} for key, data in items]
    replies = (await conformance.api("batch", commands=commands))["replies"]
    assert not [reply for reply in replies if "error" in reply]


@pytest.mark.parametrize("kind", KINDS)
async def test_every_map_is_set_and_read_and_emptied(
    conformance: Conformance, client: NpmClient, name: str, kind: str
) -> None:
    channel = f"{kind}{name}"
    await fill(conformance, channel, [("before", {"n": 0})])
    context = await client.subscribe(channel, MAP)
    persistent = kind in ("positioned:", "smallstream:", "mapdelta:", "tagged:")
    assert (context["recoverable"], context["positioned"]) == (persistent, persistent)
    assert await client.synced(channel) == {"before": {"n": 0}}
    await client.call("publishKey", channel=channel, key="键", data={"n": 1})
    await client.call("mapPublish", channel=channel, key="k", data=2)
    await client.call("removeKey", channel=channel, key="before")
    await client.call("mapRemove", channel=channel, key="k")
    # With debouncing the SDK publishes `k` later than it removes it, which then removes nothing.
    wanted = [("键", {"n": 1}), ("k", 2), ("before", "removed"), ("k", "removed")]
    await client.until(lambda: ("k", 2) in client.updates(channel) and len(client.updates(channel)) >= 3)
    if kind == "debounced:":
        return
    await client.until(lambda: client.updates(channel) == wanted)
    publisher = client.contexts("update", channel)[0]["info"]
    assert (publisher["user"], publisher["connInfo"]) == ("42", {"name": "Ann"})
    state = (await conformance.api("map_read_state", channel=channel, limit=-1))["entries"]
    assert [(item["key"], item["data"]) for item in state] == [("键", {"n": 1})]


@pytest.mark.parametrize("kind", ["streamless:", "positioned:"])
@pytest.mark.parametrize("page", [0, 100, 250])
async def test_a_map_of_many_pages_arrives_whole(
    conformance: Conformance, client: NpmClient, name: str, kind: str, page: int
) -> None:
    channel = f"{kind}{name}"
    entries = {f"k{number}": {"n": number, "text": "二"} for number in range(250)}
    await fill(conformance, channel, entries.items())
    await client.subscribe(channel, MAP, pageSize=page)
    assert await client.synced(channel) == entries
    await fill(conformance, channel, [("k7", "new")])
    await client.until(lambda: client.updates(channel) == [("k7", "new")])


@pytest.mark.parametrize("kind", ["positioned:", "mapdelta:"])
@pytest.mark.parametrize("delta", [{}, {"delta": "fossil"}])
async def test_what_changed_meanwhile_comes_after_a_cut(
    conformance: Conformance, client: NpmClient, proxy: FaultProxy, name: str, kind: str, delta: dict[str, str]
) -> None:
    """More than a page of it: the SDK takes it in the STREAM phase."""
    channel = f"{kind}{name}"
    await client.subscribe(channel, MAP, **delta)
    await fill(conformance, channel, [("a", "竹" * 99 + "1"), ("gone", 1)])
    await client.until(lambda: len(client.updates(channel)) == 2)
    changes = [("a", "竹" * 99 + "2"), *((f"k{number}", number) for number in range(130))]
    async with away(client, proxy) as seen:
        await fill(conformance, channel, changes)
        await conformance.api("map_remove", channel=channel, key="gone")
    again = await client.context("subscribed", channel, start=seen)
    assert (again["wasRecovering"], again["recovered"]) == (True, True)
    await fill(conformance, channel, [("a", "竹" * 99 + "3")])
    await client.until(lambda: len(client.updates(channel)) == 2 + 133)
    assert client.updates(channel)[2:] == [*changes, ("gone", "removed"), ("a", "竹" * 99 + "3")]
    assert len(client.contexts("sync", channel)) == 1


async def test_who_unsubscribed_and_comes_back_gets_what_changed(
    conformance: Conformance, client: NpmClient, name: str
) -> None:
    channel = f"positioned:{name}"
    await client.subscribe(channel, MAP)
    await client.call("unsubscribe", channel=channel)
    await fill(conformance, channel, [("k", 1)])
    await client.call("resubscribe", channel=channel)
    await client.until(lambda: client.updates(channel) == [("k", 1)])
    assert len(client.contexts("sync", channel)) == 1


@pytest.mark.smoke
async def test_an_ephemeral_map_is_loaded_anew_after_a_cut(
    conformance: Conformance, client: NpmClient, proxy: FaultProxy, name: str
) -> None:
    channel = f"streamless:{name}"
    await fill(conformance, channel, [("stays", 1), ("goes", 1)])
    await client.subscribe(channel, MAP)
    await client.synced(channel)
    async with away(client, proxy) as seen:
        await conformance.api("map_remove", channel=channel, key="goes")
        await fill(conformance, channel, [("comes", 1)])
    assert await client.synced(channel, start=seen) == {"stays": 1, "comes": 1}


@pytest.mark.parametrize("strategy", ["from_scratch", "fatal"])
async def test_too_much_changed_meanwhile(
    conformance: Conformance, client: NpmClient, proxy: FaultProxy, name: str, strategy: str
) -> None:
    """The server answers with 112."""
    channel = f"smallstream:{name}"
    options = {"unrecoverableStrategy": strategy, "minResubscribeDelay": 10, "maxResubscribeDelay": 20}
    await client.subscribe(channel, MAP, **options)
    await client.synced(channel)
    entries = {f"k{number}": number for number in range(4)}
    async with away(client, proxy) as seen:
        await fill(conformance, channel, entries.items())
    if strategy == "fatal":
        assert (await client.context("unsubscribed", channel, start=seen))["code"] == 112
    else:
        assert await client.synced(channel, start=seen) == entries


async def test_a_map_that_was_cleared_is_loaded_anew(conformance: Conformance, client: NpmClient, name: str) -> None:
    """Its subscribers are told 2500, and their position is one of another map."""
    channel = f"positioned:{name}"
    await fill(conformance, channel, [("k", 1)])
    await client.subscribe(channel, MAP, minResubscribeDelay=10, maxResubscribeDelay=20)
    await client.synced(channel)
    seen = len(client.events)
    await conformance.api("map_clear", channel=channel)
    subscribing = await client.context("subscribing", channel, start=seen)
    assert (subscribing["code"], subscribing["reason"]) == (2500, "insufficient state")
    assert await client.synced(channel, start=seen) == {}
    await fill(conformance, channel, [("new", 2)])
    await client.until(lambda: client.updates(channel) == [("new", 2)])


async def test_keys_end_with_their_time(conformance: Conformance, name: str) -> None:
    """Three seconds after they were last set."""
    channel = f"shortttl:{name}"
    await fill(conformance, channel, [("k", 1)])

    async def scenario(client: NpmClient, wire: list[str]) -> None:
        await client.connect_over(conformance.port, *wire)
        await client.subscribe(channel, MAP)
        assert (await client.synced(channel))["k"] == 1
        own, began = "-".join(wire), time.monotonic()
        await client.call("publishKey", channel=channel, key=own, data=1)
        await client.until(lambda: (own, "removed") in client.updates(channel))
        assert 2.9 < time.monotonic() - began < 5
        assert client.updates(channel).index(("k", "removed")) < client.updates(channel).index((own, "removed"))

    await over_every_wire(scenario)


async def test_differences_reach_each_key_by_itself(conformance: Conformance, client: NpmClient, name: str) -> None:
    channel = f"mapdelta:{name}"
    text = "天地玄黄" * 50
    await fill(conformance, channel, [("a", {"n": 0, "text": text})])
    await client.subscribe(channel, MAP, delta="fossil")
    assert await client.synced(channel) == {"a": {"n": 0, "text": text}}
    changes: list[tuple[str, Any]] = [
        (key, {"n": number, "text": text + key}) for number in range(1, 4) for key in ("a", "b")
    ]
    await fill(conformance, channel, changes)
    await conformance.api("map_remove", channel=channel, key="b")
    await fill(conformance, channel, changes[-1:])
    await client.until(lambda: len(client.updates(channel)) == 8)
    assert client.updates(channel) == [*changes, ("b", "removed"), changes[-1]]
    stats = await client.call("deltaStats", channel=channel)
    # Whole are the state's `a`, the first `b` and the one after the removal, which has no data at all.
    assert stats["numDeltaPayloads"] == 5


async def test_a_client_sets_the_key_that_is_its_own_and_no_other(
    conformance: Conformance, client: NpmClient, name: str
) -> None:
    channel = f"clientkey:{name}"
    mine = (await client.context("connected"))["client"]
    await client.subscribe(channel, MAP)
    await client.call("publishKey", channel=channel, key="somebody else's", data=1)
    await client.call("publishKey", channel=channel, key=mine, data=2)
    await client.until(lambda: client.updates(channel) == [(mine, 1), (mine, 2)])
    await client.call("removeKey", channel=channel, key="somebody else's")
    await client.until(lambda: client.updates(channel)[2:] == [(mine, "removed")])


async def test_members_stand_in_the_map_of_clients(
    conformance: Conformance, client: NpmClient, proxy: FaultProxy, name: str
) -> None:
    channel, members = f"prestest:{name}", f"prescli:prestest:{name}"
    await client.subscribe(members, CLIENTS)
    assert await client.synced(members) == {}
    async with NpmClient.start() as other:
        await other.connect_over(conformance.port, "websocket", "protobuf", token=token("43", info={"name": "Bo"}))
        await other.subscribe(channel, MAP)
        joined = await client.context("update", members)
        assert joined["key"] == (await other.context("connected"))["client"]
        assert (joined["info"]["user"], joined["info"]["connInfo"]) == ("43", {"name": "Bo"})
        await client.call("subscribe", channel=channel, kind=MAP)
        await client.until(lambda: len(client.updates(members)) == 2)
        seen = len(client.events)
        await client.call("unsubscribe", channel=members)
        await client.call("resubscribe", channel=members)
        assert len(await client.synced(members, start=seen)) == 2
    await client.until(lambda: (joined["key"], "removed") in client.updates(members))
    assert await client.error_code("mapPublish", channel=members, key="ghost", data=1) == 103


async def test_publishing_is_debounced_by_the_client(client: NpmClient, name: str) -> None:
    channel = f"debounced:{name}"
    await client.subscribe(channel, MAP)
    for number in range(10):
        await client.call("publishKey", channel=channel, key="cursor", data=number)
    await client.until(lambda: ("cursor", 9) in client.updates(channel))
    assert len(client.updates(channel)) < 10


async def test_entries_are_chosen_by_their_tags(conformance: Conformance, client: NpmClient, name: str) -> None:
    channel = f"tagged:{name}"
    for number, kind in enumerate(["goal", "foul"] * 2):
        await fill(conformance, channel, [(f"k{number}", number)], tags={"kind": kind})
    goals = {"cmp": "eq", "key": "kind", "val": "goal"}
    await client.subscribe(channel, MAP, tagsFilter=goals)
    assert await client.synced(channel) == {"k0": 0, "k2": 2}
    for number, kind in enumerate(["foul", "goal"], start=4):
        await fill(conformance, channel, [(f"k{number}", number)], tags={"kind": kind})
    await client.until(lambda: client.updates(channel) == [("k5", 5)])
    assert client.contexts("update", channel)[0]["tags"] == {"kind": "goal"}
    seen = len(client.events)
    await client.call("unsubscribe", channel=channel)
    await client.call("setTagsFilter", channel=channel, filter={"op": "not", "nodes": [goals]})
    await client.call("resubscribe", channel=channel)
    assert await client.synced(channel, start=seen) == {"k1": 1, "k3": 3, "k4": 4}


async def test_what_a_map_does_not_offer_is_refused(client: NpmClient, name: str) -> None:
    goals = {"cmp": "eq", "key": "kind", "val": "goal"}
    for channel, options, code in (
        (f"positioned:{name}", {"tagsFilter": goals}, 107),
        (f"recovery:{name}", {}, 108),
        (f"poll:{name}", {}, 107),
        (f"nowhere:{name}", {}, 102),
    ):
        await client.call("subscribe", channel=channel, kind=MAP, options=options)
        assert (await client.context("unsubscribed", channel))["code"] == code
    await client.subscribe(f"streamless:{name}", MAP)
    long = "k" * 257
    assert await client.error_code("mapPublish", channel=f"streamless:{name}", key=long, data=1) == 107
