"""What the server takes back while a command is under way that relies on it: the command is refused."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from msgspec import Raw

from hotclub.engine.broker.base import HistoryQuery
from hotclub.engine.broker.maps import MapMessage
from hotclub.engine.errors import Unsubscribed
from hotclub.engine.port import RefreshGrant, SubscribeGrant
from hotclub.engine.target import Target
from tests.engine.support import Club, MemoryClient

ANN: Final = Target(user_id="ann")


@pytest.fixture
async def club() -> AsyncIterator[Club]:
    club = Club()
    await club.node.start()
    yield club
    await club.node.stop()


async def replied(client: MemoryClient, number: int) -> dict[str, Any]:
    reply: dict[str, Any] = await client.until(
        lambda received: next((message for message in received if message.get("id") == number), None)
    )
    return reply


CASES: Final[list[tuple[str, str, dict[str, Any]]]] = [
    ("publish", "log:a", {"publish": {"channel": "log:a", "data": 1}}),
    ("change", "map:a", {"publish": {"channel": "map:a", "key": "k", "data": 1, "type": 1}}),
    ("sub_refresh", "log:a", {"sub_refresh": {"channel": "log:a", "token": "t"}}),
    ("authorize", "log:a", {"history": {"channel": "log:a", "limit": 10}}),
    ("admits", "log:a", {"history": {"channel": "log:a", "limit": 10}}),
    ("authorize", "log:a", {"presence": {"channel": "log:a"}}),
    ("authorize", "log:a", {"presence_stats": {"channel": "log:a"}}),
]


@pytest.mark.parametrize("taken", ["the channel", "every channel"])
@pytest.mark.parametrize(("hook", "channel", "command"), CASES, ids=[f"{hook}-{next(iter(c))}" for hook, _, c in CASES])
async def test_a_command_is_refused_when_its_subscription_is_taken_back_meanwhile(
    club: Club, hook: str, channel: str, command: dict[str, Any], taken: str
) -> None:
    club.application.refreshes["t"] = RefreshGrant(ttl=60)
    client = await club.connect("ann")
    kind = 1 if channel.startswith("map") else 0
    assert "subscribe" in await client.call(subscribe={"channel": channel, "type": kind})
    gate = club.application.hold(hook, channel)
    number = client.send(**command)
    await gate.entered.wait()
    club.node.unsubscribe(ANN, channel if taken == "the channel" else "", Unsubscribed())
    gate.open()
    assert (await replied(client, number))["error"]["code"] == 103
    assert (await club.node.history("log:a", HistoryQuery(limit=1))).publications == ()
    assert (await club.node.channels.maps.stats("map:a")).num_keys == 0


async def test_a_map_that_is_taken_back_between_two_pages_gives_no_more(club: Club) -> None:
    for number in range(150):
        await club.node.channels.maps.change("kept-map:a", MapMessage(key=f"{number:03d}", data=Raw(b"1")))
    client = await club.connect("ann")
    request = {"channel": "kept-map:a", "type": 1, "phase": 2, "limit": 100}
    page = (await client.call(subscribe=request))["subscribe"]
    assert client.session.client.holds("kept-map:a")
    club.node.unsubscribe(ANN, "kept-map:a", Unsubscribed())
    assert not client.session.client.holds("kept-map:a")
    again = {**request, "cursor": page["cursor"], "epoch": page["epoch"], "offset": page["offset"]}
    assert (await client.call(subscribe=again))["error"]["code"] == 103
    assert client.session.subscribers == {}


@pytest.mark.parametrize("way", ["subscribe command", "connect", "by the server"])
async def test_what_a_client_holds_is_what_it_is_subscribed_to_now(club: Club, way: str) -> None:
    if way == "connect":
        club.application.welcome = {"log:a": SubscribeGrant()}
    client = await club.connect("ann")
    if way == "subscribe command":
        await client.call(subscribe={"channel": "log:a"})
    elif way == "by the server":
        await club.node.subscribe(ANN, "log:a", SubscribeGrant())
    holds = client.session.client.holds
    assert holds("log:a")
    assert not holds("log:b")
    club.node.unsubscribe(ANN, "log:a", Unsubscribed())
    assert not holds("log:a")
    await client.call(subscribe={"channel": "log:b"})
    await client.call(unsubscribe={"channel": "log:b"})
    assert not holds("log:b")
    await client.call(subscribe={"channel": "log:c"})
    await client.leave()
    assert not holds("log:c")


async def test_a_client_that_is_unsubscribed_while_its_subscribe_reads_the_log_holds_nothing(club: Club) -> None:
    client = await club.connect("ann")
    club.broker.held.clear()
    club.broker.reading.clear()
    number = client.send(subscribe={"channel": "log:a"})
    await club.broker.reading.wait()
    club.node.unsubscribe(ANN, "log:a", Unsubscribed())
    assert not client.session.client.holds("log:a")
    club.broker.held.set()
    assert (await replied(client, number))["error"]["code"] == 103
    assert not client.session.client.holds("log:a")


async def test_a_procedure_is_told_which_channels_were_taken_back_meanwhile(club: Club) -> None:
    client = await club.connect("ann")
    gate = club.application.hold("rpc", "echo")
    number = client.send(rpc={"method": "echo"})
    await gate.entered.wait()
    assert "log:a" not in client.session.client.revoked
    club.node.unsubscribe(ANN, "log:a", Unsubscribed())
    assert "log:a" in client.session.client.revoked
    gate.open()
    await replied(client, number)
    await asyncio.sleep(0)
    assert "log:a" not in client.session.client.revoked
