"""npm `centrifuge` 5.8.0: what was missed, by position, by state and by difference, over every transport and form."""

from typing import Any

import pytest

from tests.conformance.conftest import Conformance, away, token
from tests.support.npm import Event, NpmClient
from tests.support.proxy import FaultProxy


async def position(conformance: Conformance, channel: str) -> dict[str, Any]:
    found = await conformance.api("history", channel=channel, limit=0)
    return {"offset": found["offset"], "epoch": found["epoch"]}


@pytest.mark.smoke
async def test_what_was_missed_over_a_cut_arrives_once(
    conformance: Conformance, client: NpmClient, proxy: FaultProxy, name: str
) -> None:
    channel = f"recovery:{name}"
    await client.subscribe(channel)
    await conformance.publish(channel, 1)
    await client.context("publication", channel)
    async with away(client, proxy) as seen:
        await conformance.publish_all(channel, [2, 3, 4])
    again = await client.context("subscribed", channel, start=seen)
    assert (again["wasRecovering"], again["recovered"], again["hasRecoveredPublications"]) == (True, True, True)
    await conformance.publish(channel, 5)
    await client.until(lambda: len(client.data(channel)) >= 5)
    assert client.data(channel) == [1, 2, 3, 4, 5]


async def test_who_unsubscribed_and_comes_back_gets_what_was_missed(
    conformance: Conformance, client: NpmClient, name: str
) -> None:
    channel = f"recovery:{name}"
    await client.subscribe(channel)
    await client.call("unsubscribe", channel=channel)
    await conformance.publish_all(channel, [1, 2])
    seen = len(client.events)
    await client.call("resubscribe", channel=channel)
    assert (await client.context("subscribed", channel, start=seen))["recovered"]
    await client.until(lambda: client.data(channel) == [1, 2])


@pytest.mark.smoke
async def test_too_much_missed_is_said_and_nothing_of_it_is_replayed(
    conformance: Conformance, client: NpmClient, proxy: FaultProxy, name: str
) -> None:
    channel = f"smallhistory:{name}"
    await client.subscribe(channel)
    async with away(client, proxy) as seen:
        await conformance.publish_all(channel, [1, 2, 3])
    again = await client.context("subscribed", channel, start=seen)
    assert (again["wasRecovering"], again["recovered"]) == (True, False)
    await conformance.publish(channel, 4)
    await client.until(lambda: bool(client.data(channel)))
    assert client.data(channel) == [4]


@pytest.mark.parametrize("kind", ["", "recovery:", "delta:", "smallhistory:"])
async def test_where_to_begin_may_be_said(conformance: Conformance, client: NpmClient, name: str, kind: str) -> None:
    channel = f"{kind}{name}"
    await conformance.publish(channel, 1)
    begin = await position(conformance, channel)
    await conformance.publish_all(channel, [2, 3])
    context = await client.subscribe(channel, since=begin)
    assert (context["wasRecovering"], context["recovered"], context["streamPosition"]) == (True, True, begin)
    await client.until(lambda: client.data(channel) == [2, 3])


async def test_a_whole_log_may_be_asked_for(conformance: Conformance, client: NpmClient, name: str) -> None:
    channel = f"recovery:{name}"
    await conformance.publish_all(channel, [1, 2, 3])
    assert (await client.subscribe(channel, since={"offset": 0, "epoch": ""}))["recovered"]
    await client.until(lambda: client.data(channel) == [1, 2, 3])


async def test_an_epoch_of_another_log_recovers_nothing(conformance: Conformance, client: NpmClient, name: str) -> None:
    channel = f"recovery:{name}"
    await conformance.publish_all(channel, [1, 2])
    context = await client.subscribe(channel, since={"offset": 1, "epoch": "other"})
    assert (context["wasRecovering"], context["recovered"]) == (True, False)
    assert context["streamPosition"] == await position(conformance, channel)


class State:
    """What an application loads, and from which position: the channel's top at the time."""

    def __init__(self, conformance: Conformance, channel: str) -> None:
        self.asked = 0
        self._conformance, self._channel = conformance, channel

    async def load(self, _context: Event) -> dict[str, Any]:
        self.asked += 1
        return await position(self._conformance, self._channel)


async def test_the_state_is_loaded_first_and_the_rest_recovered(
    conformance: Conformance, client: NpmClient, proxy: FaultProxy, name: str
) -> None:
    channel = f"recovery:{name}"
    await conformance.publish_all(channel, [1, 2])
    state = State(conformance, channel)

    async def load(context: Event) -> dict[str, Any]:
        found = await state.load(context)
        await conformance.publish(channel, 3)
        return found

    assert (await client.subscribe(channel, getState=load))["recovered"]
    await client.until(lambda: client.data(channel) == [3])
    async with away(client, proxy) as seen:
        await conformance.publish(channel, 4)
    assert (await client.context("subscribed", channel, start=seen))["recovered"]
    await client.until(lambda: client.data(channel) == [3, 4])
    assert state.asked == 1


async def test_the_state_is_loaded_anew_when_too_much_was_missed(
    conformance: Conformance, client: NpmClient, proxy: FaultProxy, name: str
) -> None:
    """The server answers with 112, and nothing is subscribed."""
    channel = f"smallhistory:{name}"
    state = State(conformance, channel)
    options: dict[str, Any] = {"minResubscribeDelay": 10, "maxResubscribeDelay": 20}
    await client.subscribe(channel, getState=state.load, **options)
    async with away(client, proxy) as seen:
        await conformance.publish_all(channel, [1, 2, 3])
    again = await client.context("subscribed", channel, start=seen)
    assert (again["recovered"], state.asked) == (True, 2)
    assert again["streamPosition"]["offset"] == 3
    await conformance.publish(channel, 4)
    await client.until(lambda: client.data(channel) == [4])


async def test_a_state_that_cannot_be_loaded_is_tried_again(
    conformance: Conformance, client: NpmClient, name: str
) -> None:
    channel = f"recovery:{name}"
    state = State(conformance, channel)

    async def load(context: Event) -> dict[str, Any]:
        found = await state.load(context)
        if state.asked < 3:
            raise RuntimeError("not now")
        return found

    await client.subscribe(channel, getState=load, minResubscribeDelay=10, maxResubscribeDelay=20)
    errors = client.contexts("subscription error", channel)
    assert [error["error"]["code"] for error in errors] == [13, 13]


async def test_a_log_that_was_removed_begins_anew(conformance: Conformance, client: NpmClient, name: str) -> None:
    channel = f"recovery:{name}"
    await client.subscribe(channel)
    await conformance.publish(channel, 1)
    await client.context("publication", channel)
    await conformance.api("history_remove", channel=channel)
    await conformance.publish(channel, 2)
    await client.until(lambda: 2 in client.data(channel) or bool(client.contexts("subscribing", channel)[1:]))
    await conformance.publish(channel, 3)
    await client.until(lambda: 3 in client.data(channel))
    found = await client.call("history", channel=channel, options={"limit": -1})
    assert [publication["data"] for publication in found["publications"]] == [2, 3]


async def test_a_state_that_the_server_calls_invalid_is_not_recovered(
    conformance: Conformance, idle: NpmClient, wire: list[str], name: str
) -> None:
    tokens: list[str] = []

    def get_token(_context: Event) -> str:
        tokens.append(token("77", info=len(tokens)))
        return tokens[-1]

    channel = f"recovery:{name}"
    await idle.connect_over(conformance.port, *wire, getToken=get_token)
    await idle.subscribe(channel)
    await conformance.publish(channel, 1)
    await idle.context("publication", channel)
    seen = len(idle.events)
    await conformance.api("disconnect", user="77", disconnect={"code": 3014, "reason": "state invalidated"})
    again = await idle.context("subscribed", channel, start=seen)
    assert (again["wasRecovering"], again["recovered"], len(tokens)) == (True, False, 2)
    await conformance.publish(channel, 2)
    await idle.until(lambda: idle.data(channel) == [1, 2])


TEXT = "天地玄黄，宇宙洪荒。日月盈昃，辰宿列张。" * 10


@pytest.mark.parametrize("kind", ["delta:", ""])
async def test_differences_are_sent_where_they_are_asked_for(
    conformance: Conformance, client: NpmClient, name: str, kind: str
) -> None:
    channel = f"{kind}{name}"
    documents = [{"text": TEXT, "edit": number} for number in range(5)]
    await client.subscribe(channel, delta="fossil")
    await conformance.publish_all(channel, documents)
    await client.until(lambda: len(client.data(channel)) == 5)
    assert client.data(channel) == documents
    stats = await client.call("deltaStats", channel=channel)
    assert (stats["numFullPayloads"], stats["numDeltaPayloads"]) == (1, 4)
    assert stats["bytesReceived"] * 4 < stats["bytesDecoded"]


async def test_no_differences_are_sent_where_there_are_none(
    conformance: Conformance, client: NpmClient, name: str
) -> None:
    channel = f"recovery:{name}"
    await client.subscribe(channel, delta="fossil")
    await conformance.publish_all(channel, [{"text": TEXT, "edit": number} for number in range(3)])
    await client.until(lambda: len(client.data(channel)) == 3)
    assert (await client.call("deltaStats", channel=channel))["numDeltaPayloads"] == 0


@pytest.mark.parametrize("missed", [0, 1, 3])
async def test_differences_go_on_after_a_cut(
    conformance: Conformance, client: NpmClient, proxy: FaultProxy, name: str, missed: int
) -> None:
    """The first of what was missed is whole, and so is the next one when nothing was missed."""
    channel = f"delta:{name}"
    documents = [{"text": TEXT, "edit": number} for number in range(missed + 4)]
    await client.subscribe(channel, delta="fossil")
    await conformance.publish_all(channel, documents[:2])
    await client.until(lambda: len(client.data(channel)) == 2)
    before = await client.call("deltaStats", channel=channel)
    async with away(client, proxy) as seen:
        await conformance.publish_all(channel, documents[2 : 2 + missed])
    assert (await client.context("subscribed", channel, start=seen))["recovered"]
    await conformance.publish_all(channel, documents[2 + missed :])
    await client.until(lambda: len(client.data(channel)) == len(documents))
    assert client.data(channel) == documents
    after = await client.call("deltaStats", channel=channel)
    assert after["numFullPayloads"] - before["numFullPayloads"] == 1
