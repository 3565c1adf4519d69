"""Subscribing to maps, a page at a time: what each phase answers, and what it leaves behind when it fails."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import Raw

from hotclub.engine.broker.maps import MapMessage
from hotclub.engine.commands.subscribe_map import MAX_PAGE, MIN_PAGE
from hotclub.engine.errors import Unsubscribed
from hotclub.engine.limits import Limits
from hotclub.engine.subscriber import Subscriber
from hotclub.engine.target import Target
from tests.engine.support import Club, MemoryClient

STATE, STREAM = 2, 1


class MapClub(Club):
    async def set(self, channel: str, key: str, value: object = None, **options: Any) -> None:
        message = MapMessage(key=key, data=Raw(json.dumps(value).encode()), **options)
        await self.node.channels.maps.change(channel, message)

    async def remove(self, channel: str, key: str) -> None:
        await self.node.channels.maps.change(channel, MapMessage(key=key, removed=True))

    async def fill(self, channel: str, number: int) -> None:
        for index in range(number):
            await self.set(channel, f"k{index:04}", index)


@pytest.fixture
async def club() -> AsyncIterator[MapClub]:
    club = MapClub()
    await club.node.start()
    yield club
    await club.node.stop()


async def page(client: MemoryClient, channel: str, **request: Any) -> dict[str, Any]:
    """The result of one subscribe command, or its error."""
    reply = await client.call(subscribe={"channel": channel, "type": 1, **request})
    result: dict[str, Any] = reply["subscribe"] if "subscribe" in reply else reply["error"]
    return result


def keys(publications: list[dict[str, Any]]) -> list[str]:
    return [publication["key"] for publication in publications]


def pushed(client: MemoryClient, channel: str) -> list[dict[str, Any]]:
    pushes = (message.get("push", {}) for message in client.line.received)
    return [push["pub"] for push in pushes if push.get("channel") == channel and "pub" in push]


def held_keys(subscriber: Subscriber) -> list[str]:
    return [] if subscriber.held is None else [*subscriber.held.waiting]


async def settled(client: MemoryClient) -> None:
    """Everything sent so far has arrived."""
    await client.call(rpc={"method": "echo", "data": 1})


async def test_a_small_ephemeral_map_goes_live_with_its_first_page(club: MapClub) -> None:
    await club.set("map:a", "x", 1)
    client = await club.connect()
    result = await page(client, "map:a", phase=STATE)
    assert result.keys() == {"type", "state"}
    assert keys(result["state"]) == ["x"]
    await club.set("map:a", "y", 2)
    await club.remove("map:a", "x")
    await settled(client)
    assert [(item["key"], item.get("removed", False)) for item in pushed(client, "map:a")] == [
        ("y", False),
        ("x", True),
    ]


async def test_a_small_persistent_map_goes_live_with_its_position(club: MapClub) -> None:
    await club.set("kept-map:a", "x", 1)
    client = await club.connect()
    result = await page(client, "kept-map:a", phase=STATE)
    assert (result["type"], result.get("phase", 0), result["offset"]) == (1, 0, 1)
    assert (result["recoverable"], result["positioned"], "recovered" in result) == (True, True, False)
    await club.set("kept-map:a", "x", 2)
    await settled(client)
    assert client.offsets("kept-map:a") == [2]


async def test_a_change_between_two_pages_of_an_ephemeral_map_is_not_lost(club: MapClub) -> None:
    await club.fill("map:a", 150)
    client = await club.connect()
    first = await page(client, "map:a", phase=STATE)
    assert (first["phase"], len(first["state"]), "offset" in first) == (STATE, MIN_PAGE, False)
    await club.set("map:a", "k0001", "newer")
    await club.set("map:a", "k0001", "newest")
    last = await page(client, "map:a", phase=STATE, cursor=first["cursor"])
    assert (last.get("phase", 0), len(last["state"]), "cursor" in last) == (0, 50, False)
    await settled(client)
    assert [item["data"] for item in pushed(client, "map:a")] == ["newest"]


async def test_pages_of_a_persistent_map_stand_still_at_the_first_one(club: MapClub) -> None:
    await club.fill("kept-map:a", 150)
    client = await club.connect()
    first = await page(client, "kept-map:a", phase=STATE)
    assert (first["offset"], len(first["state"])) == (150, 100)
    await club.set("kept-map:a", "k0120", "newer")
    await club.set("kept-map:a", "k9999", "new")
    await club.remove("kept-map:a", "k0001")
    last = await page(
        client, "kept-map:a", phase=STATE, cursor=first["cursor"], offset=first["offset"], epoch=first["epoch"]
    )
    assert "k0120" not in keys(last["state"])
    assert "k9999" not in keys(last["state"])
    assert keys(last["publications"]) == ["k0120", "k9999", "k0001"]
    assert last["offset"] == 153
    assert client.offsets("kept-map:a") == []


async def test_a_map_that_ran_away_meanwhile_is_caught_up_with_by_pages_of_changes(club: MapClub) -> None:
    await club.fill("kept-map:a", 150)
    client = await club.connect()
    first = await page(client, "kept-map:a", phase=STATE)
    for number in range(300):
        await club.set("kept-map:a", "busy", number)
    state = await page(client, "kept-map:a", phase=STATE, cursor=first["cursor"])
    assert (state["phase"], state["offset"], "cursor" in state) == (STATE, 150, False)
    offset, seen = state["offset"], []
    while (result := await page(client, "kept-map:a", phase=STREAM, offset=offset, epoch=state["epoch"])).get("phase"):
        assert result["phase"] == STREAM
        seen += [item["offset"] for item in result["publications"]]
        assert result["offset"] == seen[-1]
        offset = result["offset"]
        await club.set("kept-map:a", "meanwhile", offset)
    seen += [item["offset"] for item in result["publications"]]
    assert seen == list(range(151, result["offset"] + 1))
    assert ("recovered" in result, "was_recovering" in result) == (False, False)


async def test_who_was_away_is_brought_up_to_date_without_the_entries(club: MapClub) -> None:
    client = await club.connect()
    live = await page(client, "kept-map:a", phase=STATE)
    await client.call(unsubscribe={"channel": "kept-map:a"})
    await club.set("kept-map:a", "x", 1)
    await club.remove("kept-map:a", "x")
    result = await page(
        client, "kept-map:a", phase=STREAM, recover=True, offset=live.get("offset", 0), epoch=live["epoch"]
    )
    assert (result["was_recovering"], result["recovered"], result["offset"]) == (True, True, 2)
    assert [(item["offset"], item.get("removed", False)) for item in result["publications"]] == [(1, False), (2, True)]


@pytest.mark.parametrize(
    ("missed", "asked", "epoch", "answer"),
    [
        (2, 1, None, "recovered"),
        (3, 1, None, 112),
        (2, 4, None, 112),
        (2, 1, "other", 112),
        (2, 1, "", 112),
        (0, 1, None, "recovered"),
    ],
    ids=["all kept", "one trimmed", "above the top", "another epoch", "no epoch", "nothing missed"],
)
async def test_the_bounds_of_recovery_are_exact(
    club: MapClub, missed: int, asked: int, epoch: str | None, answer: int | str
) -> None:
    client = await club.connect()
    await club.set("short-map:a", "x")
    live = await page(client, "short-map:a", phase=STATE)
    await client.call(unsubscribe={"channel": "short-map:a"})
    for _ in range(missed):
        await club.set("short-map:a", "x")
    known = live["epoch"] if epoch is None else epoch
    result = await page(client, "short-map:a", phase=STREAM, recover=True, offset=asked, epoch=known)
    if isinstance(answer, int):
        assert result["code"] == answer
        assert not client.session.subscribers
        assert club.node.hub.num_channels == 0
    else:
        assert result[answer]
        assert len(result.get("publications", [])) == missed


async def test_going_live_at_once_needs_to_say_which_map_it_was(club: MapClub) -> None:
    await club.set("kept-map:a", "x")
    client = await club.connect()
    assert (await page(client, "kept-map:a"))["code"] == 112
    assert (await page(client, "map:a")) == {"type": 1}


@pytest.mark.parametrize("missed", [1_000, 1_001])
async def test_a_client_that_is_too_far_behind_begins_anew(missed: int) -> None:
    club = MapClub()
    await club.node.start()
    client = await club.connect()
    live = await page(client, "kept-map:a", phase=STATE)
    await client.call(unsubscribe={"channel": "kept-map:a"})
    for number in range(missed):
        await club.set("kept-map:a", "x", number)
    result = await page(client, "kept-map:a", phase=0, recover=True, epoch=live["epoch"])
    assert ("code" in result) is (missed > club.node.limits.recovery_publications)
    await club.node.stop()


async def test_what_arrives_during_the_last_read_is_put_behind_it(club: MapClub) -> None:
    maps, reading, go_on = club.node.channels.maps, asyncio.Event(), asyncio.Event()
    original = maps.broker.history

    async def held(*arguments: Any) -> Any:
        found = await original(*arguments)
        reading.set()
        await go_on.wait()
        return found

    maps.broker.history = held  # type: ignore[method-assign, assignment]
    client = await club.connect()
    number = client.send(subscribe={"channel": "kept-map:a", "type": 1, "phase": STATE})
    await reading.wait()
    await club.set("kept-map:a", "x", 1)
    await club.set("kept-map:a", "x", 2)
    go_on.set()
    reply = await client.until(lambda received: next((item for item in received if item.get("id") == number), None))
    assert [item["offset"] for item in reply["subscribe"]["publications"]] == [1, 2]
    await club.set("kept-map:a", "x", 3)
    await settled(client)
    assert client.offsets("kept-map:a") == [3]


@pytest.mark.parametrize(
    ("channel", "request_", "code"),
    [
        ("map:a", {"phase": STATE, "cursor": "0\x00k"}, 103),
        ("kept-map:a", {"phase": STREAM, "offset": 1, "epoch": "x"}, 103),
        ("map:a", {"phase": STREAM, "recover": True}, 107),
        ("map:a", {"phase": 3}, 107),
        ("map:a", {"phase": STATE, "type": 0}, 103),
        ("map:a", {"phase": STATE, "type": 2}, 103),
        ("plain:a", {"phase": STATE}, 108),
        ("deny:map", {"type": 0}, 103),
        ("short-map:a", {"phase": STATE, "tf": {"key": "a", "cmp": "eq", "val": "b"}}, 107),
    ],
)
async def test_what_cannot_begin_is_refused_and_leaves_nothing(
    club: MapClub, channel: str, request_: dict[str, Any], code: int
) -> None:
    client = await club.connect()
    assert (await page(client, channel, **request_))["code"] == code
    assert not client.session.subscribers
    assert club.node.hub.num_channels == 0


async def test_a_cursor_of_another_map_ends_the_attempt(club: MapClub) -> None:
    await club.fill("map:a", 101)
    client = await club.connect()
    await page(client, "map:a", phase=STATE)
    assert (await page(client, "map:a", phase=STATE, cursor="?"))["code"] == 107
    assert (await page(client, "map:a", phase=STATE, cursor="0\x00k"))["code"] == 103


@pytest.mark.parametrize("epoch", ["", "given"])
async def test_a_map_that_was_cleared_between_pages_begins_anew(club: MapClub, epoch: str) -> None:
    await club.fill("kept-map:a", 150)
    client = await club.connect()
    first = await page(client, "kept-map:a", phase=STATE)
    await club.node.channels.maps.clear("kept-map:a")
    given = {"epoch": first["epoch"]} if epoch else {}
    assert (await page(client, "kept-map:a", phase=STATE, cursor=first["cursor"], **given))["code"] == 112
    assert club.node.hub.num_channels == 0


async def test_a_live_subscriber_is_told_at_once_that_the_map_was_cleared(club: MapClub) -> None:
    await club.set("kept-map:a", "x")
    client = await club.connect()
    await page(client, "kept-map:a", phase=STATE)
    await club.node.channels.maps.clear("kept-map:a")
    told = await client.until(lambda received: next((m for m in received if "unsubscribe" in m.get("push", {})), None))
    assert told["push"]["unsubscribe"]["code"] == 2500


async def test_beginning_again_replaces_the_attempt_and_being_live_forbids_it(club: MapClub) -> None:
    await club.fill("map:a", 150)
    client = await club.connect()
    first = await page(client, "map:a", phase=STATE)
    again = await page(client, "map:a", phase=STATE)
    assert again == first
    await page(client, "map:a", phase=STATE, cursor=again["cursor"])
    assert (await page(client, "map:a", phase=STATE))["code"] == 105
    assert club.node.hub.num_subscribers("map:a") == 1


async def test_taking_too_long_ends_the_connection(club: MapClub) -> None:
    await club.fill("map:a", 150)
    client = await club.connect()
    now = client.session.clock()
    client.session.clock = lambda: now
    first = await page(client, "map:a", phase=STATE)
    now += club.node.limits.map_catch_up
    client.send(subscribe={"channel": "map:a", "type": 1, "phase": STATE, "cursor": first["cursor"]})
    assert (await client.ended()).code == 3008


async def test_an_abandoned_attempt_costs_nothing_after_its_time() -> None:
    club = MapClub(Limits(map_catch_up=0.01))
    await club.node.start()
    await club.fill("map:a", 150)
    client = await club.connect()
    given_up, leave = asyncio.Event(), club.node.hub.leave

    def left(subscriber: Subscriber) -> None:
        leave(subscriber)
        given_up.set()

    club.node.hub.leave = left  # type: ignore[method-assign]
    await page(client, "map:a", phase=STATE)
    await club.set("map:a", "k0000", "held")
    subscriber = client.session.subscribers["map:a"]
    assert held_keys(subscriber) == ["k0000"]
    await given_up.wait()
    assert held_keys(subscriber) == []
    assert club.node.hub.num_channels == 0
    await client.call(unsubscribe={"channel": "map:a"})
    assert not client.session.subscribers
    await club.node.stop()


async def test_ending_an_attempt_refuses_its_next_page(club: MapClub) -> None:
    await club.fill("map:a", 150)
    client = await club.connect("7")
    first = await page(client, "map:a", phase=STATE)
    assert club.node.unsubscribe(Target(user_id="7"), "map:a", Unsubscribed(2000)) == 1
    assert (await page(client, "map:a", phase=STATE, cursor=first["cursor"]))["code"] == 103
    assert not client.session.subscribers


async def test_a_connection_that_ends_between_pages_leaves_nothing(club: MapClub) -> None:
    await club.fill("map:a", 150)
    client = await club.connect()
    await page(client, "map:a", phase=STATE)
    await client.leave()
    assert (club.node.hub.num_clients, club.node.hub.num_channels) == (0, 0)


@pytest.mark.parametrize(("limit", "entries"), [(0, 100), (1, 100), (150, 150), (5_000, MAX_PAGE), (-1, 100)])
async def test_pages_are_neither_tiny_nor_huge(club: MapClub, limit: int, entries: int) -> None:
    await club.fill("map:a", MAX_PAGE + 1)
    client = await club.connect()
    assert len((await page(client, "map:a", phase=STATE, limit=limit))["state"]) == entries


async def test_a_page_of_large_entries_does_not_make_its_reader_slow() -> None:
    club = MapClub(Limits(outbox_bytes=40_000, ephemeral_bytes=20_000))
    await club.node.start()
    for number in range(50):
        await club.set("kept-map:a", f"k{number:02}", "x" * 2_000)
    client = await club.connect()
    result = await page(client, "kept-map:a", phase=STATE)
    seen = keys(result["state"])
    while result.get("cursor"):
        assert len(result["state"]) < 7
        result = await page(client, "kept-map:a", phase=STATE, cursor=result["cursor"])
        seen += keys(result["state"])
    assert len(seen) == 50
    assert client.line.ended_with is None
    await club.node.stop()


async def test_a_filter_chooses_entries_changes_and_what_follows(club: MapClub) -> None:
    await club.set("kept-map:a", "x", tags={"team": "a"})
    await club.set("kept-map:a", "y", tags={"team": "b"})
    client = await club.connect()
    wanted = {"key": "team", "cmp": "eq", "val": "a"}
    result = await page(client, "kept-map:a", phase=STATE, tf=wanted, delta="fossil")
    assert (keys(result["state"]), result["offset"], "delta" in result) == (["x"], 2, False)
    await club.set("kept-map:a", "y", tags={"team": "b"})
    await club.remove("kept-map:a", "x")
    await settled(client)
    assert [(item["key"], item["offset"]) for item in pushed(client, "kept-map:a")] == [("x", 4)]


async def test_differences_begin_at_the_entries_and_end_with_a_removal(club: MapClub) -> None:
    text = "x" * 300
    await club.set("kept-map:a", "k", {"n": 1, "text": text})
    client = await club.connect()
    result = await page(client, "kept-map:a", phase=STATE, delta="fossil")
    assert result["delta"]
    assert json.loads(result["state"][0]["data"])["n"] == 1
    await club.set("kept-map:a", "k", {"n": 2, "text": text})
    await club.remove("kept-map:a", "k")
    await club.set("kept-map:a", "k", {"n": 3, "text": text})
    await club.set("kept-map:a", "other", {"n": 4, "text": text})
    await settled(client)
    shown = [(item.get("delta", False), "data" in item) for item in pushed(client, "kept-map:a")]
    assert shown == [(True, True), (False, False), (False, True), (False, True)]


async def test_the_reply_tells_the_debounce(club: MapClub) -> None:
    client = await club.connect()
    assert (await page(client, "ranked:a", phase=STATE))["publish_debounce"] == 50


async def test_an_ordered_map_is_paged_by_score(club: MapClub) -> None:
    for number in range(150):
        await club.set("ranked:a", f"k{number}", score=number)
    client = await club.connect()
    first = await page(client, "ranked:a", phase=STATE)
    assert keys(first["state"])[:2] == ["k149", "k148"]
    last = await page(client, "ranked:a", phase=STATE, cursor=first["cursor"])
    assert keys(last["state"])[-1] == "k0"
    await client.call(unsubscribe={"channel": "ranked:a"})
    assert keys((await page(client, "ranked:a", phase=STATE, asc=True))["state"])[0] == "k0"


async def test_a_map_has_no_subscribers_by_the_servers_will(club: MapClub) -> None:
    client = MemoryClient(club.node)
    reply = await client.call(connect={"data": {"user": "7", "channels": ["map:a"]}})
    assert reply["error"]["code"] == 108
    assert club.node.hub.num_channels == 0
