"""npm `centrifuge` 5.8.0: tokens, their end and renewal, over every transport and in both forms."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

from tests.conformance.conftest import Conformance, over_every_wire, token, token_for
from tests.support.npm import Event, NpmClient, Unauthorized

SOON: Final[dict[str, Any]] = {"minResubscribeDelay": 10, "maxResubscribeDelay": 50}


class Tokens:
    """Gives one token after the other, and the last one for ever; an exception is raised."""

    def __init__(self, *tokens: str | Exception | Callable[[], str]) -> None:
        self.asked: list[Event] = []
        self._tokens = tokens

    def __call__(self, context: Event) -> str:
        self.asked.append(context)
        given = self._tokens[min(len(self.asked), len(self._tokens)) - 1]
        if isinstance(given, Exception):
            raise given
        return given if isinstance(given, str) else given()


def over(user: str = "42", **claims: Any) -> str:
    return token(user, exp=int(time.time()) - 1000, **claims)


def stalling(**claims: Any) -> Callable[[Event], Awaitable[str]]:
    """Gives a token that is over soon, never comes up with the second one, and gives good ones from then on."""
    numbers = itertools.count(1)

    async def get_token(_context: Event) -> str:
        number = next(numbers)
        if number == 2:
            await asyncio.Event().wait()
        return token_for("42", seconds=1.9 if number == 1 else 300, **claims)

    return get_token


# Connections


async def test_where_everything_is_allowed_a_token_is_verified_all_the_same(
    conformance: Conformance, idle: NpmClient, wire: list[str]
) -> None:
    tokens = Tokens(over("62"), token("62"))
    await idle.connect_over(conformance.port, *wire, getToken=tokens)
    await idle.context("server subscribed", "#62")
    assert len(tokens.asked) == 2
    async with NpmClient.start() as other:
        await other.connect_over(conformance.port, *wire, token="no.token.atall")
        disconnected = await other.context("disconnected")
        assert (disconnected["code"], disconnected["reason"]) == (3500, "invalid token")


async def test_a_token_need_not_name_anybody(secured: Conformance, idle: NpmClient, wire: list[str]) -> None:
    await idle.connect_over(secured.port, *wire, token=token_for(""))
    assert (await idle.context("connected"))["data"] == {"hello": ""}
    assert await idle.call("rpc", method="echo", data={"text": "二"}) == {"data": {"user": "", "text": "二"}}
    assert await idle.error_code("rpc", method="nothing", data={}) == 104
    assert await idle.error_code("rpc", method="echo", data={"words": 1}) == 107


async def test_nobody_gets_in_without_a_token(secured: Conformance, idle: NpmClient, wire: list[str]) -> None:
    await idle.connect_over(secured.port, *wire)
    disconnected = await idle.context("disconnected")
    assert (disconnected["code"], disconnected["reason"]) == (3501, "bad request")


@pytest.mark.smoke
async def test_a_token_whose_time_is_over_is_replaced_at_connect(
    secured: Conformance, idle: NpmClient, wire: list[str]
) -> None:
    """The server answers with 109, and the SDK asks for another one."""
    tokens = Tokens(over(), lambda: token_for("42"))
    await idle.connect_over(secured.port, *wire, token=over(), getToken=tokens)
    assert (await idle.context("connected"))["data"] == {"hello": "42"}
    assert len(tokens.asked) == 2


@pytest.mark.parametrize("bad", ["forged", "not yet"])
async def test_a_token_that_is_worth_nothing_ends_it(
    secured: Conformance, idle: NpmClient, wire: list[str], bad: str
) -> None:
    if bad == "forged":
        await idle.connect_over(secured.port, *wire, token=token_for("42")[:-4] + "AAAA")
        assert (await idle.context("disconnected"))["code"] == 3500
    else:
        tokens = Tokens(token_for("42", nbf=int(time.time()) + 100), lambda: token_for("42"))
        await idle.connect_over(secured.port, *wire, getToken=tokens)
        await idle.context("connected")
        assert len(tokens.asked) == 2


async def test_a_subscription_token_opens_no_connection(secured: Conformance, idle: NpmClient, wire: list[str]) -> None:
    await idle.connect_over(secured.port, *wire, token=token_for("42", channel="signed:a"))
    assert (await idle.context("disconnected"))["code"] == 3500


async def test_who_gets_no_token_is_not_connected(secured: Conformance, idle: NpmClient, wire: list[str]) -> None:
    tokens = Tokens(RuntimeError("not now"), Unauthorized("no"))
    await idle.connect_over(secured.port, *wire, getToken=tokens)
    disconnected = await idle.context("disconnected")
    assert (disconnected["code"], disconnected["reason"]) == (1, "unauthorized")
    assert [error["type"] for error in idle.contexts("error")] == ["connectToken"]


async def test_a_connection_is_renewed_and_goes_on(secured: Conformance, name: str) -> None:
    """Over and over, long after the first token and its grace are over."""

    async def scenario(client: NpmClient, wire: list[str]) -> None:
        tokens = Tokens(lambda: token_for("42", seconds=2))
        await client.connect_over(secured.port, *wire, getToken=tokens)
        await client.subscribe(f"filtered:{name}")
        await client.until(lambda: len(tokens.asked) == 4)
        await client.call("rpc", method="echo", data={"text": ""})
        assert len(client.contexts("connected")) == len(client.contexts("connecting")) == 1

    await over_every_wire(scenario)


@pytest.mark.parametrize(
    ("renewal", "code"),
    [
        (Unauthorized("no more"), 1),
        ("no.token.atall", 3500),
        (lambda: token_for("43"), 3500),
        (lambda: token_for("42", channel="signed:a"), 3500),
    ],
)
async def test_a_renewal_that_is_refused_ends_it(
    secured: Conformance, renewal: str | Exception | Callable[[], str], code: int
) -> None:
    async def scenario(client: NpmClient, wire: list[str]) -> None:
        await client.connect_over(secured.port, *wire, getToken=Tokens(token_for("42", seconds=1.9), renewal))
        assert (await client.context("disconnected"))["code"] == code

    await over_every_wire(scenario)


async def test_a_renewal_that_is_over_begins_a_new_connection(secured: Conformance) -> None:
    async def scenario(client: NpmClient, wire: list[str]) -> None:
        tokens = Tokens(token_for("42", seconds=1.9), over(), lambda: token_for("42"))
        await client.connect_over(secured.port, *wire, getToken=tokens)
        await client.until(lambda: len(client.contexts("connected")) == 2)
        connecting = client.contexts("connecting")[1]
        assert (connecting["code"], connecting["reason"]) == (3005, "connection expired")

    await over_every_wire(scenario)


async def test_a_connection_that_is_not_renewed_ends(secured: Conformance) -> None:
    """After the grace. The application never comes up with a token."""

    async def scenario(client: NpmClient, wire: list[str]) -> None:
        await client.connect_over(secured.port, *wire, getToken=stalling())
        await client.until(lambda: len(client.contexts("connecting")) == 2)
        assert client.contexts("connecting")[1]["code"] == 3005

    await over_every_wire(scenario)


async def test_the_api_ends_and_prolongs_connections(secured: Conformance) -> None:
    async def scenario(client: NpmClient, wire: list[str]) -> None:
        user = "-".join(wire)
        await client.connect_over(secured.port, *wire, token=token_for(user, seconds=2))
        await client.event("connected")
        await secured.api("refresh", user=user, expire_at=int(time.time()) + 300)
        await secured.api("refresh", user=user, expired=True)
        connecting = await client.context("connecting", start=2)
        assert connecting["code"] == 3005

    await over_every_wire(scenario)


# Subscriptions


@pytest.mark.smoke
async def test_a_subscription_token_is_asked_for_and_lets_in(member: NpmClient, name: str) -> None:
    channel = f"signed:{name}"
    tokens = Tokens(token("42", channel=channel, info={"seat": 3}, data={"hello": "你好"}))
    context = await member.subscribe(channel, getToken=tokens)
    assert (context["data"], tokens.asked) == ({"hello": "你好"}, [{"channel": channel}])
    assert (await member.context("join", channel))["info"]["chanInfo"] == {"seat": 3}
    (present,) = (await member.call("presence", channel=channel))["clients"].values()
    assert present["chanInfo"] == {"seat": 3}


@pytest.mark.parametrize("given", ["", "no.token.atall"])
async def test_nobody_subscribes_without_a_token_that_is_worth_something(
    member: NpmClient, name: str, given: str
) -> None:
    await member.call("subscribe", channel=f"signed:{name}", options={"token": given})
    unsubscribed = await member.context("unsubscribed", f"signed:{name}")
    assert (unsubscribed["code"], unsubscribed["reason"]) == (103, "permission denied")


@pytest.mark.parametrize("wrong", [{"channel": "signed:other"}, {"user": "43"}, {"client": "another"}])
async def test_a_token_has_to_be_for_this_channel_and_user_and_connection(
    member: NpmClient, name: str, wrong: dict[str, str]
) -> None:
    mine = (await member.context("connected"))["client"]
    right = {"user": "42", "channel": f"signed:{name}-right", "client": mine}
    await member.subscribe(f"signed:{name}-right", token=token(**right))
    claims = {"user": "42", "channel": f"signed:{name}", **wrong}
    await member.call("subscribe", channel=f"signed:{name}", options={"token": token(**claims)})
    assert (await member.context("disconnected"))["code"] == 3500


async def test_a_subscription_token_whose_time_is_over_is_replaced(member: NpmClient, name: str) -> None:
    channel = f"signed:{name}"
    tokens = Tokens(over(channel=channel), token("42", channel=channel))
    await member.subscribe(channel, token=over(channel=channel), getToken=tokens, **SOON)
    assert len(tokens.asked) == 2
    errors = {error["error"]["code"] for error in member.contexts("subscription error", channel)}
    assert errors == {109}


async def test_who_gets_no_subscription_token_is_not_subscribed(member: NpmClient, name: str) -> None:
    channel = f"signed:{name}"
    tokens = Tokens(RuntimeError("not now"), Unauthorized("no"))
    await member.call("subscribe", channel=channel, options={"getToken": tokens, **SOON})
    unsubscribed = await member.context("unsubscribed", channel)
    assert (unsubscribed["code"], unsubscribed["reason"]) == (1, "unauthorized")
    assert len(tokens.asked) == 2


async def test_a_subscription_is_renewed_and_goes_on(secured: Conformance, name: str) -> None:
    channel = f"signed:{name}"

    async def scenario(client: NpmClient, wire: list[str]) -> None:
        tokens = Tokens(lambda: token_for("42", seconds=2, channel=channel))
        await client.connect_over(secured.port, *wire, token=token_for("42"))
        await client.subscribe(channel, getToken=tokens)
        await client.until(lambda: len(tokens.asked) == 4)
        await client.call("history", channel=channel)
        assert len(client.contexts("subscribed", channel)) == len(client.contexts("subscribing", channel)) == 1

    await over_every_wire(scenario)


async def test_a_subscription_that_is_not_renewed_ends_and_begins_anew(secured: Conformance, name: str) -> None:
    channel = f"signed:{name}"

    async def scenario(client: NpmClient, wire: list[str]) -> None:
        await client.connect_over(secured.port, *wire, token=token_for("42"))
        await client.subscribe(channel, getToken=stalling(channel=channel), **SOON)
        await client.until(lambda: len(client.contexts("subscribing", channel)) == 2)
        subscribing = client.contexts("subscribing", channel)[1]
        assert (subscribing["code"], subscribing["reason"]) == (2501, "subscription expired")

    await over_every_wire(scenario)


@pytest.mark.parametrize(
    ("renewal", "event", "code"),
    [
        (Unauthorized("no more"), "unsubscribed", 1),
        ("no.token.atall", "disconnected", 3500),
        (lambda: token_for("42", channel="signed:other"), "disconnected", 3500),
        (lambda: over(channel="signed:RENEWED"), "connecting", 3006),
    ],
)
async def test_a_subscription_whose_renewal_is_refused_ends(
    secured: Conformance, renewal: str | Exception | Callable[[], str], event: str, code: int
) -> None:
    async def scenario(client: NpmClient, wire: list[str]) -> None:
        tokens = Tokens(token_for("42", seconds=1.9, channel="signed:RENEWED"), renewal)
        await client.connect_over(secured.port, *wire, token=token_for("42"))
        await client.subscribe("signed:RENEWED", getToken=tokens)
        ended = await client.event(lambda item: item["event"] == event, start=len(client.events))
        assert ended["context"]["code"] == code

    await over_every_wire(scenario)


async def test_a_subscription_that_the_server_calls_invalid_gets_a_new_token(member: NpmClient, name: str) -> None:
    """2502: nothing of what the client holds counts any more, its position included."""
    channel = f"signed:{name}"
    tokens = Tokens(token("42", channel=channel))
    await member.subscribe(channel, getToken=tokens)
    seen = len(member.events)
    await member.call("rpc", method="invalidate", data={"channel": channel})
    subscribing = await member.context("subscribing", channel, start=seen)
    assert (subscribing["code"], subscribing["reason"]) == (2502, "state invalidated")
    again = await member.context("subscribed", channel, start=seen)
    assert (again["wasRecovering"], again["recovered"], len(tokens.asked)) == (True, False, 2)


@pytest.mark.parametrize("code", [400, 1999])
async def test_an_application_refuses_with_a_code_of_its_own(member: NpmClient, code: int) -> None:
    await member.call("subscribe", channel=f"refusing:{code}")
    unsubscribed = await member.context("unsubscribed", f"refusing:{code}")
    assert (unsubscribed["code"], unsubscribed["reason"]) == (code, "as you wish")
