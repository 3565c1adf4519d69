"""What a channel lets through by tags holds on every way that publications take to a client."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from hotclub.engine.errors import Refused, Unsubscribed
from hotclub.engine.model import Position
from hotclub.engine.port import SubscribeGrant
from hotclub.engine.target import Target
from tests.engine.support import Club, MemoryClient


@pytest.fixture
async def club() -> AsyncIterator[Club]:
    """Nobody may have what is tagged as secret in `log:a`."""
    club = Club()
    await club.node.start()
    club.application.filters["log:a"] = _is_public
    yield club
    await club.node.stop()


def _is_public(tags: Mapping[str, str]) -> bool:
    return "secret" not in tags


async def publish(club: Club) -> None:
    for value in (1, 2, 3):
        await club.publish("log:a", value, **({"secret": "yes"} if value == 2 else {}))


def values(publications: list[dict[str, Any]]) -> list[Any]:
    return [publication["data"] for publication in publications]


async def welcomed(club: Club, **request: Any) -> tuple[MemoryClient, dict[str, Any]]:
    """A client that the connect hook has subscribed to `log:a`, and the reply of that subscription."""
    club.application.welcome = {"log:a": SubscribeGrant()}
    client = club.client()
    reply = await client.call(connect=request)
    return client, reply["connect"]["subs"]["log:a"]


async def test_history(club: Club) -> None:
    await publish(club)
    client = await club.connect()
    page = (await client.call(history={"channel": "log:a", "limit": 10}))["history"]
    assert (values(page["publications"]), page["offset"]) == ([1, 3], 3)


async def test_channels_of_the_connect_hook(club: Club) -> None:
    client, result = await welcomed(club)
    await publish(club)
    assert values(await client.pushed("pub", 2)) == [1, 3]
    epoch = result["epoch"]
    asked = {"subs": {"log:a": {"recover": True, "epoch": epoch, "delta": "fossil"}}}
    _, recovered = await welcomed(club, **asked)
    assert (recovered["recovered"], values(recovered["publications"])) == (True, [1, 3])


async def test_channels_that_the_server_subscribes_to(club: Club) -> None:
    await publish(club)
    client = await club.connect("7")
    await club.node.subscribe(Target(user_id="7"), "log:a", SubscribeGrant(), Position("", 0))
    await publish(club)
    assert values(await client.pushed("pub", 4)) == [1, 3, 1, 3]
    assert client.session.subscribers["log:a"].offset == 6


async def test_what_is_published_while_the_application_is_asked_is_neither_lost_nor_unfiltered(club: Club) -> None:
    client = await club.connect("7")
    gate = club.application.hold("admits", "log:a")
    work = asyncio.ensure_future(club.node.subscribe(Target(user_id="7"), "log:a", SubscribeGrant()))
    await gate.entered.wait()
    await publish(club)
    gate.open()
    await work
    await publish(club)
    assert values(await client.pushed("pub", 2))[-2:] == [1, 3]
    assert client.session.subscribers["log:a"].offset == 6


async def test_what_the_server_ends_while_the_application_is_asked_is_not_begun(club: Club) -> None:
    client = await club.connect("7")
    gate = club.application.hold("admits", "log:a")
    work = asyncio.ensure_future(club.node.subscribe(Target(user_id="7"), "log:a", SubscribeGrant()))
    await gate.entered.wait()
    club.node.unsubscribe(Target(user_id="7"), "log:a", Unsubscribed(2000))
    gate.open()
    await work
    assert client.session.subscribers == {}
    assert club.node.num_subscribers("log:a") == 0


async def test_who_cannot_be_judged_gets_nothing(club: Club, monkeypatch: pytest.MonkeyPatch) -> None:
    await publish(club)
    client = await club.connect("7")

    async def fail(*_: object) -> None:
        raise Refused(100)

    monkeypatch.setattr(club.application, "admits", fail)
    assert (await client.call(history={"channel": "log:a", "limit": 10}))["error"]["code"] == 100
    await club.node.subscribe(Target(user_id="7"), "log:a", SubscribeGrant())
    assert club.node.num_subscribers("log:a") == 0
    club.application.welcome = {"log:a": SubscribeGrant()}
    assert (await club.client().call(connect={}))["error"]["code"] == 100
