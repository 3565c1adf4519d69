"""npm `centrifuge` 5.8.0: subscriptions by the server's will, over every transport and in both forms."""

import itertools
import time

import pytest

from tests.conformance.conftest import Conformance, away, over_every_wire, token, token_for
from tests.support.npm import Event, NpmClient
from tests.support.proxy import FaultProxy


@pytest.fixture
async def served(proxy: FaultProxy, idle: NpmClient, wire: list[str], name: str) -> NpmClient:
    """Subscribed to two channels by the token."""
    subs = {f"recovery:{name}-a": {}, f"{name}-b": {"info": {"seat": 7}, "data": {"welcome": "欢迎"}}}
    await idle.connect_over(proxy.port, *wire, token=token("52", subs=subs))
    await idle.event("connected")
    return idle


async def test_a_token_subscribes(conformance: Conformance, served: NpmClient, name: str) -> None:
    first, second = f"recovery:{name}-a", f"{name}-b"
    context = await served.context("server subscribed", first)
    assert (context["recoverable"], context["positioned"]) == (True, True)
    assert (await served.context("server subscribed", second))["data"] == {"welcome": "欢迎"}
    joined = (await served.context("server join", second))["info"]
    assert (joined["user"], joined["chanInfo"]) == ("52", {"seat": 7})
    await conformance.publish(second, {"n": 1}, tags={"kind": "goal"})
    publication = await served.context("server publication", second)
    assert (publication["data"], publication["tags"], publication["offset"]) == ({"n": 1}, {"kind": "goal"}, 1)
    await served.call("clientPublish", channel=second, data=2)
    await served.until(lambda: len(served.contexts("server publication", second)) == 2)
    assert served.contexts("server publication", second)[1]["info"]["chanInfo"] == {"seat": 7}


async def test_what_is_subscribed_by_the_server_is_not_subscribed_by_the_client(served: NpmClient, name: str) -> None:
    channel = f"recovery:{name}-a"
    await served.call("subscribe", channel=channel)
    unsubscribed = await served.context("unsubscribed", channel)
    assert (unsubscribed["code"], unsubscribed["reason"]) == (105, "already subscribed")


@pytest.mark.smoke
async def test_what_was_missed_comes_with_the_connection(
    conformance: Conformance, served: NpmClient, proxy: FaultProxy, name: str
) -> None:
    channel = f"recovery:{name}-a"
    await conformance.publish(channel, 1)
    await served.context("server publication", channel)
    async with away(served, proxy) as seen:
        await conformance.publish_all(channel, [2, 3])
    await served.context("server subscribing", channel, start=seen)
    again = await served.context("server subscribed", channel, start=seen)
    assert (again["wasRecovering"], again["recovered"], again["hasRecoveredPublications"]) == (True, True, True)
    await conformance.publish(channel, 4)
    await served.until(lambda: served.data(channel, "server publication") == [1, 2, 3, 4])


async def test_too_much_missed_is_said_with_the_connection(
    conformance: Conformance, proxy: FaultProxy, idle: NpmClient, wire: list[str], name: str
) -> None:
    channel = f"smallhistory:{name}"
    await idle.connect_over(proxy.port, *wire, token=token("52", channels=[channel]))
    await idle.context("server subscribed", channel)
    async with away(idle, proxy) as seen:
        await conformance.publish_all(channel, [1, 2, 3])
    again = await idle.context("server subscribed", channel, start=seen)
    assert (again["wasRecovering"], again["recovered"]) == (True, False)
    await conformance.publish(channel, 4)
    await idle.until(lambda: idle.data(channel, "server publication") == [4])


async def test_the_api_subscribes_and_unsubscribes(conformance: Conformance, served: NpmClient, name: str) -> None:
    channel = f"{name}-c"
    await conformance.api("subscribe", channel=channel, user="52", data={"as": "you wish"}, info={"seat": 1})
    context = await served.context("server subscribed", channel)
    assert (context["data"], context["recoverable"]) == ({"as": "you wish"}, True)
    assert (await served.context("server join", channel))["info"]["chanInfo"] == {"seat": 1}
    await conformance.publish(channel, 1)
    await served.context("server publication", channel)
    await conformance.api("unsubscribe", channel=channel, user="52")
    await served.context("server unsubscribed", channel)
    await conformance.publish(channel, 2)
    await conformance.publish(f"{name}-b", "last")
    await served.context("server publication", f"{name}-b")
    assert served.data(channel, "server publication") == [1]


async def test_the_api_subscribes_from_a_position(conformance: Conformance, served: NpmClient, name: str) -> None:
    channel = f"recovery:{name}-c"
    since = await conformance.publish(channel, 1)
    await conformance.publish_all(channel, [2, 3])
    await conformance.api("subscribe", channel=channel, user="52", recover_since=since)
    await served.until(lambda: served.data(channel, "server publication") == [2, 3])


async def test_what_the_api_subscribed_to_outlives_a_cut(
    secured: Conformance, secured_proxy: FaultProxy, idle: NpmClient, wire: list[str], name: str
) -> None:
    """Where the client could subscribe by itself and where it could not, unless it was taken away meanwhile."""
    mine, denied, taken = f"filtered:{name}", f"news:{name}", f"news:{name}-taken"
    await idle.connect_over(secured_proxy.port, *wire, token=token_for("52"))
    await idle.event("connected")
    for channel in (mine, denied, taken):
        await secured.api("subscribe", channel=channel, user="52")
        await idle.context("server subscribed", channel)
    async with away(idle, secured_proxy) as seen:
        await secured.publish(mine, 1)
        await secured.publish(denied, 2)
        await secured.api("unsubscribe", channel=taken, user="52")
    await idle.context("server unsubscribed", taken, start=seen)
    await idle.until(lambda: idle.data(mine, "server publication") == [1])
    await idle.until(lambda: idle.data(denied, "server publication") == [2])


async def test_a_subscription_that_expires_ends_the_connection(secured: Conformance, name: str) -> None:
    async def scenario(client: NpmClient, wire: list[str]) -> None:
        user = "-".join(wire)
        await client.connect_over(secured.port, *wire, token=token_for(user))
        await client.event("connected")
        await secured.api("subscribe", channel=f"news:{name}", user=user, expire_at=int(time.time()) + 1)
        await client.context("server subscribed", f"news:{name}")
        connecting = await client.context("connecting", start=len(client.events))
        assert (connecting["code"], connecting["reason"]) == (3006, "subscription expired")

    await over_every_wire(scenario)


async def test_other_channels_in_a_new_token_begin_a_new_connection(secured: Conformance, name: str) -> None:
    async def scenario(client: NpmClient, wire: list[str]) -> None:
        numbers = itertools.count()

        def get_token(_context: Event) -> str:
            return token_for("52", seconds=2, channels=[f"news:{name}-{next(numbers)}"])

        await client.connect_over(secured.port, *wire, getToken=get_token)
        await client.context("server subscribed", f"news:{name}-0")
        await client.context("server unsubscribed", f"news:{name}-0")
        connecting = client.contexts("connecting")[1]
        assert (connecting["code"], connecting["reason"]) == (3010, "insufficient state")
        await client.context("server subscribed", f"news:{name}-1")

    await over_every_wire(scenario)


async def test_the_connect_hook_subscribes_and_gives_data(
    secured: Conformance, idle: NpmClient, wire: list[str]
) -> None:
    await idle.connect_over(secured.port, *wire, token=token_for("52", meta={"subscriber": True}))
    assert (await idle.context("connected"))["data"] == {"hello": "52"}
    assert (await idle.context("server subscribed", "news:all"))["data"] == {"edition": 1}
    assert (await idle.context("server join", "news:all"))["info"]["user"] == "52"
    assert await idle.error_code("clientPublish", channel="news:all", data=1) == 103
