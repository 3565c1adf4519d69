"""npm `centrifuge` 5.8.0, unchanged, against the conformance project: over every transport, in both forms."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.conformance.conftest import Conformance, token
from tests.support.npm import NpmClient

pytestmark = pytest.mark.smoke


@pytest.fixture
async def other(conformance: Conformance) -> AsyncIterator[NpmClient]:
    """Another client, signed in as 43."""
    async with NpmClient.start() as client:
        await client.connect_over(conformance.port, "websocket", "json", token=token("43"))
        yield client


async def test_the_anonymous_may_connect_and_do_everything(
    conformance: Conformance, idle: NpmClient, wire: list[str], name: str
) -> None:
    await idle.connect_over(conformance.port, *wire)
    assert (await idle.context("connected"))["transport"] == wire[0]
    await idle.subscribe(name)
    await idle.call("publish", channel=name, data={"n": 1.5, "text": "你好"})
    assert (await idle.context("publication", name))["data"] == {"n": 1.5, "text": "你好"}
    assert await idle.call("presenceStats", channel=name) == {"numClients": 1, "numUsers": 1}
    assert await idle.error_code("rpc", method="anything", data={}) == 108


async def test_everything_of_a_channel_without_a_colon(client: NpmClient, name: str) -> None:
    context = await client.subscribe(name)
    assert (context["recoverable"], context["positioned"]) == (True, True)
    joined = (await client.context("join", name))["info"]
    assert (joined["user"], joined["connInfo"]) == ("42", {"name": "Ann"})
    await client.call("publish", channel=name, data=1)
    publication = await client.context("publication", name)
    assert (publication["data"], publication["offset"], publication["info"]) == (1, 1, joined)
    (member,) = (await client.call("presence", channel=name))["clients"].values()
    assert {key: member[key] for key in joined} == joined
    await client.call("unsubscribe", channel=name)
    unsubscribed = await client.context("unsubscribed", name)
    assert (unsubscribed["code"], unsubscribed["reason"]) == (0, "unsubscribe called")


async def test_a_log_is_read_page_by_page_both_ways(conformance: Conformance, client: NpmClient, name: str) -> None:
    channel = f"recovery:{name}"
    await conformance.publish_all(channel, list(range(1, 8)))

    async def page(**options: Any) -> list[int]:
        found = await client.call("clientHistory", channel=channel, options=options)
        assert found["offset"] == 7
        return [publication["offset"] for publication in found["publications"]]

    epoch = (await client.call("clientHistory", channel=channel))["epoch"]
    assert await page() == []
    assert await page(limit=-1) == [1, 2, 3, 4, 5, 6, 7]
    assert await page(limit=3) == [1, 2, 3]
    assert await page(limit=3, since={"offset": 3, "epoch": epoch}) == [4, 5, 6]
    assert await page(limit=3, since={"offset": 6, "epoch": epoch}) == [7]
    assert await page(limit=3, since={"offset": 7, "epoch": epoch}) == []
    assert await page(limit=3, reverse=True) == [7, 6, 5]
    assert await page(limit=3, reverse=True, since={"offset": 5, "epoch": epoch}) == [4, 3, 2]
    assert await page(limit=-1, reverse=True, since={"offset": 2, "epoch": epoch}) == [1]
    other = {"limit": 1, "since": {"offset": 1, "epoch": "other"}}
    assert await client.error_code("clientHistory", channel=channel, options=other) == 112
    bottom = {"limit": 1, "reverse": True, "since": {"offset": 0, "epoch": epoch}}
    assert await client.error_code("clientHistory", channel=channel, options=bottom) == 107


async def test_a_name_may_have_letters_of_any_alphabet(
    conformance: Conformance, other: NpmClient, client: NpmClient, name: str
) -> None:
    channel = f"周末爬山-é-{name}"
    await client.subscribe(channel, token=token("42", channel=channel))
    await other.subscribe(channel)
    await conformance.publish(channel, 1)
    await client.call("publish", channel=channel, data="好")
    for reader in (client, other):
        await reader.until(lambda reader=reader: reader.data(channel) == [1, "好"])  # type: ignore[misc]
    kept = await client.call("clientHistory", channel=channel, options={"limit": -1})
    assert [publication["offset"] for publication in kept["publications"]] == [1, 2]
    assert len((await client.call("presence", channel=channel))["clients"]) == 2
    assert len((await conformance.api("presence", channel=channel))["presence"]) == 2
    assert channel in (await conformance.api("channels", pattern="*周末*"))["channels"]
    await conformance.api("unsubscribe", channel=channel, user="43")
    assert (await other.context("unsubscribed", channel))["code"] == 2000


async def test_a_name_that_is_none_ends_its_subscription_alone(client: NpmClient, name: str) -> None:
    await client.subscribe(name)
    for wrong in ("recovery:a b", "recovery:e\N{COMBINING ACUTE ACCENT}", "recovery:" + "山" * 90, ""):
        await client.call("subscribe", channel=wrong)
        assert (await client.context("unsubscribed", wrong))["code"] in (102, 107)
    await client.call("publish", channel=name, data="still here")
    assert (await client.context("publication", name))["data"] == "still here"


@pytest.mark.parametrize(("kind", "size"), [("", 100), ("recovery:", 100), ("delta:", 100), ("smallhistory:", 2)])
async def test_as_much_is_kept_as_the_channel_says(
    conformance: Conformance, idle: NpmClient, name: str, kind: str, size: int
) -> None:
    channel = f"{kind}{name}"
    commands = [{"publish": {"channel": channel, "data": number}} for number in range(1, size + 2)]
    await conformance.api("batch", commands=commands)
    await idle.connect_over(conformance.port, "websocket", "json")
    found = await idle.call("clientHistory", channel=channel, options={"limit": -1})
    assert [publication["data"] for publication in found["publications"]] == list(range(2, size + 2))


async def test_members_see_each_other_come_and_go(client: NpmClient, other: NpmClient, name: str) -> None:
    await client.subscribe(name)
    await client.context("join", name)
    await other.subscribe(name)
    await client.until(lambda: len(client.contexts("join", name)) == 2)
    presence = await client.call("presence", channel=name)
    assert sorted(member["user"] for member in presence["clients"].values()) == ["42", "43"]
    assert await client.call("clientPresenceStats", channel=name) == {"numClients": 2, "numUsers": 2}
    await other.call("disconnect")
    left = await client.context("leave", name)
    assert left["info"] == client.contexts("join", name)[1]["info"]
    (member,) = (await client.call("clientPresence", channel=name))["clients"].values()
    assert member["user"] == "42"


async def test_what_a_channel_does_not_offer_is_refused(client: NpmClient, name: str) -> None:
    channel = f"recovery:{name}"
    context = await client.subscribe(channel, joinLeave=True)
    assert context["recoverable"]
    assert await client.error_code("presence", channel=channel) == 108
    assert await client.error_code("presenceStats", channel=channel) == 108
    assert await client.error_code("mapPublish", channel=channel, key="k", data=1) == 108
    assert await client.error_code("clientHistory", channel=f"streamless:{name}") == 108
    assert await client.error_code("clientPresence", channel=f"nowhere:{name}") == 102
    await client.call("subscribe", channel=f"nowhere:{name}")
    assert (await client.context("unsubscribed", f"nowhere:{name}"))["code"] == 102
    await client.call("subscribe", channel=f"streamless:{name}")
    assert (await client.context("unsubscribed", f"streamless:{name}"))["code"] == 103
    await client.subscribe(f"{name}#41")


async def test_several_commands_in_one_frame(client: NpmClient, name: str) -> None:
    await client.subscribe(name)
    calls = [{"do": "publish", "channel": name, "data": number} for number in range(20)]
    history = {"do": "history", "channel": name, "options": {"limit": -1}}
    answers = await client.call("batch", calls=[*calls, history])
    assert [publication["data"] for publication in answers[-1]["publications"]] == list(range(20))
    await client.until(lambda: len(client.publications(name)) == 20)
    assert client.data(name) == list(range(20))


async def test_a_connection_has_as_many_channels_as_it_may(client: NpmClient, name: str) -> None:
    """The personal channel is one of the 128."""
    channels = [f"recovery:{name}-{number}" for number in range(128)]
    for channel in channels[:-1]:
        # One after the other, as each command may be a request of its own, and requests overtake one another.
        await client.subscribe(channel)
    await client.call("subscribe", channel=channels[-1])
    assert (await client.context("unsubscribed", channels[-1]))["code"] == 106
    await client.call("unsubscribe", channel=channels[0])

    def answers() -> int:
        return sum(len(client.contexts(name, channels[-1])) for name in ("subscribed", "unsubscribed"))

    for before in range(1, 20):
        # The request of this command may overtake the one of the unsubscribe.
        await client.call("resubscribe", channel=channels[-1])
        await client.until(lambda before=before: answers() > before)  # type: ignore[misc]
        if client.contexts("subscribed", channels[-1]):
            break
    assert len(client.contexts("subscribed", channels[-1])) == 1


async def test_there_and_away_again_many_times(client: NpmClient, name: str) -> None:
    await client.subscribe(name)
    for _ in range(10):
        await client.call("unsubscribe", channel=name)
        await client.call("resubscribe", channel=name)
    await client.call("publish", channel=name, data="here")
    await client.context("publication", name)
    assert client.data(name) == ["here"]


async def test_nobody_takes_messages_without_an_answer(client: NpmClient) -> None:
    await client.call("send", data={"to": "whom"})
    disconnected = await client.context("disconnected")
    assert (disconnected["code"], disconnected["reason"]) == (3508, "not available")


async def test_a_personal_channel_comes_by_itself_and_may_be_published_to(client: NpmClient) -> None:
    await client.context("server subscribed", "#42")
    await client.call("clientPublish", channel="#42", data={"to": "me"})
    assert (await client.context("server publication", "#42"))["data"] == {"to": "me"}


async def test_the_server_may_unsubscribe_and_disconnect(
    conformance: Conformance, client: NpmClient, name: str
) -> None:
    await client.subscribe(name)
    await conformance.api("unsubscribe", channel=name, user="42")
    unsubscribed = await client.context("unsubscribed", name)
    assert (unsubscribed["code"], unsubscribed["reason"]) == (2000, "server unsubscribe")
    seen = len(client.events)
    await conformance.api("disconnect", user="42", disconnect={"code": 4000, "reason": "come back"})
    assert (await client.context("connecting", start=seen))["code"] == 4000
    await client.context("connected", start=seen)
    await conformance.api("disconnect", user="42")
    disconnected = await client.context("disconnected")
    assert (disconnected["code"], disconnected["reason"]) == (3503, "force disconnect")


async def test_a_message_too_large_ends_it(conformance: Conformance, idle: NpmClient, name: str) -> None:
    await idle.connect_over(conformance.port, "websocket", "json")
    await idle.subscribe(name)
    assert await idle.error_code("publish", channel=name, data="x" * 70_000) > 0
    assert (await idle.context("disconnected"))["code"] == 3
