"""npm `centrifuge` 5.8.0, unchanged, against the conformance project: over every transport, in both forms."""

import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.conformance.conftest import Backend, Conformance, token
from tests.support.listener import BIDIRECTIONAL
from tests.support.npm import NpmClient, SdkError
from tests.support.proxy import FaultProxy


@pytest.fixture(params=BIDIRECTIONAL)
def wire(request: pytest.FixtureRequest) -> list[str]:
    parts: list[str] = request.param.split("-")
    return parts


@pytest.fixture
async def client(proxy: FaultProxy, wire: list[str]) -> AsyncIterator[NpmClient]:
    """Signed in as 42 by a token."""
    async with NpmClient.start() as client:
        await client.connect_over(proxy.port, *wire, token=token("42", info={"name": "Ann"}))
        await client.event("connected")
        yield client


async def code_of(client: NpmClient, command: str, **arguments: Any) -> int:
    with pytest.raises(SdkError) as caught:
        await client.call(command, **arguments)
    return caught.value.code


async def subscribe(client: NpmClient, channel: str, **options: Any) -> dict[str, Any]:
    start = len(client.events)
    await client.call("subscribe", channel=channel, options=options)
    event = await client.event(lambda item: item["event"] == "subscribed" and item["channel"] == channel, start=start)
    context: dict[str, Any] = event["context"]
    return context


async def test_the_anonymous_may_connect_and_do_everything(
    conformance: Conformance, wire: list[str], name: str
) -> None:
    async with NpmClient.start() as client:
        await client.connect_over(conformance.port, *wire)
        await client.event("connected")
        await subscribe(client, name)
        await client.call("publish", channel=name, data={"n": 1.5, "text": "你好"})
        await client.event("publication")
        assert client.publications(name)[0]["data"] == {"n": 1.5, "text": "你好"}
        assert await client.call("presenceStats", channel=name) == {"numClients": 1, "numUsers": 1}
        assert await code_of(client, "rpc", method="anything", data={}) == 108


async def test_everything_of_a_channel_without_a_colon(client: NpmClient, name: str) -> None:
    context = await subscribe(client, name)
    assert (context["recoverable"], context["positioned"]) == (True, True)
    joined = await client.event(lambda item: item["event"] == "join" and item["channel"] == name)
    assert (joined["context"]["info"]["user"], joined["context"]["info"]["connInfo"]) == ("42", {"name": "Ann"})
    for number in range(3):
        await client.call("publish", channel=name, data=number)
    history = await client.call("history", channel=name, options={"limit": 2, "reverse": True})
    assert [publication["data"] for publication in history["publications"]] == [2, 1]
    assert history["offset"] == 3
    since = {"offset": 1, "epoch": history["epoch"]}
    later = await client.call("history", channel=name, options={"limit": -1, "since": since})
    assert [publication["offset"] for publication in later["publications"]] == [2, 3]
    (member,) = (await client.call("presence", channel=name))["clients"].values()
    assert member["user"] == "42"
    await client.call("unsubscribe", channel=name)
    await client.event("unsubscribed")


async def test_a_personal_channel_comes_by_itself_and_may_be_published_to(client: NpmClient) -> None:
    await client.event(lambda item: item["event"] == "server subscribed" and item["channel"] == "#42")
    await client.call("clientPublish", channel="#42", data={"to": "me"})
    publication = await client.event(lambda item: item["event"] == "server publication")
    assert publication["context"]["data"] == {"to": "me"}


async def test_tokens_are_verified_although_nobody_needs_one(
    conformance: Conformance, wire: list[str], name: str
) -> None:
    async with NpmClient.start() as client:
        await client.connect_over(conformance.port, *wire, token="no.token.atall")
        disconnected = await client.event("disconnected")
        assert (disconnected["context"]["code"], disconnected["context"]["reason"]) == (3500, "invalid token")


async def test_a_subscription_token_has_to_be_for_this(client: NpmClient, name: str) -> None:
    await subscribe(client, f"recovery:{name}", token=token("42", channel=f"recovery:{name}"))
    await client.call("subscribe", channel=f"delta:{name}", options={"token": token("43", channel=f"delta:{name}")})
    disconnected = await client.event("disconnected")
    assert disconnected["context"]["code"] == 3500


async def test_what_was_missed_over_a_cut_arrives_once(
    conformance: Conformance, client: NpmClient, proxy: FaultProxy, name: str
) -> None:
    channel = f"recovery:{name}"
    await subscribe(client, channel)
    await conformance.publish(channel, 1)
    await client.event("publication")
    seen = len(client.events)
    assert proxy.cut() >= 1
    await client.event("connecting", start=seen)
    await conformance.publish_all(channel, [2, 3, 4])
    again = await client.event(lambda item: item["event"] == "subscribed" and item["channel"] == channel, start=seen)
    assert (again["context"]["wasRecovering"], again["context"]["recovered"]) == (True, True)
    await conformance.publish(channel, 5)
    await client.until(lambda: len(client.publications(channel)) >= 5)
    assert [publication["data"] for publication in client.publications(channel)] == [1, 2, 3, 4, 5]


async def test_too_much_missed_is_said_and_nothing_of_it_is_replayed(
    conformance: Conformance, client: NpmClient, proxy: FaultProxy, name: str
) -> None:
    channel = f"smallhistory:{name}"
    await subscribe(client, channel)
    seen = len(client.events)
    assert proxy.cut() >= 1
    await client.event("connecting", start=seen)
    await conformance.publish_all(channel, [1, 2, 3])
    again = await client.event(lambda item: item["event"] == "subscribed" and item["channel"] == channel, start=seen)
    assert (again["context"]["wasRecovering"], again["context"]["recovered"]) == (True, False)
    await conformance.publish(channel, 4)
    await client.until(lambda: bool(client.publications(channel)))
    assert [publication["data"] for publication in client.publications(channel)] == [4]


async def test_the_server_may_unsubscribe_and_disconnect(
    conformance: Conformance, client: NpmClient, name: str
) -> None:
    await subscribe(client, name)
    await conformance.api("unsubscribe", channel=name, user="42")
    unsubscribed = await client.event("unsubscribed")
    assert unsubscribed["context"]["code"] == 2000
    await conformance.api("disconnect", user="42")
    disconnected = await client.event("disconnected")
    assert disconnected["context"]["code"] == 3503


async def test_maps(client: NpmClient, name: str) -> None:
    channel = f"positioned:{name}"
    await client.call("subscribeKeys", channel=channel, kind="newMapSubscription")
    await client.event("sync")
    await client.call("publishKey", channel=channel, key="k", data={"x": 1})
    await client.call("removeKey", channel=channel, key="k")

    def updates() -> list[Any]:
        return [item["context"] for item in client.events if item["event"] == "update"]

    await client.until(lambda: len(updates()) == 2)
    assert [(item["key"], item.get("removed", False)) for item in updates()] == [("k", False), ("k", True)]


async def test_shared_polls(client: NpmClient, backend: Backend, name: str) -> None:
    channel, now = f"poll:{name}", int(time.time())
    backend.values[name] = {"data": {"price": 1}, "version": 1}
    keys = hashlib.sha256(name.encode()).hexdigest()
    signed = f"{now}\0{now + 60}\x0042\0{channel}\0{keys}".encode()
    signature = f"{now}:{now + 60}:{hmac.digest(b'test-poll-secret', signed, 'sha256').hex()}"
    await client.call("subscribePoll", channel=channel, signature=signature)
    await client.event("subscribed")
    await client.call("track", channel=channel, keys=[name])
    await client.event(lambda item: item["event"] == "update" and item["context"]["data"] == {"price": 1})
    backend.values[name] = {"data": {"price": 2}, "version": 2}
    await client.event(lambda item: item["event"] == "update" and item["context"]["data"] == {"price": 2})
