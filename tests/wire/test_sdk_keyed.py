"""npm `centrifuge` 5.8.0, unchanged: maps and shared polls, over every transport and in both forms of the protocol."""

from typing import Any

from hotclub.engine.application import PolledItem
from hotclub.engine.broker.maps import MapMessage
from tests.support.app import Served, raw
from tests.support.npm import NpmClient
from tests.support.proxy import FaultProxy

MAP, CLIENTS, USERS = "newMapSubscription", "newMapClientsSubscription", "newMapUsersSubscription"


async def change(served: Served, channel: str, key: str, value: object = None, *, removed: bool = False) -> None:
    message = MapMessage(key=key, removed=True) if removed else MapMessage(key=key, data=raw(value))
    await served.node.exchange.maps.change(channel, message)


def updates(client: NpmClient, channel: str) -> list[tuple[str, Any]]:
    """Key and data of every update so far; "removed" in the place of a removal's data."""
    contexts = [item["context"] for item in client.events if item["event"] == "update" and item["channel"] == channel]
    return [(item["key"], "removed" if item.get("removed") else item.get("data")) for item in contexts]


async def synced(client: NpmClient, channel: str, start: int = 0) -> dict[str, Any]:
    """The entries of the next snapshot."""
    event = await client.event(lambda item: item["event"] == "sync" and item["channel"] == channel, start=start)
    return {entry["key"]: entry["data"] for entry in event["context"]["entries"]}


async def test_a_map_of_several_pages_arrives_whole_and_lives_on(served: Served, client: NpmClient) -> None:
    for number in range(250):
        await change(served, "map:a", f"k{number}", {"n": number})
    await client.call("subscribeKeys", channel="map:a", kind=MAP)
    assert await synced(client, "map:a") == {f"k{number}": {"n": number} for number in range(250)}
    await change(served, "map:a", "k1", {"n": "新"})
    await change(served, "map:a", "k2", removed=True)
    await client.until(lambda: len(updates(client, "map:a")) == 2)
    assert updates(client, "map:a") == [("k1", {"n": "新"}), ("k2", "removed")]


async def test_a_client_sets_and_removes_keys(served: Served, client: NpmClient) -> None:
    await client.call("subscribeKeys", channel="kept-map:a", kind=MAP)
    assert await synced(client, "kept-map:a") == {}
    await client.call("publishKey", channel="kept-map:a", key="k", data={"x": 1.5})
    await client.call("removeKey", channel="kept-map:a", key="k")
    await client.until(lambda: len(updates(client, "kept-map:a")) == 2)
    assert updates(client, "kept-map:a") == [("k", {"x": 1.5}), ("k", "removed")]


async def test_a_persistent_map_is_recovered_over_a_cut(served: Served, client: NpmClient, proxy: FaultProxy) -> None:
    await client.call("subscribeKeys", channel="kept-map:a", kind=MAP)
    await synced(client, "kept-map:a")
    await change(served, "kept-map:a", "k", 1)
    await client.until(lambda: len(updates(client, "kept-map:a")) == 1)
    seen = len(client.events)
    assert proxy.cut() >= 1
    await client.event("connecting", start=seen)
    await change(served, "kept-map:a", "k", 2)
    await change(served, "kept-map:a", "k", removed=True)
    again = await client.event("subscribed", start=seen)
    assert (again["context"]["wasRecovering"], again["context"]["recovered"]) == (True, True)
    await client.until(lambda: len(updates(client, "kept-map:a")) == 3)
    assert updates(client, "kept-map:a") == [("k", 1), ("k", 2), ("k", "removed")]
    assert not any(item["event"] == "sync" for item in client.events[seen:])


async def test_a_map_whose_log_does_not_reach_back_is_loaded_anew(
    served: Served, client: NpmClient, proxy: FaultProxy
) -> None:
    await client.call("subscribeKeys", channel="short-map:a", kind=MAP, options={"minResubscribeDelay": 20})
    await synced(client, "short-map:a")
    seen = len(client.events)
    assert proxy.cut() >= 1
    await client.event("connecting", start=seen)
    for number in range(5):
        await change(served, "short-map:a", f"k{number}", number)
    assert await synced(client, "short-map:a", start=seen) == {f"k{number}": number for number in range(5)}


async def test_differences_reach_each_key(served: Served, client: NpmClient) -> None:
    text = "竹" * 200
    await change(served, "kept-map:a", "a", {"n": 0, "text": text})
    await client.call("subscribeKeys", channel="kept-map:a", kind=MAP, options={"delta": "fossil"})
    await synced(client, "kept-map:a")
    for number in range(1, 4):
        await change(served, "kept-map:a", "a", {"n": number, "text": text})
    await change(served, "kept-map:a", "a", removed=True)
    await change(served, "kept-map:a", "a", {"n": 4, "text": text})
    await client.until(lambda: len(updates(client, "kept-map:a")) == 5)
    shown = [data if data == "removed" else data["n"] for _, data in updates(client, "kept-map:a")]
    assert shown == [1, 2, 3, "removed", 4]
    stats = await client.call("deltaStats", channel="kept-map:a")
    assert (stats["numFullPayloads"], stats["numDeltaPayloads"]) == (2, 3)


async def test_members_come_and_go_in_the_maps_of_their_channel(client: NpmClient) -> None:
    await client.call("subscribeKeys", channel="clients:crowd", kind=CLIENTS)
    await client.call("subscribeKeys", channel="users:crowd", kind=USERS)
    await synced(client, "clients:crowd")
    await synced(client, "users:crowd")
    await client.call("subscribeKeys", channel="crowd:a", kind=MAP)
    await client.until(lambda: len(updates(client, "users:crowd")) == 1)
    shown = await client.event(lambda item: item["event"] == "update" and item["channel"] == "clients:crowd")
    assert shown["context"]["info"]["user"] == "ann"
    await client.call("unsubscribe", channel="crowd:a")
    await client.until(lambda: len(updates(client, "users:crowd")) == len(updates(client, "clients:crowd")) == 2)
    assert [key for key, _ in updates(client, "users:crowd")] == ["ann", "ann"]
    assert updates(client, "clients:crowd")[1][1] == "removed"


async def test_publishing_is_debounced_by_the_client(served: Served, client: NpmClient) -> None:
    await client.call("subscribeKeys", channel="ranked:a", kind=MAP)
    await synced(client, "ranked:a")
    for number in range(10):
        await client.call("publishKey", channel="ranked:a", key="cursor", data=number)
    await client.until(lambda: ("cursor", 9) in updates(client, "ranked:a"))
    assert len(updates(client, "ranked:a")) < 10


async def test_followed_keys_are_told_of(served: Served, client: NpmClient, proxy: FaultProxy) -> None:
    values = served.application.values
    values["k"] = PolledItem(key="k", data=raw({"text": "一"}), version=1)
    await client.call("subscribePoll", channel="poll:a", signature="60")
    await client.event("subscribed")
    await client.call("track", channel="poll:a", keys=["k", "later"])
    await client.until(lambda: updates(client, "poll:a") == [("k", {"text": "一"})])
    values["later"] = PolledItem(key="later", data=raw(2), version=7)
    await served.node.exchange.polls.refresh("poll:a")
    await client.until(lambda: ("later", 2) in updates(client, "poll:a"))
    seen = len(client.events)
    assert proxy.cut() >= 1
    await client.event("subscribed", start=seen)
    values["later"] = PolledItem(key="later", data=raw(3), version=8)
    await served.application.until(lambda: len(served.application.polls) >= 3)
    await served.node.exchange.polls.refresh("poll:a")
    await client.until(lambda: ("later", 3) in updates(client, "poll:a"))
    values["k"] = PolledItem(key="k", removed=True)
    await served.node.exchange.polls.refresh("poll:a")
    await client.until(lambda: len(updates(client, "poll:a")) == 4)
    assert updates(client, "poll:a") == [("k", {"text": "一"}), ("later", 2), ("later", 3), ("k", "removed")]


async def test_differences_of_followed_keys(served: Served, client: NpmClient) -> None:
    text, values = "竹" * 200, served.application.values
    values["k"] = PolledItem(key="k", data=raw({"n": 1, "text": text}), version=1)
    await client.call("subscribePoll", channel="poll:a", signature="60", options={"delta": "fossil"})
    await client.event("subscribed")
    await client.call("track", channel="poll:a", keys=["k"])
    await client.until(lambda: len(updates(client, "poll:a")) == 1)
    values["k"] = PolledItem(key="k", data=raw({"n": 2, "text": text}), version=2)
    await served.node.exchange.polls.refresh("poll:a")
    await client.until(lambda: len(updates(client, "poll:a")) == 2)
    assert [data["n"] for _, data in updates(client, "poll:a")] == [1, 2]
    assert (await client.call("deltaStats", channel="poll:a"))["numDeltaPayloads"] == 1
