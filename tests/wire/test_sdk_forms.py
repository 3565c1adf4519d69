"""npm `centrifuge` 5.8.0, unchanged, over every transport and in both forms of the protocol."""

import pytest

from hotclub.engine.errors import Disconnect
from hotclub.engine.target import Target
from tests.support.app import Served, raw
from tests.support.npm import NpmClient
from tests.support.proxy import FaultProxy


@pytest.mark.smoke
async def test_it_subscribes_publishes_and_receives(client: NpmClient) -> None:
    await client.call("subscribe", channel="log:a")
    subscribed = await client.event("subscribed")
    assert subscribed["context"]["recoverable"] is True
    await client.call("publish", channel="log:a", data={"text": "你好", "n": 1.5})
    await client.event("publication")
    (publication,) = client.publications("log:a")
    assert publication["data"] == {"text": "你好", "n": 1.5}
    assert publication["offset"] == 1
    assert publication["info"]["user"] == "ann"


@pytest.mark.smoke
async def test_it_recovers_over_a_cut_connection(served: Served, client: NpmClient, proxy: FaultProxy) -> None:
    await client.call("subscribe", channel="log:a")
    await client.event("subscribed")
    await served.node.publish("log:a", raw(1))
    await client.event("publication")
    seen = len(client.events)
    assert proxy.cut() >= 1
    await client.event("connecting", start=seen)
    for number in (2, 3, 4):
        await served.node.publish("log:a", raw(number))
    again = await client.event("subscribed", start=seen)
    assert (again["context"]["wasRecovering"], again["context"]["recovered"]) == (True, True)
    await served.node.publish("log:a", raw(5))
    await client.until(lambda: len(client.publications("log:a")) >= 5)
    assert [publication["data"] for publication in client.publications("log:a")] == [1, 2, 3, 4, 5]


async def test_it_reads_history_and_presence_and_calls_procedures(served: Served, client: NpmClient) -> None:
    await client.call("subscribe", channel="log:a")
    await client.event("join")
    for number in range(3):
        await served.node.publish("log:a", raw(number))
    history = await client.call("history", channel="log:a", options={"limit": 2, "reverse": True})
    assert [publication["data"] for publication in history["publications"]] == [2, 1]
    stats = await client.call("presenceStats", channel="log:a")
    assert stats == {"numClients": 1, "numUsers": 1}
    answer = await client.call("rpc", method="echo", data={"deep": [1, "二"]})
    assert answer == {"data": {"deep": [1, "二"]}}


async def test_it_unsubscribes_and_the_server_forgets(served: Served, client: NpmClient) -> None:
    await client.call("subscribe", channel="log:a")
    await client.event("subscribed")
    await client.call("unsubscribe", channel="log:a")
    await served.application.until(lambda: bool(served.application.left))
    assert served.node.hub.num_channels == 0


@pytest.mark.smoke
async def test_a_final_disconnect_reaches_the_client_with_code_and_reason(served: Served, client: NpmClient) -> None:
    served.node.disconnect(Target(user_id="ann"), Disconnect(4500, "banned"))
    disconnected = await client.event("disconnected")
    assert (disconnected["context"]["code"], disconnected["context"]["reason"]) == (4500, "banned")


async def test_a_connection_that_is_merely_closed_looks_lost(served: Served, client: NpmClient) -> None:
    seen = len(client.events)
    served.node.disconnect(Target(user_id="ann"), Disconnect(3000))
    connecting = await client.event("connecting", start=seen)
    assert (connecting["context"]["code"], connecting["context"]["reason"]) == (1, "transport closed")
    await client.event("connected", start=seen)


async def test_a_difference_arrives_as_the_whole(served: Served, client: NpmClient) -> None:
    await client.call("subscribe", channel="delta:a", options={"delta": "fossil"})
    await client.event("subscribed")
    texts = [{"text": "天地玄黄，宇宙洪荒。" * 20 + str(number), "n": number} for number in range(5)]
    for text in texts:
        await served.node.publish("delta:a", raw(text))
    await client.until(lambda: len(client.publications("delta:a")) >= 5)
    assert [publication["data"] for publication in client.publications("delta:a")] == texts


async def test_only_publications_that_the_filter_admits_arrive(served: Served, client: NpmClient) -> None:
    wanted = {"cmp": "eq", "key": "kind", "val": "goal"}
    await client.call("subscribe", channel="tagged:a", options={"tagsFilter": wanted})
    await client.event("subscribed")
    for number, kind in enumerate(["foul", "goal", "foul", "goal"]):
        await served.node.publish("tagged:a", raw(number), tags={"kind": kind})
    await client.until(lambda: len(client.publications("tagged:a")) >= 2)
    assert [publication["data"] for publication in client.publications("tagged:a")] == [1, 3]
