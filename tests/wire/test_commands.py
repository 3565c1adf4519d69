"""protocol.md §2.4 to §2.7: publish, presence, history, rpc and send."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.support.app import Served, TinyApplication, raw, serve
from tests.support.wire import ErrorReply, WireClient

Connect = Callable[..., Awaitable[WireClient]]


async def refusal(call: Awaitable[Any]) -> int:
    with pytest.raises(ErrorReply) as refused:
        await call
    return refused.value.code


# Publish


async def test_a_publisher_gets_its_own_publication_with_its_info(connect: Connect) -> None:
    client, other = await connect("ann", info={"name": "Ann"}), await connect("bob")
    await client.subscribe("log:a")
    await other.subscribe("log:a")
    assert await client.publish("log:a", {"n": 1}) == {}
    info = {"user": "ann", "client": client.client_id, "conn_info": {"name": "Ann"}}
    for receiver in (client, other):
        (publication,) = await receiver.publications("log:a", 1)
        assert publication["data"] == {"n": 1}
        assert publication["info"] == info
        assert publication["offset"] == 1


async def test_a_channel_without_history_numbers_nothing(connect: Connect) -> None:
    client = await connect()
    await client.subscribe("plain:a")
    await client.publish("plain:a", "x")
    (publication,) = await client.publications("plain:a", 1)
    assert "offset" not in publication


async def test_the_server_can_publish_with_tags(served: Served, connect: Connect) -> None:
    client = await connect()
    await client.subscribe("log:a")
    await served.node.publish("log:a", raw({"n": 1}), tags={"lang": "zh"})
    (publication,) = await client.publications("log:a", 1)
    assert publication["tags"] == {"lang": "zh"}
    assert "info" not in publication


async def test_a_repeated_key_is_published_once(served: Served, connect: Connect) -> None:
    client = await connect()
    await client.subscribe("log:a")
    first = await served.node.publish("log:a", raw(1), idempotency_key="k")
    again = await served.node.publish("log:a", raw(1), idempotency_key="k")
    assert first == again
    await client.settled()
    assert len(client.received("log:a")) == 1


async def test_in_a_channel_that_is_open_nobody_has_to_subscribe_to_publish(connect: Connect) -> None:
    reader, writer = await connect(), await connect("ann")
    await reader.subscribe("open:a")
    await writer.publish("open:a", {"n": 1})
    await reader.settled()
    (publication,) = reader.received("open:a")
    assert publication["info"]["user"] == "ann"
    await writer.call("publish", channel="open-map:a", type=1, key="k", data=1)


async def test_what_may_not_be_published_is_refused(connect: Connect) -> None:
    client = await connect()
    await client.subscribe("plain:a")
    assert await refusal(client.call("publish", channel="plain:a")) == 107
    assert await refusal(client.publish("log:not-subscribed", 1)) == 103
    assert await refusal(client.publish("unknown:a", 1)) == 102


async def test_a_hook_that_raises_is_answered_as_an_internal_error(connect: Connect) -> None:
    client = await connect()
    await client.subscribe("log:a")
    assert await refusal(client.publish("log:a", {"raise": "secret detail"})) == 100
    assert not any(b"secret" in frame.payload for frame in client.frames)
    assert await client.publish("log:a", 1) == {}


async def test_every_json_value_can_be_published(connect: Connect) -> None:
    client = await connect()
    await client.subscribe("log:a")
    values: list[Any] = [None, True, 0, -1.5, "", "\u202e\u0000\u2028", [], {}, {"": [1, {"a": None}]}, "我" * 1_000]
    for value in values:
        await client.publish("log:a", value)
    received = await client.publications("log:a", len(values))
    assert [publication["data"] for publication in received] == values


# Presence


async def test_presence_lists_everybody_by_client(connect: Connect) -> None:
    ann, bob = await connect("ann", info={"name": "Ann"}), await connect("bob")
    await ann.subscribe("here:a")
    await bob.subscribe("here:a")
    await ann.expect(lambda item: item.get("push", {}).get("join", {}).get("info", {}).get("user") == "bob")
    presence = (await ann.call("presence", channel="here:a"))["presence"]
    assert presence == {
        ann.client_id: {"user": "ann", "client": ann.client_id, "conn_info": {"name": "Ann"}},
        bob.client_id: {"user": "bob", "client": bob.client_id},
    }
    assert await ann.call("presence_stats", channel="here:a") == {"num_clients": 2, "num_users": 2}


async def test_anonymous_clients_are_one_user(connect: Connect) -> None:
    first, second = await connect(), await connect()
    await first.subscribe("here:a")
    await second.subscribe("here:a")
    await first.expect(
        lambda item: item.get("push", {}).get("join", {}).get("info", {}).get("client") == second.client_id
    )
    presence = (await first.call("presence", channel="here:a"))["presence"]
    assert {info["user"] for info in presence.values()} == {""}
    assert await first.call("presence_stats", channel="here:a") == {"num_clients": 2, "num_users": 1}


async def test_a_connection_that_breaks_and_comes_back_neither_leaves_nor_joins(
    served: Served, connect: Connect
) -> None:
    observer = await connect("observer")
    await observer.subscribe("here:a")
    ann = await connect("ann")
    await ann.subscribe("here:a")
    joined = {"user": "ann", "client": ann.client_id}
    await observer.expect(lambda item: item.get("push", {}).get("join", {}).get("info") == joined)
    ann.abort()
    await served.application.until(lambda: [client for client, *_ in served.application.ended] == [ann.client_id])
    again = await connect("ann")
    await again.subscribe("here:a")
    await again.close()
    left = [(await observer.push("leave", "here:a"))["info"]["client"]]
    await observer.expect(
        lambda item: item.get("push", {}).get("leave", {}).get("info", {}).get("client") == again.client_id
    )
    assert left == [ann.client_id]
    assert [push["push"]["join"]["info"]["user"] for push in observer.inbox if "join" in push.get("push", {})] == [
        "observer",
        "ann",
    ]


async def test_a_close_frame_is_a_goodbye(connect: Connect) -> None:
    observer, ann = await connect("observer"), await connect("ann")
    for client in (observer, ann):
        await client.subscribe("here:a")
    await ann.push("join", "here:a")
    await ann.close()
    assert (await observer.push("leave", "here:a", timeout=4.0))["info"]["client"] == ann.client_id


async def test_an_emptied_channel_still_answers_whole(served: Served, connect: Connect) -> None:
    client = await connect()
    await client.subscribe("here:a")
    await client.push("join", "here:a")
    await client.call("unsubscribe", channel="here:a")
    await served.application.until(lambda: (client.client_id, "here:a") in served.application.left)
    await client.subscribe("here:b")
    stats = await served.node.presence_stats("here:a")
    assert (stats.num_clients, stats.num_users) == (0, 0)


@pytest.mark.parametrize("method", ["presence", "presence_stats"])
async def test_presence_is_refused_where_there_is_none_or_no_right(connect: Connect, method: str) -> None:
    client = await connect()
    await client.subscribe("plain:a")
    assert await refusal(client.call(method, channel="plain:a")) == 108
    assert await refusal(client.call(method, channel="deny:a")) == 103
    assert await refusal(client.call(method, channel="unknown:a")) == 102


# History


@pytest.fixture
async def reader(served: Served, connect: Connect) -> WireClient:
    client = await connect()
    await client.subscribe("log:a")
    for number in range(1, 6):
        await served.node.publish("log:a", raw(number))
    return client


async def page(client: WireClient, **query: Any) -> list[int]:
    result = await client.call("history", channel="log:a", **query)
    assert set(result) == {"publications", "epoch", "offset"}
    assert result["offset"] == 5
    return [publication["offset"] for publication in result["publications"]]


async def test_history_pages(reader: WireClient) -> None:
    epoch = (await reader.call("history", channel="log:a"))["epoch"]
    assert await page(reader) == []
    assert await page(reader, limit=-1) == [1, 2, 3, 4, 5]
    assert await page(reader, limit=2) == [1, 2]
    assert await page(reader, limit=2, since={"offset": 2, "epoch": epoch}) == [3, 4]
    assert await page(reader, limit=-1, since={"offset": 5, "epoch": epoch}) == []
    assert await page(reader, limit=2, reverse=True) == [5, 4]
    assert await page(reader, limit=-1, reverse=True, since={"offset": 3, "epoch": epoch}) == [2, 1]
    assert await page(reader, limit=-1, since={"offset": 2, "epoch": ""}) == [3, 4, 5]


async def test_history_refuses_what_makes_no_sense(reader: WireClient) -> None:
    wrong = {"offset": 2, "epoch": "other"}
    assert await refusal(reader.call("history", channel="log:a", limit=-1, since=wrong)) == 112
    nothing = {"offset": 0, "epoch": ""}
    assert await refusal(reader.call("history", channel="log:a", limit=1, since=nothing, reverse=True)) == 107


async def test_a_channel_without_a_stream_gets_one(connect: Connect) -> None:
    client = await connect()
    await client.subscribe("kept:new")
    result = await client.call("history", channel="kept:new", limit=10)
    assert result["publications"] == []
    assert result["offset"] == 0
    assert result["epoch"]


async def test_a_trimmed_beginning_is_skipped_without_an_error(served: Served, connect: Connect) -> None:
    client = await connect()
    await client.subscribe("short:a")
    positions = [await served.node.publish("short:a", raw(number)) for number in range(1, 6)]
    since = {"offset": 1, "epoch": positions[0].epoch}
    result = await client.call("history", channel="short:a", limit=-1, since=since)
    assert [publication["offset"] for publication in result["publications"]] == [4, 5]


async def test_history_is_capped(served: Served, connect: Connect) -> None:
    client = await connect()
    await client.subscribe("deep:a")
    for number in range(400):
        await served.node.publish("deep:a", raw(number))
    for limit in (-1, 10**9):
        result = await client.call("history", channel="deep:a", limit=limit)
        assert len(result["publications"]) == 300


async def test_history_is_refused_where_there_is_none_or_no_right(connect: Connect) -> None:
    client = await connect()
    await client.subscribe("plain:a")
    assert await refusal(client.call("history", channel="plain:a", limit=1)) == 108
    assert await refusal(client.call("history", channel="deny:a", limit=1)) == 103
    assert await refusal(client.call("history", channel="unknown:a", limit=1)) == 102


# RPC and send


async def test_a_procedure_answers(connect: Connect) -> None:
    client = await connect("ann")
    assert (await client.call("rpc", method="echo", data={"x": [1]}))["data"] == {"x": [1]}
    assert (await client.call("rpc", method="whoami"))["data"] == {"user": "ann", "client": client.client_id}
    assert await refusal(client.call("rpc", method="unheard-of", data={})) == 104


async def test_without_any_procedure_there_is_no_rpc(write_path: str) -> None:
    async with (
        serve(TinyApplication(procedures=False), write_path=write_path) as served,
        await WireClient.connected(served.port) as client,
    ):
        assert await refusal(client.call("rpc", method="echo", data={})) == 108


async def test_send_is_not_answered(connect: Connect) -> None:
    client = await connect()
    before = len(client.inbox)
    await client.send({"send": {"data": "ok"}})
    await client.settled()
    assert len(client.inbox) == before + 1


async def test_an_application_that_takes_no_messages_ends_the_connection(connect: Connect) -> None:
    client = await connect()
    await client.send({"send": {"data": "unwanted"}})
    closed = await client.ended()
    assert (closed.code, closed.reason) == (3508, "not available")
