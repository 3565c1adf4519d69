"""PyPI `centrifuge-python` 0.7.0, unchanged, against the engine."""

from collections.abc import AsyncIterator

import centrifuge
import pytest

from hotclub.engine.errors import Disconnect, Unsubscribed
from hotclub.engine.target import Target
from tests.support.app import Served, raw
from tests.support.proxy import FaultProxy
from tests.support.pypi import PypiClient


@pytest.fixture
async def proxy(served: Served) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(served.port) as proxy:
        yield proxy


@pytest.fixture
async def client(proxy: FaultProxy) -> AsyncIterator[PypiClient]:
    async with PypiClient.connected(proxy.port, data={"user": "ann"}, max_reconnect_delay=0.3) as client:
        yield client


async def test_it_connects_and_subscribes(served: Served, client: PypiClient) -> None:
    await client.subscribe("log:a", data={"hello": 1})
    (connected,) = client.contexts("connected")
    (subscribed,) = client.contexts("subscribed", "log:a")
    assert connected.client
    assert connected.version
    assert subscribed.recoverable
    assert subscribed.positioned
    assert subscribed.data == {"hello": 1}
    assert served.node.info().num_clients == 1


async def test_it_publishes_and_receives(client: PypiClient) -> None:
    subscription = await client.subscribe("log:a")
    await subscription.publish({"text": "你好"})
    await client.until(lambda: len(client.contexts("publication", "log:a")) == 1)
    publication = client.contexts("publication", "log:a")[0].pub
    assert (publication.data, publication.offset, publication.info.user) == ({"text": "你好"}, 1, "ann")


async def test_it_recovers_over_a_cut_connection(served: Served, client: PypiClient, proxy: FaultProxy) -> None:
    await client.subscribe("log:a")
    await served.node.publish("log:a", raw(1))
    await client.until(lambda: len(client.contexts("publication", "log:a")) == 1)
    assert proxy.cut() == 1
    await client.until(lambda: len(client.contexts("connecting")) == 2)
    for number in (2, 3, 4):
        await served.node.publish("log:a", raw(number))
    await client.until(lambda: len(client.contexts("subscribed", "log:a")) == 2)
    again = client.contexts("subscribed", "log:a")[1]
    assert (again.was_recovering, again.recovered) == (True, True)
    await served.node.publish("log:a", raw(5))
    await client.until(lambda: len(client.contexts("publication", "log:a")) >= 5)
    assert [context.pub.data for context in client.contexts("publication", "log:a")] == [1, 2, 3, 4, 5]


async def test_it_reads_history(served: Served, client: PypiClient) -> None:
    subscription = await client.subscribe("log:a")
    for number in range(5):
        await served.node.publish("log:a", raw(number))
    result = await subscription.history(limit=2, reverse=True)
    assert [publication.data for publication in result.publications] == [4, 3]
    assert (result.offset, bool(result.epoch)) == (5, True)


async def test_it_reads_presence_and_sees_joins(client: PypiClient) -> None:
    subscription = await client.subscribe("here:a")
    await client.until(lambda: len(client.contexts("join", "here:a")) == 1)
    presence = await subscription.presence()
    assert [info.user for info in presence.clients.values()] == ["ann"]
    stats = await subscription.presence_stats()
    assert (stats.num_clients, stats.num_users) == (1, 1)


async def test_it_calls_procedures(client: PypiClient) -> None:
    assert (await client.sdk.rpc("echo", {"x": 1})).data == {"x": 1}
    with pytest.raises(centrifuge.ReplyError) as refused:
        await client.sdk.rpc("unheard-of", {})
    assert refused.value.code == 104


async def test_it_stays_away_when_told_for_good(served: Served, client: PypiClient) -> None:
    served.node.disconnect(Target(user_id="ann"), Disconnect(3503, "force disconnect"))
    await client.until(lambda: bool(client.contexts("disconnected")))
    (told,) = client.contexts("disconnected")
    assert (told.code, told.reason) == (3503, "force disconnect")


async def test_it_comes_back_when_told_to(served: Served, client: PypiClient) -> None:
    served.node.disconnect(Target(user_id="ann"), Disconnect(3011, "force reconnect"))
    await client.until(lambda: len(client.contexts("connected")) == 2)
    assert client.contexts("disconnected") == []


async def test_it_resubscribes_after_insufficient_state(served: Served, client: PypiClient) -> None:
    await client.subscribe("log:a")
    served.node.unsubscribe(Target(user_id="ann"), "log:a", Unsubscribed(2500))
    await client.until(lambda: len(client.contexts("subscribed", "log:a")) == 2)
    assert client.contexts("subscribed", "log:a")[1].recovered


async def test_it_begins_anew_when_its_state_is_invalid(served: Served, client: PypiClient) -> None:
    await client.subscribe("log:a")
    await served.node.publish("log:a", raw(1))
    await client.event("publication", "log:a")
    served.node.unsubscribe(Target(user_id="ann"), "log:a", Unsubscribed(2502))
    again = await client.event("subscribed", "log:a", number=2)
    assert (again.was_recovering, again.recovered) == (True, False)
    await served.node.publish("log:a", raw(2))
    await client.event("publication", "log:a", number=2)
    assert client.received("log:a") == [1, 2]


async def test_it_hears_of_an_ended_subscription(served: Served, client: PypiClient) -> None:
    await client.subscribe("log:a")
    served.node.unsubscribe(Target(user_id="ann"), "log:a", Unsubscribed(2000))
    await client.until(lambda: len(client.contexts("unsubscribed", "log:a")) == 1)
    assert client.contexts("unsubscribed", "log:a")[0].code == 2000


async def test_it_is_given_server_side_subscriptions(served: Served) -> None:
    async with PypiClient.connected(served.port, data={"user": "bob", "channels": ["log:mine"]}) as client:
        await served.node.publish("log:mine", raw("for you"))
        await client.until(lambda: len(client.contexts("publication")) == 1)
        assert client.contexts("publication")[0].pub.data == "for you"
