"""Connection tokens and subscription tokens, where none would be needed (protocol §2.8, §7)."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from centrifuge import SubscriptionState, UnauthorizedError

from tests.conformance.conftest import Conformance, token
from tests.conformance.pypi.conftest import Connect
from tests.support.pypi import Getter, PypiClient

OVER = 1_000_000_000


def lasting(user: str, **claims: Any) -> Callable[[], str]:
    """Makes tokens that are good for a second."""
    return lambda: token(user, exp=int(time.time()) + 2, **claims)


@pytest.mark.parametrize("claims", [None, {"channel": "recovery:a"}, {"sub": 42}])
async def test_a_token_that_is_none_ends_it(connect: Connect, claims: dict[str, Any] | None) -> None:
    shown = "no.token.atall" if claims is None else token("42", **claims)
    client = await connect(ready=False, token=shown)
    told = await client.event("disconnected")
    assert (told.code, told.reason) == (3500, "invalid token")


@pytest.mark.parametrize("claims", [{"exp": int(time.time()) - 1}, {"nbf": 4 * OVER}], ids=["over", "not yet"])
async def test_a_token_whose_time_is_over_is_replaced(connect: Connect, user: str, claims: dict[str, Any]) -> None:
    fetch = Getter(token(user))
    client = await connect(token=token(user, **claims), get_token=fetch)
    assert [context.error.code for context in client.contexts("error")] == [109]
    assert fetch.asked == 1
    assert (await client.event("subscribed")).channel == f"#{user}"


async def test_a_token_whose_time_is_over_ends_it_when_there_is_no_other(connect: Connect, user: str) -> None:
    client = await connect(ready=False, token=token(user, exp=OVER))
    told = await client.event("disconnected")
    assert (told.code, told.reason) == (1, "unauthorized")
    client.sdk.set_token(token(user))
    await client.sdk.connect()
    await client.event("connected")


async def test_getting_a_token_is_tried_again(connect: Connect, user: str) -> None:
    fetch = Getter(RuntimeError("no network"), RuntimeError("no network"), token(user))
    client = await connect(get_token=fetch)
    assert [context.code for context in client.contexts("error")] == [5, 5]
    assert (await client.event("subscribed")).channel == f"#{user}"


async def test_who_may_have_no_token_stays_away(connect: Connect) -> None:
    client = await connect(ready=False, get_token=Getter(UnauthorizedError()))
    told = await client.event("disconnected")
    assert (told.code, told.reason) == (1, "unauthorized")


async def test_an_empty_token_is_for_the_anonymous(connect: Connect, name: str) -> None:
    client = await connect(get_token=Getter(""))
    await client.subscribe(name)
    assert (await client.event("join", name)).info.user == ""


async def test_a_subscription_token_says_who_comes_and_what_for(client: PypiClient, name: str, user: str) -> None:
    claims = {"channel": name, "info": {"role": "主持"}, "data": {"topic": 1}, "client": client.sdk.client_id}
    subscription = await client.subscribe(name, token=token(user, **claims))
    (subscribed,) = client.contexts("subscribed", name)
    assert client.unpack(subscribed.data) == {"topic": 1}
    assert client.unpack((await client.event("join", name)).info.chan_info) == {"role": "主持"}
    await subscription.publish(client.pack(1))
    assert client.unpack((await client.event("publication", name)).pub.info.chan_info) == {"role": "主持"}
    (member,) = (await subscription.presence()).clients.values()
    assert client.unpack(member.chan_info) == {"role": "主持"}


async def test_a_bad_subscription_token_is_refused(client: PypiClient, name: str) -> None:
    await client.subscribe(name, ready=False, token="no.token.atall")
    assert (await client.event("unsubscribed", name)).code == 103
    assert len(client.contexts("connecting")) == 1


@pytest.mark.parametrize("claims", [{"channel": "another"}, {"sub": "another"}, {"client": "another"}])
async def test_a_subscription_token_for_something_else_ends_the_connection(
    client: PypiClient, name: str, user: str, claims: dict[str, Any]
) -> None:
    await client.subscribe(name, ready=False, token=token(user, **{"channel": name, **claims}))
    assert (await client.event("disconnected")).code == 3500


async def test_a_subscription_token_whose_time_is_over_is_replaced(client: PypiClient, name: str, user: str) -> None:
    fetch = Getter(token(user, channel=name))
    await client.subscribe(name, token=token(user, channel=name, exp=OVER), get_token=fetch)
    assert [context.error.code for context in client.contexts("error", name)] == [109]
    assert fetch.asked == 1


async def test_a_subscription_token_whose_time_is_over_ends_it_when_there_is_no_other(
    client: PypiClient, name: str, user: str
) -> None:
    await client.subscribe(name, ready=False, token=token(user, channel=name, exp=OVER))
    assert (await client.event("unsubscribed", name)).code == 1


async def test_getting_a_subscription_token_is_tried_again(client: PypiClient, name: str, user: str) -> None:
    await client.subscribe(name, get_token=Getter(RuntimeError("no network"), token(user, channel=name)))
    assert [context.code for context in client.contexts("error", name)] == [8]


@pytest.mark.parametrize("answer", [UnauthorizedError(), ""], ids=["raised", "empty"])
async def test_who_may_have_no_subscription_token_stays_out(client: PypiClient, name: str, answer: Any) -> None:
    await client.subscribe(name, ready=False, get_token=Getter(answer))
    assert (await client.event("unsubscribed", name)).code == 1


async def test_a_subscription_is_renewed_before_it_ends(
    conformance: Conformance, client: PypiClient, name: str, user: str
) -> None:
    fetch = Getter(lasting(user, channel=name))
    await client.subscribe(name, get_token=fetch)
    await fetch.calls(3)
    await conformance.publish(name, "still here")
    await client.event("publication", name)
    assert len(client.contexts("subscribed", name)) == len(client.contexts("connecting")) == 1


async def test_who_may_have_no_further_subscription_token_is_out(client: PypiClient, name: str, user: str) -> None:
    fetch = Getter(lasting(user, channel=name), UnauthorizedError())
    subscription = await client.subscribe(name, get_token=fetch)
    assert (await client.event("unsubscribed", name)).code == 1
    assert subscription.state is SubscriptionState.UNSUBSCRIBED
    assert (await client.sdk.presence_stats(name)).num_clients == 0


async def test_a_further_subscription_token_for_something_else_ends_the_connection(
    client: PypiClient, name: str, user: str
) -> None:
    await client.subscribe(name, get_token=Getter(lasting(user, channel=name), token("another", channel=name)))
    assert (await client.event("disconnected")).code == 3500


async def test_a_further_subscription_token_whose_time_is_over_begins_anew(
    client: PypiClient, name: str, user: str
) -> None:
    fetch = Getter(lasting(user, channel=name), token(user, channel=name, exp=OVER), token(user, channel=name))
    await client.subscribe(name, get_token=fetch)
    assert (await client.event("connecting", number=2)).code == 3006
    await client.event("subscribed", name, number=2)
