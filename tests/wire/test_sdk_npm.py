"""npm `centrifuge` 5.8.0 in Node.js, unchanged, over a WebSocket: what does not depend on the transport."""

from collections.abc import AsyncIterator

import pytest

from hotclub.engine.errors import Disconnect, Unsubscribed
from hotclub.engine.target import Target
from tests.support.app import Served, raw
from tests.support.npm import NpmClient, SdkError
from tests.support.proxy import FaultProxy


@pytest.fixture
async def client(proxy: FaultProxy) -> AsyncIterator[NpmClient]:
    async with NpmClient.start() as client:
        options = {"data": {"user": "ann"}, "minReconnectDelay": 50, "maxReconnectDelay": 200}
        url = f"ws://127.0.0.1:{proxy.port}/connection/websocket"
        await client.call("connect", url=url, options=options)
        yield client


async def test_it_connects_and_subscribes_in_one_frame(served: Served, client: NpmClient) -> None:
    await client.call("subscribe", channel="log:a", options={"data": {"hello": 1}})
    connected = await client.event("connected")
    subscribed = await client.event("subscribed")
    assert connected["context"]["transport"] == "websocket"
    assert subscribed["context"]["recoverable"] is True
    assert subscribed["context"]["positioned"] is True
    assert subscribed["context"]["data"] == {"hello": 1}
    assert served.node.info().num_clients == 1


async def test_it_reads_presence_and_sees_joins(client: NpmClient) -> None:
    await client.call("subscribe", channel="here:a")
    join = await client.event("join")
    assert join["context"]["info"]["user"] == "ann"
    presence = await client.call("presence", channel="here:a")
    assert [info["user"] for info in presence["clients"].values()] == ["ann"]
    stats = await client.call("presenceStats", channel="here:a")
    assert (stats["numClients"], stats["numUsers"]) == (1, 1)


async def test_it_calls_procedures(client: NpmClient) -> None:
    await client.event("connected")
    assert (await client.call("rpc", method="echo", data={"x": 1}))["data"] == {"x": 1}
    with pytest.raises(SdkError) as refused:
        await client.call("rpc", method="unheard-of", data={})
    assert refused.value.code == 104


async def test_it_stays_away_when_told_for_good(served: Served, client: NpmClient) -> None:
    await client.event("connected")
    served.node.disconnect(Target(user_id="ann"), Disconnect(3503, "force disconnect"))
    told = await client.event("disconnected")
    assert (told["context"]["code"], told["context"]["reason"]) == (3503, "force disconnect")


async def test_it_comes_back_when_told_to(served: Served, client: NpmClient) -> None:
    await client.event("connected")
    seen = len(client.events)
    served.node.disconnect(Target(user_id="ann"), Disconnect(3011, "force reconnect"))
    told = await client.event("connecting", start=seen)
    assert told["context"]["code"] == 3011
    await client.event("connected", start=seen)


async def test_it_hears_of_a_refused_and_of_an_ended_subscription(served: Served, client: NpmClient) -> None:
    await client.call("subscribe", channel="deny:a")
    refused = await client.event(lambda e: e["event"] == "unsubscribed" and e["channel"] == "deny:a")
    assert refused["context"]["code"] == 103
    await client.call("subscribe", channel="log:a")
    await client.event("subscribed")
    served.node.unsubscribe(Target(user_id="ann"), "log:a", Unsubscribed(2000))
    ended = await client.event(lambda e: e["event"] == "unsubscribed" and e["channel"] == "log:a")
    assert ended["context"]["code"] == 2000


async def test_it_resubscribes_after_insufficient_state(served: Served, client: NpmClient) -> None:
    await client.call("subscribe", channel="log:a")
    await client.event("subscribed")
    seen = len(client.events)
    served.node.unsubscribe(Target(user_id="ann"), "log:a", Unsubscribed(2500))
    again = await client.event("subscribed", start=seen)
    assert again["context"]["recovered"] is True


async def test_unsubscribing_and_subscribing_again_keeps_the_position(served: Served, client: NpmClient) -> None:
    await client.call("subscribe", channel="log:a")
    await client.event("subscribed")
    await client.call("unsubscribe", channel="log:a")
    await served.application.until(lambda: len(served.application.left) == 1)
    await served.node.publish("log:a", raw("meanwhile"))
    await client.call("resubscribe", channel="log:a")
    publication = await client.event("publication")
    assert publication["context"]["data"] == "meanwhile"


async def test_it_keeps_server_side_subscriptions(served: Served, proxy: FaultProxy) -> None:
    async with NpmClient.start() as client:
        options = {"data": {"user": "bob", "channels": ["log:mine"]}, "minReconnectDelay": 50}
        url = f"ws://127.0.0.1:{proxy.port}/connection/websocket"
        await client.call("connect", url=url, options=options)
        await client.event("server subscribed")
        seen = len(client.events)
        proxy.cut()
        await client.event("connecting", start=seen)
        await served.node.publish("log:mine", raw("missed"))
        missed = await client.event("server publication", start=seen)
        assert missed["context"]["data"] == "missed"
