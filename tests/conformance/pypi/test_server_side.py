"""Subscriptions that the server decides: personal channels, token claims and its API (protocol §3.5)."""

import pytest

from tests.conformance.conftest import Conformance, token
from tests.conformance.pypi.conftest import Connect
from tests.support.proxy import FaultProxy, Mode
from tests.support.pypi import PypiClient


def names(client: PypiClient, event: str) -> list[str]:
    return [context.channel for context in client.contexts(event)]


async def test_a_personal_channel_comes_by_itself_and_may_be_published_to(client: PypiClient, user: str) -> None:
    subscribed = await client.event("subscribed")
    assert (subscribed.channel, subscribed.recoverable, subscribed.positioned) == (f"#{user}", True, True)
    await client.sdk.publish(f"#{user}", client.pack({"to": "me"}))
    publication = await client.event("publication")
    assert (publication.channel, client.unpack(publication.pub.data)) == (f"#{user}", {"to": "me"})
    assert publication.pub.info.user == user


async def test_the_token_names_channels(conformance: Conformance, connect: Connect, name: str) -> None:
    client = await connect(token=token("", channels=[f"recovery:{name}", name]))
    await client.event("subscribed", number=2)
    assert set(names(client, "subscribed")) == {f"recovery:{name}", name}
    await conformance.publish(f"recovery:{name}", 1)
    publication = await client.event("publication")
    assert (publication.channel, client.received()) == (f"recovery:{name}", [1])


async def test_the_token_says_what_a_channel_begins_with(connect: Connect, name: str, user: str) -> None:
    client = await connect(token=token(user, subs={name: {"data": {"topic": 1}, "info": {"role": "host"}}}))
    await client.event("join", number=2)
    subscribed = next(context for context in client.contexts("subscribed") if context.channel == name)
    assert client.unpack(subscribed.data) == {"topic": 1}
    (member,) = (await client.sdk.presence(name)).clients.values()
    assert (member.user, client.unpack(member.chan_info)) == (user, {"role": "host"})


async def test_members_come_and_go(connect: Connect, name: str) -> None:
    client = await connect(token=token("", channels=[name]))
    other = await connect(token=token("5"))
    await client.event("join")
    subscription = await other.subscribe(name)
    joined = await client.event("join", number=2)
    assert (joined.channel, joined.info.user, joined.info.client) == (name, "5", other.sdk.client_id)
    await subscription.unsubscribe()
    left = await client.event("leave")
    assert (left.channel, left.info) == (name, joined.info)


async def test_a_live_connection_is_subscribed_and_unsubscribed(
    conformance: Conformance, client: PypiClient, name: str, user: str
) -> None:
    await client.event("subscribed")
    await conformance.publish(name, "before")
    await conformance.api("subscribe", channel=name, user=user, data={"why": "因为"})
    subscribed = await client.event("subscribed", number=2)
    assert (subscribed.channel, subscribed.stream_position.offset) == (name, 1)
    assert client.unpack(subscribed.data) == {"why": "因为"}
    await conformance.publish(name, "after")
    await client.event("publication")
    assert client.received() == ["after"]
    await conformance.api("unsubscribe", channel=name, user=user)
    assert (await client.event("unsubscribed")).channel == name


async def test_what_the_server_gave_outlives_a_cut(
    conformance: Conformance, client: PypiClient, proxy: FaultProxy, name: str, user: str
) -> None:
    await conformance.api("subscribe", channel=name, user=user)
    await client.event("subscribed", number=2)
    proxy.set_mode(Mode.REFUSE)
    assert proxy.cut() == 1
    await client.event("connecting", number=2)
    await conformance.publish(name, "missed")
    proxy.set_mode(Mode.PASS)
    assert (await client.event("publication")).channel == name
    assert client.received() == ["missed"]
    assert client.contexts("unsubscribed") == []


@pytest.mark.parametrize("missed", [0, 1, 2, 3])
async def test_what_was_missed_comes_with_the_connection(
    conformance: Conformance, connect: Connect, proxy: FaultProxy, name: str, missed: int
) -> None:
    channel = f"smallhistory:{name}"
    client = await connect(token=token("", channels=[channel]))
    await client.event("subscribed")
    await conformance.publish(channel, "first")
    await client.event("publication")
    proxy.set_mode(Mode.REFUSE)
    proxy.cut()
    await client.event("connecting", number=2)
    await conformance.publish_all(channel, list(range(missed)))
    proxy.set_mode(Mode.PASS)
    again = await client.event("subscribed", number=2)
    assert (again.was_recovering, again.recovered) == (True, missed <= 2)
    await conformance.publish(channel, "last")
    whole = ["first", *(range(missed) if missed <= 2 else ()), "last"]
    await client.event("publication", number=len(whole))
    assert client.received() == whole


async def test_one_channel_is_not_taken_twice(conformance: Conformance, connect: Connect, name: str) -> None:
    client = await connect(token=token("", channels=[name]))
    await client.event("subscribed")
    await client.subscribe(name, ready=False)
    assert (await client.event("unsubscribed", name)).code == 105
    await conformance.publish(name, 1)
    assert (await client.event("publication")).channel == name
    assert client.received(name) == []


async def test_the_page_of_its_history(conformance: Conformance, connect: Connect, name: str) -> None:
    client = await connect(token=token("", channels=[name]))
    await conformance.publish_all(name, [1, 2, 3])
    page = await client.sdk.history(name, limit=2, reverse=True)
    assert [client.unpack(publication.data) for publication in page.publications] == [3, 2]
