"""npm `centrifuge` 5.8.0: options that no class of the conformance project has, over every wire."""

from typing import Any

import pytest

from tests.conformance.conftest import Conformance, away, token_for
from tests.support.npm import CLIENTS, MAP, USERS, NpmClient
from tests.support.proxy import FaultProxy


async def test_the_newest_comes_to_everybody_and_is_all_that_was_missed(
    secured: Conformance, member: NpmClient, secured_proxy: FaultProxy, name: str
) -> None:
    """Recovery as from a cache."""
    channel = f"cached:{name}"
    await secured.publish_all(channel, [1, 2])
    context = await member.subscribe(channel)
    assert (context["recoverable"], context["recovered"]) == (True, True)
    await member.until(lambda: member.data(channel) == [2])
    async with away(member, secured_proxy) as seen:
        await secured.publish_all(channel, [3, 4, 5])
    assert (await member.context("subscribed", channel, start=seen))["recovered"]
    await member.until(lambda: member.data(channel) == [2, 5])
    async with away(member, secured_proxy) as seen:
        pass
    assert (await member.context("subscribed", channel, start=seen))["recovered"]
    await secured.publish(channel, 6)
    await member.until(lambda: member.data(channel) == [2, 5, 6])


async def test_positions_without_recovery(
    secured: Conformance, member: NpmClient, secured_proxy: FaultProxy, name: str
) -> None:
    channel = f"positioned:{name}"
    context = await member.subscribe(channel, positioned=True, recoverable=True)
    assert (context["positioned"], context["recoverable"]) == (True, False)
    await secured.publish(channel, 1)
    await member.until(lambda: member.data(channel) == [1])
    async with away(member, secured_proxy) as seen:
        await secured.publish(channel, 2)
    again = await member.context("subscribed", channel, start=seen)
    assert (again["wasRecovering"], again["recovered"]) == (False, False)
    await secured.publish(channel, 3)
    await member.until(lambda: member.data(channel) == [1, 3])


GOALS = {"key": "kind", "cmp": "eq", "val": "goal"}


async def test_publications_are_chosen_by_their_tags_also_when_they_were_missed(
    secured: Conformance, member: NpmClient, secured_proxy: FaultProxy, name: str
) -> None:
    channel = f"filtered:{name}"

    async def publish(*numbers: int) -> None:
        for number in numbers:
            await secured.publish(channel, number, tags={"kind": "goal" if number % 2 else "foul"})

    await member.subscribe(channel, tagsFilter=GOALS)
    await publish(1, 2, 3)
    await member.until(lambda: member.data(channel) == [1, 3])
    assert member.publications(channel)[0]["tags"] == {"kind": "goal"}
    async with away(member, secured_proxy) as seen:
        await publish(4, 5, 6)
    assert (await member.context("subscribed", channel, start=seen))["recovered"]
    await publish(7)
    await member.until(lambda: member.data(channel) == [1, 3, 5, 7])


@pytest.mark.parametrize(
    ("chosen", "wanted"),
    [
        ({"key": "kind", "cmp": "in", "vals": ["foul", "corner"]}, [2]),
        ({"key": "kind", "cmp": "nin", "vals": ["foul"]}, [1, 3]),
        ({"key": "price", "cmp": "ex"}, [1, 2]),
        ({"key": "price", "cmp": "nex"}, [3]),
        ({"key": "kind", "cmp": "sw", "val": "go"}, [1]),
        ({"key": "kind", "cmp": "ct", "val": "ou"}, [2]),
        ({"key": "kind", "cmp": "ew", "val": "l"}, [1, 2]),
        ({"key": "price", "cmp": "gt", "val": "9.5"}, [2]),
        ({"key": "price", "cmp": "lte", "val": "9.5"}, [1]),
        ({"op": "and", "nodes": [GOALS, {"key": "price", "cmp": "gte", "val": "9"}]}, [1]),
        ({"op": "or", "nodes": [GOALS, {"key": "kind", "cmp": "neq", "val": "foul"}]}, [1, 3]),
        ({"op": "not", "nodes": [GOALS]}, [2, 3]),
    ],
)
async def test_every_way_to_choose(
    secured: Conformance, member: NpmClient, name: str, chosen: Any, wanted: list[int]
) -> None:
    channel = f"filtered:{name}"
    await member.subscribe(channel, tagsFilter=chosen)
    for number, tags in enumerate([{"kind": "goal", "price": "9.50"}, {"kind": "foul", "price": "10"}, {}], start=1):
        await secured.publish(channel, number, tags=tags)
    # What was published before comes before the reply.
    assert (await member.call("history", channel=channel))["offset"] == 3
    assert member.data(channel) == wanted


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": "kind", "cmp": "eq"},
        {"key": "kind", "cmp": "like", "val": "x"},
        {"op": "and", "nodes": []},
        {"op": "not", "nodes": [GOALS, GOALS]},
        {"key": "kind", "cmp": "in", "val": "x"},
    ],
)
async def test_a_choice_that_is_none(member: NpmClient, name: str, wrong: Any) -> None:
    await member.call("subscribe", channel=f"filtered:{name}", options={"tagsFilter": wrong})
    assert (await member.context("unsubscribed", f"filtered:{name}"))["code"] == 107


@pytest.mark.smoke
async def test_channels_are_told_by_their_numbers(
    secured: Conformance, member: NpmClient, secured_proxy: FaultProxy, name: str
) -> None:
    """Also with differences, after a cut, and in other channels that have none."""
    channels = [f"compact:{name}-a", f"compact:{name}-b", f"filtered:{name}"]
    for channel in channels:
        await member.subscribe(channel, delta="fossil")
    texts = [{"text": "长" * 100, "n": number} for number in range(3)]

    async def publish(text: dict[str, Any]) -> None:
        for channel in channels:
            await secured.publish(channel, {**text, "channel": channel})

    await publish(texts[0])
    for channel in channels:
        await member.context("publication", channel)
    async with away(member, secured_proxy):
        await publish(texts[1])
    for channel in channels:
        await member.until(lambda channel=channel: len(member.data(channel)) == 2)  # type: ignore[misc]
    await publish(texts[2])
    for channel in channels:
        await member.until(lambda channel=channel: len(member.data(channel)) == 3)  # type: ignore[misc]
        assert member.data(channel) == [{**text, "channel": channel} for text in texts]
    await member.call("unsubscribe", channel=channels[0])
    await member.call("resubscribe", channel=channels[0])
    await secured.publish(channels[0], "again")
    await member.until(lambda: member.data(channels[0])[-1] == "again")


async def test_users_and_clients_stand_in_maps(
    secured: Conformance, member: NpmClient, wire: list[str], name: str
) -> None:
    """A user is there once, however many connections there are, until the last of them leaves."""
    room, users, clients = f"room:{name}", f"users:room:{name}", f"clients:room:{name}"
    await member.subscribe(users, USERS)
    await member.subscribe(clients, CLIENTS)
    assert (await member.synced(users), await member.synced(clients)) == ({}, {})
    async with NpmClient.start() as second:
        await second.connect_over(secured.port, *wire, token=token_for("42"))
        await second.subscribe(room, MAP)
        await member.subscribe(room, MAP)
        await member.until(lambda: len(member.updates(clients)) == 2)
        assert [key for key, _ in member.updates(users)] == ["42"]
    await member.until(lambda: len(member.updates(clients)) == 3)
    await member.call("unsubscribe", channel=room)
    await member.until(lambda: member.updates(users)[1:] == [("42", "removed")])


async def test_an_ordered_map_is_read_by_score(secured: Conformance, member: NpmClient, name: str) -> None:
    channel = f"ranking:{name}"
    scores = {"ann": 3, "bo": 9, "cy": 5}
    for key, score in scores.items():
        await secured.api("map_publish", channel=channel, key=key, data=score, score=score)
    await member.subscribe(channel, MAP)
    assert list(await member.synced(channel)) == ["bo", "cy", "ann"]
    assert await member.error_code("mapPublish", channel=channel, key="me", data=1) == 103
    assert await member.error_code("mapRemove", channel=channel, key="ann") == 103


async def test_a_key_is_set_only_if(secured: Conformance, member: NpmClient, name: str) -> None:
    """Compare and set, modes and versions, by the server; the clients see what came of it."""
    channel = f"ranking:{name}"
    await member.subscribe(channel, MAP)

    async def change(data: int, **options: Any) -> Any:
        return await secured.api("map_publish", channel=channel, key="k", data=data, **options)

    await change(1, key_mode="if_exists")
    first = await change(2, key_mode="if_new")
    await change(3, key_mode="if_new")
    position = {"offset": first["offset"], "epoch": first["epoch"]}
    await change(4, expected_position=position)
    await change(5, expected_position=position)
    await change(6, version=2)
    await change(7, version=2)
    await change(8, version=3)
    await member.until(lambda: ("k", 8) in member.updates(channel))
    assert [data for _, data in member.updates(channel)] == [2, 4, 6, 8]


@pytest.mark.smoke
async def test_what_a_client_brings_is_shown_to_the_connect_hook(
    secured: Conformance, idle: NpmClient, wire: list[str]
) -> None:
    """Data and headers of the connect command; data is asked for with every attempt."""
    numbers = iter(range(100))
    options: dict[str, Any] = {"getData": lambda _context: {"tab": next(numbers)}, "headers": {"X-Theme": "dark"}}
    await idle.connect_over(secured.port, *wire, token=token_for("42"), name="tests", version="1.2", **options)
    connected = await idle.context("connected")
    assert connected["data"] == {"hello": "42", "data": {"tab": 0}, "theme": "dark"}
    seen = len(idle.events)
    await secured.api("disconnect", user="42", disconnect={"code": 4000, "reason": "come back"})
    assert (await idle.context("connected", start=seen))["data"]["data"] == {"tab": 1}
