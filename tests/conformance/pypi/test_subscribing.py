"""Coming into a channel, being kept out of it, and leaving it (protocol §2.2, §2.3)."""

from typing import Any

import pytest
from centrifuge import Filter, SubscriptionState

from tests.conformance.conftest import Conformance
from tests.conformance.pypi.conftest import Connect
from tests.support.proxy import FaultProxy
from tests.support.pypi import PypiClient


async def test_the_reply_tells_the_position(conformance: Conformance, client: PypiClient, name: str) -> None:
    await conformance.publish_all(name, [1, 2])
    subscription = await client.subscribe(name, positioned=True, recoverable=True, join_leave=True)
    (subscribed,) = client.contexts("subscribed", name)
    assert (subscribed.recoverable, subscribed.positioned) == (True, True)
    assert (subscribed.was_recovering, subscribed.recovered) == (False, False)
    page = await subscription.history()
    assert (subscribed.stream_position.offset, subscribed.stream_position.epoch) == (2, page.epoch)


async def test_leaving_and_coming_back(conformance: Conformance, client: PypiClient, name: str) -> None:
    subscription = await client.subscribe(f"delta:{name}", data=client.pack({"custom": "data"}))
    for _ in range(20):
        await subscription.unsubscribe()
        await subscription.subscribe()
    await subscription.ready()
    await conformance.publish(f"delta:{name}", "still here")
    await client.event("publication", f"delta:{name}")
    assert client.received(f"delta:{name}") == ["still here"]
    assert len(client.contexts("connecting")) == 1
    assert [context.code for context in client.contexts("unsubscribed", f"delta:{name}")] == [0] * 20


async def test_after_leaving_nothing_comes(conformance: Conformance, client: PypiClient, name: str) -> None:
    subscription = await client.subscribe(name)
    await subscription.unsubscribe()
    assert client.sdk.get_subscription(name) is subscription
    client.sdk.remove_subscription(subscription)
    assert name not in client.sdk.subscriptions()
    # Its reply stands behind whatever was sent before.
    assert (await client.sdk.presence_stats(name)).num_clients == 0
    await conformance.publish(name, 1)
    assert (await client.sdk.history(name)).offset == 1
    assert client.received(name) == []


@pytest.mark.parametrize(
    ("channel", "options", "code"),
    [
        ("unheard-of:{}", {}, 102),
        ("#somebody-else", {}, 103),
        ("#{user}", {}, 105),
        ("x" * 256, {}, 107),
        ("recovery:{}", {"tags_filter": Filter.eq("a", "b")}, 107),
        ("positioned:{}", {}, 103),
        ("poll:{}", {}, 107),
        ("prescli:{}", {}, 103),
    ],
    ids=["unknown", "forbidden", "by the server already", "too long", "no filters", "map", "shared poll", "presence"],
)
async def test_a_refusal_is_final_for_that_subscription_alone(
    client: PypiClient, name: str, user: str, channel: str, options: dict[str, Any], code: int
) -> None:
    channel = channel.format(name, user=user)
    subscription = await client.subscribe(channel, ready=False, **options)
    assert (await client.event("unsubscribed", channel)).code == code
    assert subscription.state is SubscriptionState.UNSUBSCRIBED
    await client.subscribe(name)
    assert len(client.contexts("connecting")) == 1


async def test_a_connection_has_at_most_128_channels(connect: Connect, proxy: FaultProxy, name: str) -> None:
    client = await connect()
    for number in range(128):
        await client.subscribe(f"recovery:{name}-{number}", ready=False)
    for subscription in client.sdk.subscriptions().values():
        await subscription.ready()
    await client.subscribe(f"recovery:{name}-last", ready=False)
    assert (await client.event("unsubscribed", f"recovery:{name}-last")).code == 106
    assert proxy.cut() == 1
    for number in range(128):
        again = await client.event("subscribed", f"recovery:{name}-{number}", number=2)
        assert again.recovered


async def test_the_server_may_end_a_subscription(
    conformance: Conformance, client: PypiClient, name: str, user: str
) -> None:
    await client.subscribe(name)
    await conformance.api("unsubscribe", channel=name, user=user)
    told = await client.event("unsubscribed", name)
    assert (told.code, told.reason) == (2000, "server unsubscribe")
