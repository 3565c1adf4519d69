"""What a client missed: it gets all of it once, or is told that it cannot (protocol §3)."""

from typing import Any

import pytest
from centrifuge import DeltaType, StreamPosition

from tests.conformance.conftest import Conformance, token
from tests.conformance.pypi.conftest import Connect
from tests.support.proxy import FaultProxy, Mode
from tests.support.pypi import Getter, PypiClient


async def away(client: PypiClient, proxy: FaultProxy, conformance: Conformance, channel: str, data: list[Any]) -> None:
    """Publish while the client is cut off, and wait until it is back in the channel."""
    before = len(client.contexts("subscribed", channel)), len(client.contexts("connecting"))
    proxy.set_mode(Mode.REFUSE)
    assert proxy.cut() == 1
    await client.event("connecting", number=before[1] + 1)
    await conformance.publish_all(channel, data)
    proxy.set_mode(Mode.PASS)
    await client.event("subscribed", channel, number=before[0] + 1)


async def test_what_was_missed_over_a_cut_arrives_once(
    conformance: Conformance, client: PypiClient, proxy: FaultProxy, name: str
) -> None:
    channel = f"recovery:{name}"
    await client.subscribe(channel)
    await conformance.publish(channel, 1)
    await client.event("publication", channel)
    await away(client, proxy, conformance, channel, [2, 3, 4])
    again = client.contexts("subscribed", channel)[1]
    assert (again.was_recovering, again.recovered, again.stream_position.offset) == (True, True, 1)
    await conformance.publish(channel, 5)
    await client.event("publication", channel, number=5)
    assert client.received(channel) == [1, 2, 3, 4, 5]
    assert [context.pub.offset for context in client.contexts("publication", channel)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("missed", [1, 2, 3])
async def test_a_history_of_two_reaches_back_to_two(
    conformance: Conformance, client: PypiClient, proxy: FaultProxy, name: str, missed: int
) -> None:
    channel = f"smallhistory:{name}"
    await client.subscribe(channel)
    await away(client, proxy, conformance, channel, list(range(missed)))
    again = client.contexts("subscribed", channel)[1]
    assert (again.was_recovering, again.recovered) == (True, missed <= 2)
    await conformance.publish(channel, "next")
    whole = [*range(missed), "next"] if missed <= 2 else ["next"]
    await client.event("publication", channel, number=len(whole))
    assert client.received(channel) == whole


async def test_a_pause_keeps_the_place(conformance: Conformance, client: PypiClient, name: str) -> None:
    subscription = await client.subscribe(name)
    await subscription.unsubscribe()
    await conformance.publish_all(name, [1, 2])
    await subscription.subscribe()
    await client.sdk.disconnect()
    await conformance.publish_all(name, [3, 4])
    await client.sdk.connect()
    await client.event("publication", name, number=4)
    assert client.received(name) == [1, 2, 3, 4]


async def test_differences_go_on_over_a_cut(
    conformance: Conformance, client: PypiClient, proxy: FaultProxy, name: str
) -> None:
    channel = f"delta:{name}"
    await client.subscribe(channel, delta=DeltaType.FOSSIL)
    for start in (0, 4, 4, 8):
        numbers = range(start, start + 4) if start else [0]
        await away(client, proxy, conformance, channel, [f"天地玄黄，宇宙洪荒。{n}" * 20 for n in numbers])
    texts = [0, 4, 5, 6, 7, 4, 5, 6, 7, 8, 9, 10, 11]
    await client.event("publication", channel, number=len(texts))
    assert client.received(channel) == [f"天地玄黄，宇宙洪荒。{n}" * 20 for n in texts]
    assert sum(context.pub.delta for context in client.contexts("publication", channel)) == 9


async def test_the_state_is_loaded_once_and_then_kept_up(
    conformance: Conformance, client: PypiClient, proxy: FaultProxy, name: str
) -> None:
    channel = f"recovery:{name}"
    await conformance.publish_all(channel, [1, 2, 3])
    top = await client.sdk.history(channel)
    load = Getter(StreamPosition(1, top.epoch))
    await client.subscribe(channel, get_state=load)
    await client.event("publication", channel, number=2)
    await away(client, proxy, conformance, channel, [4])
    await client.event("publication", channel, number=3)
    assert client.received(channel) == [2, 3, 4]
    assert load.asked == 1


async def test_the_state_is_loaded_again_when_too_much_was_missed(
    conformance: Conformance, client: PypiClient, proxy: FaultProxy, name: str
) -> None:
    channel = f"smallhistory:{name}"
    epoch = (await client.sdk.history(channel)).epoch
    load = Getter(StreamPosition(0, epoch), StreamPosition(2, epoch))
    await client.subscribe(channel, get_state=load)
    await away(client, proxy, conformance, channel, [1, 2, 3])
    await client.event("publication", channel)
    assert (load.asked, client.received(channel)) == (2, [3])
    assert client.contexts("error", channel) == []


async def test_a_state_of_another_log_is_loaded_again(conformance: Conformance, client: PypiClient, name: str) -> None:
    channel = f"recovery:{name}"
    await conformance.publish_all(channel, [1, 2])
    epoch = (await client.sdk.history(channel)).epoch
    load = Getter(RuntimeError("database down"), StreamPosition(2, "another"), StreamPosition(1, epoch))
    await client.subscribe(channel, get_state=load)
    await client.event("publication", channel)
    assert (load.asked, client.received(channel)) == (3, [2])
    assert [context.code for context in client.contexts("error", channel)] == [15]


async def test_from_the_beginning_comes_everything(conformance: Conformance, client: PypiClient, name: str) -> None:
    channel = f"recovery:{name}"
    await conformance.publish_all(channel, list(range(100)))
    await client.subscribe(channel, get_state=Getter(StreamPosition(0, "")))
    await client.event("publication", channel, number=100)
    assert client.received(channel) == list(range(100))


async def test_a_log_that_was_removed_is_recovered_as_lost(
    conformance: Conformance, client: PypiClient, proxy: FaultProxy, name: str
) -> None:
    channel = f"recovery:{name}"
    await client.subscribe(channel)
    await conformance.publish_all(channel, [1, 2])
    await client.event("publication", channel, number=2)
    proxy.set_mode(Mode.REFUSE)
    proxy.cut()
    await conformance.publish(channel, 3)
    await conformance.api("history_remove", channel=channel)
    proxy.set_mode(Mode.PASS)
    again = await client.event("subscribed", channel, number=2)
    assert (again.was_recovering, again.recovered) == (True, False)
    await conformance.publish(channel, 4)
    await client.event("publication", channel, number=3)
    assert client.received(channel) == [1, 2, 4]


async def test_invalidated_state_is_dropped_with_the_tokens(
    conformance: Conformance, connect: Connect, name: str, user: str
) -> None:
    channel = f"recovery:{name}"
    signed, known = Getter(token(user, channel=channel)), Getter(token(user))
    client = await connect(get_token=known)
    await client.subscribe(channel, get_token=signed)
    await conformance.publish(channel, 1)
    await client.event("publication", channel)
    await conformance.api("disconnect", user=user, disconnect={"code": 3014, "reason": "state invalidated"})
    again = await client.event("subscribed", channel, number=2)
    assert (again.was_recovering, again.recovered) == (True, False)
    assert (known.asked, signed.asked) == (2, 2)
    await conformance.publish(channel, 2)
    await client.event("publication", channel, number=2)
    assert client.received(channel) == [1, 2]
