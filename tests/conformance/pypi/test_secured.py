"""What the conformance project has no room for, against the secured one (protocol §2.7, §2.8, §2.11, §2.12, §5)."""

import logging
from typing import Any

import centrifuge
import pytest
from centrifuge import Filter, FilterNode, StreamPosition, UnauthorizedError

from tests.conformance.conftest import Conformance, token
from tests.conformance.pypi.conftest import Connect
from tests.conformance.pypi.test_tokens import OVER, lasting
from tests.support.proxy import FaultProxy, Mode
from tests.support.pypi import Getter, PypiClient


async def test_the_connect_hook_greets_and_subscribes(enter: Connect, user: str) -> None:
    client = await enter(token=token(user, meta={"subscriber": True}))
    (connected,) = client.contexts("connected")
    assert client.unpack(connected.data) == {"hello": user}
    await client.event("subscribed", number=2)
    greetings = {context.channel: client.unpack(context.data) for context in client.contexts("subscribed")}
    assert greetings == {f"#{user}": None, "news:all": {"edition": 1}}


async def test_procedures(enter: Connect, user: str) -> None:
    client = await enter(token=token(user))
    answer = await client.sdk.rpc("echo", client.pack({"text": "你好"}))
    assert client.unpack(answer.data) == {"user": user, "text": "你好"}


@pytest.mark.parametrize(
    ("method", "data", "code", "message"),
    [
        ("unheard-of", {}, 104, "method not found"),
        ("echo", {"word": 1}, 107, "unknown argument 'word'"),
        ("refuse", {}, 1234, "not today"),
    ],
)
async def test_procedures_that_fail(guest: PypiClient, method: str, data: Any, code: int, message: str) -> None:
    with pytest.raises(centrifuge.ReplyError) as caught:
        await guest.sdk.rpc(method, guest.pack(data))
    assert (caught.value.code, caught.value.message, caught.value.temporary) == (code, message, False)


async def test_a_channel_says_what_it_is_about(guest: PypiClient, name: str) -> None:
    await guest.subscribe(f"filtered:{name}")
    (subscribed,) = guest.contexts("subscribed", f"filtered:{name}")
    assert guest.unpack(subscribed.data) == {"topic": name}


async def test_a_channel_without_history(secured: Conformance, guest: PypiClient, name: str) -> None:
    channel = f"forgetful:{name}"
    subscription = await guest.subscribe(channel)
    (subscribed,) = guest.contexts("subscribed", channel)
    assert (subscribed.recoverable, subscribed.positioned, subscribed.stream_position) == (False, False, None)
    await secured.publish(channel, 1)
    assert (await guest.event("publication", channel)).pub.offset == 0
    for question in (subscription.history, subscription.presence, subscription.presence_stats):
        with pytest.raises(centrifuge.ReplyError) as caught:
            await question()
        assert caught.value.code == 108


async def test_a_channel_that_only_knows_the_place(secured: Conformance, guest: PypiClient, name: str) -> None:
    channel = f"positioned:{name}"
    await guest.subscribe(channel, get_state=Getter(StreamPosition(0, "")))
    (subscribed,) = guest.contexts("subscribed", channel)
    assert (subscribed.recoverable, subscribed.positioned) == (False, True)


async def test_a_cache_gives_its_newest(
    secured: Conformance, guest: PypiClient, secured_proxy: FaultProxy, name: str
) -> None:
    channel = f"cached:{name}"
    await secured.publish_all(channel, [1, 2, 3])
    await guest.subscribe(channel)
    await guest.event("publication", channel)
    secured_proxy.set_mode(Mode.REFUSE)
    secured_proxy.cut()
    await guest.event("connecting", number=2)
    await secured.publish_all(channel, [4, 5])
    secured_proxy.set_mode(Mode.PASS)
    again = await guest.event("subscribed", channel, number=2)
    assert (again.was_recovering, again.recovered) == (True, True)
    await guest.event("publication", channel, number=2)
    assert guest.received(channel) == [3, 5]


async def test_channels_go_by_numbers_in_the_json_form(
    secured: Conformance, guest: PypiClient, secured_proxy: FaultProxy, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "centrifuge")
    channels = [f"compact:{name}-{number}" for number in range(3)]
    for channel in channels:
        await guest.subscribe(channel)
        await guest.event("join", channel)
    caplog.clear()
    for channel in channels:
        await secured.publish(channel, channel)
        await guest.event("publication", channel)
        assert guest.received(channel) == [channel]
    pushes = [record.getMessage() for record in caplog.records if record.msg.startswith("received push")]
    assert len(pushes) == 3
    assert ["'channel'" in push for push in pushes] == [guest.binary] * 3
    secured_proxy.cut()
    await guest.event("subscribed", channels[2], number=2)
    await secured.publish(channels[2], "again")
    await guest.event("publication", channels[2], number=2)


GOALS = Filter.eq("kind", "goal")


@pytest.mark.parametrize(
    ("wanted", "arrive"),
    [
        (GOALS, [1, 3]),
        (Filter.neq("kind", "goal"), [0, 2, 4]),
        (Filter.is_in("kind", ["foul", "save"]), [0, 2]),
        (Filter.not_in("kind", ["foul", "save"]), [1, 3, 4]),
        (Filter.exists("kind"), [0, 1, 2, 3]),
        (Filter.not_exists("kind"), [4]),
        (Filter.starts_with("kind", "go"), [1, 3]),
        (Filter.ends_with("kind", "ul"), [0]),
        (Filter.contains("kind", "a"), [1, 2, 3]),
        (Filter.gt("minute", "9"), [2, 3]),
        (Filter.gte("minute", "9"), [1, 2, 3]),
        (Filter.lt("minute", "10.5"), [0, 1, 2]),
        (Filter.lte("minute", "8"), [0]),
        (Filter.all(GOALS, Filter.gt("minute", "9")), [3]),
        (Filter.any(GOALS, Filter.not_exists("kind")), [1, 3, 4]),
        (Filter.negate(GOALS), [0, 2, 4]),
    ],
    ids=lambda value: str(value.node) if isinstance(value, FilterNode) else "",
)
async def test_a_filter_lets_through_what_it_says(
    secured: Conformance, guest: PypiClient, name: str, wanted: FilterNode, arrive: list[int]
) -> None:
    channel = f"filtered:{name}"
    await guest.subscribe(channel, tags_filter=wanted)
    kinds = [("foul", "8"), ("goal", "9"), ("save", "10"), ("goal", "11")]
    for number, (kind, minute) in enumerate(kinds):
        await secured.publish(channel, number, tags={"kind": kind, "minute": minute})
    await secured.publish(channel, 4)
    await secured.api("unsubscribe", channel=channel, user="")
    await guest.event("unsubscribed", channel)
    assert guest.received(channel) == arrive


async def test_a_filter_holds_for_what_was_missed_and_can_be_changed(
    secured: Conformance, guest: PypiClient, name: str
) -> None:
    channel = f"filtered:{name}"
    subscription = await guest.subscribe(channel, tags_filter=GOALS)
    await subscription.unsubscribe()
    for number, kind in enumerate(["foul", "goal", "foul"]):
        await secured.publish(channel, number, tags={"kind": kind})
    await subscription.subscribe()
    await guest.event("publication", channel)
    again = guest.contexts("subscribed", channel)[1]
    assert (again.recovered, guest.received(channel)) == (True, [1])
    await subscription.unsubscribe()
    subscription.set_tags_filter(Filter.negate(GOALS))
    await secured.publish(channel, 3, tags={"kind": "goal"})
    await secured.publish(channel, 4)
    await subscription.subscribe()
    await guest.event("publication", channel, number=3)
    # The guest's place is behind the last one that it was given, so the new filter gets to judge what came after.
    assert guest.received(channel) == [1, 2, 4]


@pytest.mark.parametrize("wrong", [Filter.eq("kind", ""), Filter.is_in("kind", []), Filter.all()])
async def test_a_filter_that_means_nothing_is_refused(guest: PypiClient, name: str, wrong: FilterNode) -> None:
    await guest.subscribe(f"filtered:{name}", ready=False, tags_filter=wrong)
    assert (await guest.event("unsubscribed", f"filtered:{name}")).code == 107


async def test_the_server_filters_too(secured: Conformance, enter: Connect, name: str, user: str) -> None:
    channel = f"enforced:{name}"
    client = await enter(token=token(user))
    await client.subscribe(channel, tags_filter=GOALS)
    for number, tags in enumerate([{"to": user}, {"to": "another", "kind": "goal"}, {"to": user, "kind": "goal"}]):
        await secured.publish(channel, number, tags=tags)
    await client.event("publication", channel)
    assert client.received(channel) == [2]


async def test_a_signed_channel_takes_nobody_without_a_token(enter: Connect, name: str, user: str) -> None:
    channel = f"signed:{name}"
    client = await enter(token=token(user))
    subscription = await client.subscribe(channel, ready=False)
    assert (await client.event("unsubscribed", channel)).code == 103
    client.sdk.remove_subscription(subscription)
    subscription = await client.subscribe(channel, token=token(user, channel=channel))
    with pytest.raises(centrifuge.ReplyError) as caught:
        await subscription.publish(client.pack("not by clients"))
    assert caught.value.code == 103


async def test_a_subscription_that_is_not_renewed_ends(enter: Connect, name: str, user: str) -> None:
    channel = f"signed:{name}"
    client = await enter(token=token(user))
    await client.subscribe(channel, token=lasting(user, channel=channel)())
    assert (await client.event("subscribing", channel, number=2)).code == 2501


async def test_a_connection_is_renewed_before_it_ends_and_pings_keep_it(
    secured: Conformance, enter: Connect, user: str
) -> None:
    fetch = Getter(lasting(user, meta={"subscriber": True}))
    client = await enter(get_token=fetch, max_server_ping_delay=0.5)
    # So long that the server would have missed an answer to its first ping.
    await fetch.calls(4)
    assert len(client.contexts("connecting")) == 1
    await secured.publish("news:all", "still here")
    await client.event("publication")


async def test_a_connection_that_is_not_renewed_ends(enter: Connect, user: str) -> None:
    client = await enter(token=lasting(user)())
    assert (await client.event("connecting", number=2)).code == 3005
    told = await client.event("disconnected")
    assert (told.code, told.reason) == (1, "unauthorized")


@pytest.mark.parametrize("answer", [UnauthorizedError(), ""], ids=["raised", "empty"])
async def test_who_may_have_no_further_token_goes(enter: Connect, user: str, answer: Any) -> None:
    client = await enter(get_token=Getter(lasting(user), answer))
    assert (await client.event("disconnected")).code == 1


async def test_a_further_token_that_does_not_fit_ends_the_connection(enter: Connect, user: str) -> None:
    wrong = {
        token("another"): 3500,
        token(user, channel="signed:a"): 3500,
        "no.token.atall": 3500,
        token(user, exp=OVER): 3005,
        token(user, channels=["news:more"]): 3010,
    }
    clients = [await enter(get_token=Getter(lasting(user), second, token(user))) for second in wrong]
    for client, code in zip(clients, wrong.values(), strict=True):
        event = "disconnected" if code == 3500 else "connecting"
        told = await client.event(event, number=1 if code == 3500 else 2)
        assert told.code == code


async def test_silence_is_noticed(enter: Connect, secured_proxy: FaultProxy) -> None:
    client = await enter(token=token(""), max_server_ping_delay=0.2)
    secured_proxy.set_mode(Mode.STALL)
    told = await client.event("connecting", number=2)
    assert (told.code, told.reason) == (2, "no ping")
    secured_proxy.set_mode(Mode.PASS)
    await client.event("connected", number=2)
