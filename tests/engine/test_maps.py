"""Maps beyond subscribing: what clients change, who is shown as present, and readers that are slow."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import Raw

from hotclub.engine.broker.base import Message
from hotclub.engine.broker.maps import MapMessage, MapQuery
from hotclub.engine.errors import Refused, Unsubscribed
from hotclub.engine.limits import Limits
from hotclub.engine.model import Position
from hotclub.engine.target import Target
from tests.engine.commands.test_subscribe_map import STATE, MapClub, keys, page, pushed, settled
from tests.engine.support import MemoryClient


@pytest.fixture
async def club() -> AsyncIterator[MapClub]:
    club = MapClub()
    await club.node.start()
    yield club
    await club.node.stop()


async def entries(club: MapClub, channel: str) -> dict[str, Any]:
    found = await club.node.channels.maps.read(channel, MapQuery())
    return {entry.key: entry for entry in found.entries}


def slow(client: MemoryClient) -> None:
    """Its reader has left more unread than there is room for, and that has been seen."""
    client.line.unread = 1_001
    assert not client.session.outbox.has_room(-1)


async def change(client: MemoryClient, channel: str, key: str, **more: Any) -> int:
    """The code of the error, 0 for none."""
    reply = await client.call(publish={"channel": channel, "type": 1, "key": key, **more})
    code: int = reply.get("error", {}).get("code", 0)
    return code


async def test_a_client_sets_and_removes_keys(club: MapClub) -> None:
    client = await club.connect("7")
    await page(client, "map:a", phase=STATE)
    assert await change(client, "map:a", "k", data={"x": 1}) == 0
    entry = (await entries(club, "map:a"))["k"]
    assert (entry.data, entry.info.user, entry.info.client) == (Raw(b'{"x": 1}'), "7", client.session.id)
    assert await change(client, "map:a", "k", removed=True) == 0
    assert await change(client, "map:a", "k", removed=True) == 0
    assert await entries(club, "map:a") == {}
    await settled(client)
    assert keys(pushed(client, "map:a")) == ["k", "k"]


async def test_the_application_may_change_refuse_and_ignore_a_change(club: MapClub) -> None:
    client = await club.connect()
    await page(client, "map:a", phase=STATE)
    assert await change(client, "map:a", "mine", data=1) == 0
    assert await change(client, "map:a", "forbidden", data=1) == 103
    assert await change(client, "map:a", "ignored", data=1) == 0
    assert list(await entries(club, "map:a")) == [client.session.id]


@pytest.mark.parametrize(
    ("channel", "more", "code"),
    [
        ("map:a", {"key": "", "data": 1}, 107),
        ("map:a", {"key": "k" * 257, "data": 1}, 107),
        ("map:a", {"key": "a\x00b", "data": 1}, 107),
        ("map:a", {"key": "k"}, 107),
        ("map:a", {"key": "k", "data": 1, "type": 0}, 108),
        ("map:a", {"key": "k", "data": 1, "type": 2}, 107),
        ("plain:a", {"key": "k", "data": 1}, 108),
        ("poll:a", {"key": "k", "data": 1}, 108),
        ("map:unsubscribed", {"key": "k", "data": 1}, 103),
    ],
)
async def test_what_cannot_be_changed_is_refused(club: MapClub, channel: str, more: dict[str, Any], code: int) -> None:
    client = await club.connect()
    await page(client, "map:a", phase=STATE)
    await client.call(subscribe={"channel": "plain:a"})
    reply = await client.call(publish={"channel": channel, "type": 1, **more})
    assert reply["error"]["code"] == code
    assert await entries(club, "map:a") == {}


async def test_nobody_changes_a_map_before_it_has_arrived(club: MapClub) -> None:
    await club.fill("map:a", 150)
    client = await club.connect()
    await page(client, "map:a", phase=STATE)
    assert await change(client, "map:a", "k", data=1) == 103


async def test_the_server_takes_maps_for_maps_only(club: MapClub) -> None:
    maps = club.node.channels.maps
    for channel, code in (("plain:a", 108), ("unknown:a", 102)):
        with pytest.raises(Refused) as refused:
            await maps.change(channel, MapMessage(key="k"))
        assert refused.value.code == code
    with pytest.raises(Refused) as refused:
        await maps.change("map:a", MapMessage(key="k", expected=Position("x", 1)))
    assert refused.value.code == 107
    for channel in ("map:a", "poll:a"):
        with pytest.raises(Refused) as refused:
            await club.node.channels.publish(channel, Message(data=Raw(b"1")))
        assert refused.value.code == 108
    await club.set("map:a", "k")
    assert (await maps.stats("map:a")).num_keys == 1


async def test_members_stand_in_the_maps_of_their_channel(club: MapClub) -> None:
    watcher, first, second = await club.connect(), await club.connect("7"), await club.connect("7")
    assert "state" not in await page(watcher, "clients:crowd", type=2, phase=STATE)
    await page(watcher, "users:crowd", type=3, phase=STATE)
    await page(first, "crowd:a", phase=STATE)
    await page(second, "crowd:a", phase=STATE)
    await settled(first)
    members = await entries(club, "clients:crowd")
    assert {key: entry.info.user for key, entry in members.items()} == {first.session.id: "7", second.session.id: "7"}
    assert list(await entries(club, "users:crowd")) == ["7"]
    await first.call(unsubscribe={"channel": "crowd:a"})
    assert list(await entries(club, "users:crowd")) == ["7"], "the user is there with another connection"
    await second.leave(goodbye=True)
    assert await entries(club, "clients:crowd") == await entries(club, "users:crowd") == {}
    await settled(watcher)
    shown = [(item["key"], item.get("removed", False)) for item in pushed(watcher, "clients:crowd")]
    ids = [first.session.id, second.session.id]
    assert shown == [(ids[0], False), (ids[1], False), (ids[0], True), (ids[1], True)]
    assert [item.get("removed", False) for item in pushed(watcher, "users:crowd")] == [False, True]


async def test_a_member_that_is_expelled_leaves_the_maps(club: MapClub) -> None:
    client = await club.connect("7")
    await page(client, "crowd:a", phase=STATE)
    await settled(client)
    club.node.unsubscribe(Target(user_id="7"), "crowd:a", Unsubscribed(2000))
    await club.node.channels.settle()
    assert await entries(club, "clients:crowd") == {}


async def test_members_are_renewed_silently_and_come_back_when_they_were_lost(club: MapClub) -> None:
    watcher, client = await club.connect(), await club.connect("7")
    await page(watcher, "clients:crowd", type=2, phase=STATE)
    await page(client, "crowd:a", phase=STATE)
    await settled(client)
    await club.node.channels.appearances.renew()
    await settled(watcher)
    assert len(pushed(watcher, "clients:crowd")) == 1
    await club.node.channels.maps.clear("clients:crowd")
    await club.node.channels.appearances.renew()
    await settled(watcher)
    assert [item.get("removed", False) for item in pushed(watcher, "clients:crowd")] == [False, True, False]


async def test_anonymous_members_are_clients_and_no_users(club: MapClub) -> None:
    client = await club.connect()
    await page(client, "crowd:a", phase=STATE)
    await settled(client)
    assert len(await entries(club, "clients:crowd")) == 1
    assert await entries(club, "users:crowd") == {}


@pytest.fixture
async def narrow() -> AsyncIterator[MapClub]:
    club = MapClub(Limits(ephemeral_bytes=1_000, outbox_bytes=4_000))
    await club.node.start()
    yield club
    await club.node.stop()


async def test_a_slow_reader_of_an_ephemeral_map_gets_the_newest_of_each_key(narrow: MapClub) -> None:
    client, other = await narrow.connect(), await narrow.connect()
    for reader in (client, other):
        await page(reader, "map:a", phase=STATE)
    slow(client)
    for number in range(50):
        await narrow.set("map:a", "busy", number)
        await narrow.set("map:a", f"once{number % 2}", "x" * 50)
        await asyncio.sleep(0)
    await narrow.remove("map:a", "once0")
    await settled(other)
    assert pushed(client, "map:a") == []
    assert len(pushed(other, "map:a")) == 101
    await narrow.node.hub.release_held()
    assert pushed(client, "map:a") == []
    client.line.unread = 0
    await narrow.node.hub.release_held()
    await settled(client)
    shown = [(item["key"], item.get("data"), item.get("removed", False)) for item in pushed(client, "map:a")]
    assert shown == [("busy", 49, False), ("once1", "x" * 50, False), ("once0", None, True)]
    await narrow.set("map:a", "busy", "live again")
    await settled(client)
    assert pushed(client, "map:a")[-1]["data"] == "live again"
    assert narrow.node.info().dropped == 0


async def test_what_comes_while_something_is_held_does_not_overtake_it(narrow: MapClub) -> None:
    client = await narrow.connect()
    await page(client, "map:a", phase=STATE)
    slow(client)
    await narrow.set("map:a", "a", 1)
    client.line.unread = 0
    await narrow.set("map:a", "b", 2)
    await narrow.node.hub.release_held()
    await settled(client)
    assert keys(pushed(client, "map:a")) == ["a", "b"]


async def test_a_reader_for_whom_too_much_is_held_is_closed(narrow: MapClub) -> None:
    client = await narrow.connect()
    await page(client, "map:a", phase=STATE)
    slow(client)
    for number in range(30):
        await narrow.set("map:a", f"k{number}", "x" * 50)
    assert (await client.ended()).code == 3008
    await narrow.node.hub.release_held()


async def test_a_slow_reader_does_not_get_what_its_filter_refuses(narrow: MapClub) -> None:
    client = await narrow.connect()
    await page(client, "map:a", phase=STATE, tf={"key": "team", "cmp": "eq", "val": "a"})
    slow(client)
    await narrow.set("map:a", "k", 1, tags={"team": "a"})
    await narrow.set("map:a", "k", 2, tags={"team": "b"})
    client.line.unread = 0
    await narrow.node.hub.release_held()
    await settled(client)
    assert [item["data"] for item in pushed(client, "map:a")] == [1]


async def test_a_slow_reader_of_a_persistent_map_is_closed_and_loses_nothing(narrow: MapClub) -> None:
    client = await narrow.connect()
    live = await page(client, "kept-map:a", phase=STATE)
    client.line.unread = 4_001
    for number in range(10):
        await narrow.set("kept-map:a", "busy", number)
        await asyncio.sleep(0)
    assert (await client.ended()).code == 3008
    again = await narrow.connect()
    result = await page(again, "kept-map:a", phase=1, recover=True, epoch=live["epoch"])
    assert [item["data"] for item in result["publications"]] == list(range(10))


async def test_removals_that_wait_count_as_well(narrow: MapClub) -> None:
    client = await narrow.connect()
    for number in range(30):
        await narrow.set("map:a", f"k{number}")
    await page(client, "map:a", phase=STATE)
    slow(client)
    for number in range(30):
        await narrow.remove("map:a", f"k{number}")
    assert (await client.ended()).code == 3008
