"""npm `centrifuge` 5.8.0, unchanged: maps and shared polls, over every transport and in both forms of the protocol."""

import pytest

from hotclub.engine.broker.maps import MapMessage
from hotclub.engine.port import PolledItem
from tests.support.app import Served, raw
from tests.support.npm import CLIENTS, MAP, SHARED_POLL, USERS, NpmClient, signed
from tests.support.proxy import FaultProxy


async def change(served: Served, channel: str, key: str, value: object = None, *, removed: bool = False) -> None:
    message = MapMessage(key=key, removed=True) if removed else MapMessage(key=key, data=raw(value))
    await served.node.channels.maps.change(channel, message)


async def test_a_map_of_several_pages_arrives_whole_and_lives_on(served: Served, client: NpmClient) -> None:
    for number in range(250):
        await change(served, "map:a", f"k{number}", {"n": number})
    await client.call("subscribe", channel="map:a", kind=MAP)
    assert await client.synced("map:a") == {f"k{number}": {"n": number} for number in range(250)}
    await change(served, "map:a", "k1", {"n": "新"})
    await change(served, "map:a", "k2", removed=True)
    await client.until(lambda: len(client.updates("map:a")) == 2)
    assert client.updates("map:a") == [("k1", {"n": "新"}), ("k2", "removed")]


async def test_a_client_sets_and_removes_keys(served: Served, client: NpmClient) -> None:
    await client.call("subscribe", channel="kept-map:a", kind=MAP)
    assert await client.synced("kept-map:a") == {}
    await client.call("publishKey", channel="kept-map:a", key="k", data={"x": 1.5})
    await client.call("removeKey", channel="kept-map:a", key="k")
    await client.until(lambda: len(client.updates("kept-map:a")) == 2)
    assert client.updates("kept-map:a") == [("k", {"x": 1.5}), ("k", "removed")]


@pytest.mark.smoke
async def test_a_persistent_map_is_recovered_over_a_cut(served: Served, client: NpmClient, proxy: FaultProxy) -> None:
    await client.call("subscribe", channel="kept-map:a", kind=MAP)
    await client.synced("kept-map:a")
    await change(served, "kept-map:a", "k", 1)
    await client.until(lambda: len(client.updates("kept-map:a")) == 1)
    seen = len(client.events)
    assert proxy.cut() >= 1
    await client.event("connecting", start=seen)
    await change(served, "kept-map:a", "k", 2)
    await change(served, "kept-map:a", "k", removed=True)
    again = await client.event("subscribed", start=seen)
    assert (again["context"]["wasRecovering"], again["context"]["recovered"]) == (True, True)
    await client.until(lambda: len(client.updates("kept-map:a")) == 3)
    assert client.updates("kept-map:a") == [("k", 1), ("k", 2), ("k", "removed")]
    assert not any(item["event"] == "sync" for item in client.events[seen:])


async def test_a_map_whose_log_does_not_reach_back_is_loaded_anew(
    served: Served, client: NpmClient, proxy: FaultProxy
) -> None:
    await client.call("subscribe", channel="short-map:a", kind=MAP, options={"minResubscribeDelay": 20})
    await client.synced("short-map:a")
    seen = len(client.events)
    assert proxy.cut() >= 1
    await client.event("connecting", start=seen)
    for number in range(5):
        await change(served, "short-map:a", f"k{number}", number)
    assert await client.synced("short-map:a", start=seen) == {f"k{number}": number for number in range(5)}


async def test_differences_reach_each_key(served: Served, client: NpmClient) -> None:
    text = "竹" * 200
    await change(served, "kept-map:a", "a", {"n": 0, "text": text})
    await client.call("subscribe", channel="kept-map:a", kind=MAP, options={"delta": "fossil"})
    await client.synced("kept-map:a")
    for number in range(1, 4):
        await change(served, "kept-map:a", "a", {"n": number, "text": text})
    await change(served, "kept-map:a", "a", removed=True)
    await change(served, "kept-map:a", "a", {"n": 4, "text": text})
    await client.until(lambda: len(client.updates("kept-map:a")) == 5)
    shown = [data if data == "removed" else data["n"] for _, data in client.updates("kept-map:a")]
    assert shown == [1, 2, 3, "removed", 4]
    stats = await client.call("deltaStats", channel="kept-map:a")
    assert (stats["numFullPayloads"], stats["numDeltaPayloads"]) == (2, 3)


async def test_members_come_and_go_in_the_maps_of_their_channel(client: NpmClient) -> None:
    await client.call("subscribe", channel="clients:crowd", kind=CLIENTS)
    await client.call("subscribe", channel="users:crowd", kind=USERS)
    await client.synced("clients:crowd")
    await client.synced("users:crowd")
    await client.call("subscribe", channel="crowd:a", kind=MAP)
    await client.until(lambda: len(client.updates("users:crowd")) == 1)
    shown = await client.event(lambda item: item["event"] == "update" and item["channel"] == "clients:crowd")
    assert shown["context"]["info"]["user"] == "ann"
    await client.call("unsubscribe", channel="crowd:a")
    await client.until(lambda: len(client.updates("users:crowd")) == len(client.updates("clients:crowd")) == 2)
    assert [key for key, _ in client.updates("users:crowd")] == ["ann", "ann"]
    assert client.updates("clients:crowd")[1][1] == "removed"


async def test_publishing_is_debounced_by_the_client(served: Served, client: NpmClient) -> None:
    await client.call("subscribe", channel="ranked:a", kind=MAP)
    await client.synced("ranked:a")
    for number in range(10):
        await client.call("publishKey", channel="ranked:a", key="cursor", data=number)
    await client.until(lambda: ("cursor", 9) in client.updates("ranked:a"))
    assert len(client.updates("ranked:a")) < 10


@pytest.mark.smoke
async def test_followed_keys_are_told_of(served: Served, client: NpmClient, proxy: FaultProxy) -> None:
    values = served.application.values
    values["k"] = PolledItem(key="k", data=raw({"text": "一"}), version=1)
    await client.subscribe("poll:a", SHARED_POLL, getSignature=signed("60"))
    await client.call("track", channel="poll:a", keys=["k", "later"])
    await client.until(lambda: client.updates("poll:a") == [("k", {"text": "一"})])
    values["later"] = PolledItem(key="later", data=raw(2), version=7)
    await served.node.channels.polls.refresh("poll:a")
    await client.until(lambda: ("later", 2) in client.updates("poll:a"))
    seen = len(client.events)
    assert proxy.cut() >= 1
    await client.event("subscribed", start=seen)
    values["later"] = PolledItem(key="later", data=raw(3), version=8)
    await served.application.until(lambda: len(served.application.polls) >= 3)
    await served.node.channels.polls.refresh("poll:a")
    await client.until(lambda: ("later", 3) in client.updates("poll:a"))
    values["k"] = PolledItem(key="k", removed=True)
    await served.node.channels.polls.refresh("poll:a")
    await client.until(lambda: len(client.updates("poll:a")) == 4)
    assert client.updates("poll:a") == [("k", {"text": "一"}), ("later", 2), ("later", 3), ("k", "removed")]


async def test_differences_of_followed_keys(served: Served, client: NpmClient) -> None:
    text, values = "竹" * 200, served.application.values
    values["k"] = PolledItem(key="k", data=raw({"n": 1, "text": text}), version=1)
    await client.subscribe("poll:a", SHARED_POLL, getSignature=signed("60"), delta="fossil")
    await client.call("track", channel="poll:a", keys=["k"])
    await client.until(lambda: len(client.updates("poll:a")) == 1)
    values["k"] = PolledItem(key="k", data=raw({"n": 2, "text": text}), version=2)
    await served.node.channels.polls.refresh("poll:a")
    await client.until(lambda: len(client.updates("poll:a")) == 2)
    assert [data["n"] for _, data in client.updates("poll:a")] == [1, 2]
    assert (await client.call("deltaStats", channel="poll:a"))["numDeltaPayloads"] == 1
