"""PyPI `centrifuge-python` 0.7.0, unchanged, against the conformance project, in both forms."""

import json
from collections.abc import AsyncIterator
from typing import Any

import centrifuge
import pytest

from tests.conformance.conftest import Conformance, token
from tests.support.proxy import FaultProxy
from tests.support.pypi import PypiClient


@pytest.fixture(params=[False, True], ids=["json", "protobuf"])
def binary(request: pytest.FixtureRequest) -> bool:
    chosen: bool = request.param
    return chosen


@pytest.fixture
async def client(proxy: FaultProxy, binary: bool) -> AsyncIterator[PypiClient]:
    options = {"use_protobuf": binary, "token": token("42", info={"name": "Ann"}), "max_reconnect_delay": 0.3}
    async with PypiClient.connected(proxy.port, **options) as client:
        yield client


def sent(binary: bool, value: Any) -> Any:
    """What the SDK is given to publish: in the protobuf form payloads are bytes."""
    return json.dumps(value).encode() if binary else value


def got(data: Any) -> Any:
    return json.loads(data) if isinstance(data, bytes) else data


def received(client: PypiClient, channel: str) -> list[Any]:
    return [got(context.pub.data) for context in client.contexts("publication", channel)]


async def test_everything_of_a_channel_without_a_colon(client: PypiClient, binary: bool, name: str) -> None:
    subscription = await client.subscribe(name)
    (subscribed,) = client.contexts("subscribed", name)
    assert (subscribed.recoverable, subscribed.positioned) == (True, True)
    await client.until(lambda: bool(client.contexts("join", name)))
    assert client.contexts("join", name)[0].info.user == "42"
    for number in range(3):
        await subscription.publish(sent(binary, {"n": number, "text": "你好"}))
    await client.until(lambda: len(received(client, name)) == 3)
    assert received(client, name) == [{"n": number, "text": "你好"} for number in range(3)]
    history = await subscription.history(limit=2, reverse=True)
    assert [got(publication.data)["n"] for publication in history.publications] == [2, 1]
    assert history.offset == 3
    stats = await subscription.presence_stats()
    assert (stats.num_clients, stats.num_users) == (1, 1)
    (member,) = (await subscription.presence()).clients.values()
    assert member.user == "42"
    assert got(member.conn_info) == {"name": "Ann"}
    with pytest.raises(centrifuge.ReplyError) as caught:
        await client.sdk.rpc("anything", sent(binary, {}))
    assert caught.value.code == 108
    await subscription.unsubscribe()
    assert client.contexts("unsubscribed", name)


async def test_what_was_missed_over_a_cut_arrives_once(
    conformance: Conformance, client: PypiClient, proxy: FaultProxy, name: str
) -> None:
    channel = f"recovery:{name}"
    await client.subscribe(channel)
    await conformance.publish(channel, 1)
    await client.until(lambda: len(received(client, channel)) == 1)
    assert proxy.cut() == 1
    await client.until(lambda: len(client.contexts("connecting")) == 2)
    await conformance.publish_all(channel, [2, 3, 4])
    await client.until(lambda: len(client.contexts("subscribed", channel)) == 2)
    again = client.contexts("subscribed", channel)[1]
    assert (again.was_recovering, again.recovered) == (True, True)
    await conformance.publish(channel, 5)
    await client.until(lambda: len(received(client, channel)) >= 5)
    assert received(client, channel) == [1, 2, 3, 4, 5]


async def test_too_much_missed_is_said_and_nothing_of_it_is_replayed(
    conformance: Conformance, client: PypiClient, proxy: FaultProxy, name: str
) -> None:
    channel = f"smallhistory:{name}"
    await client.subscribe(channel)
    assert proxy.cut() == 1
    await client.until(lambda: len(client.contexts("connecting")) == 2)
    await conformance.publish_all(channel, [1, 2, 3])
    await client.until(lambda: len(client.contexts("subscribed", channel)) == 2)
    again = client.contexts("subscribed", channel)[1]
    assert (again.was_recovering, again.recovered) == (True, False)
    await conformance.publish(channel, 4)
    await client.until(lambda: bool(received(client, channel)))
    assert received(client, channel) == [4]


async def test_an_invalid_token_ends_it(conformance: Conformance, binary: bool) -> None:
    client = PypiClient(conformance.port, use_protobuf=binary, token="no.token.atall")
    await client.sdk.connect()
    await client.until(lambda: bool(client.contexts("disconnected")))
    assert client.contexts("disconnected")[0].code == 3500


async def test_the_server_may_unsubscribe_and_disconnect(
    conformance: Conformance, client: PypiClient, name: str
) -> None:
    await client.subscribe(name)
    await conformance.api("unsubscribe", channel=name, user="42")
    await client.until(lambda: bool(client.contexts("unsubscribed", name)))
    assert client.contexts("unsubscribed", name)[0].code == 2000
    await conformance.api("disconnect", user="42")
    await client.until(lambda: bool(client.contexts("disconnected")))
    assert client.contexts("disconnected")[0].code == 3503
