"""What a refusal says: to the log always why, to the client only with DEBUG."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, ClassVar

import pytest

import hotclub
from hotclub.tokens import subscription_token
from tests.hotclub.access.test_admission import TOKENS
from tests.hotclub.conftest import Person, Site, amake_person
from tests.support.wire import ErrorReply, WireClient

pytestmark = pytest.mark.django_db(transaction=True)

Serve = Callable[..., Awaitable[Site]]
Declare = Callable[..., None]
Configure = Callable[..., None]
Log = pytest.LogCaptureFixture
NOT_SIGNED_IN = "not signed in (ALLOW_ANONYMOUS is off)"


class Broken(hotclub.Channel):
    pattern = "broken:<str:name>"

    def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        if name == "open":
            return True
        raise LookupError(f"no room {name!r}\x1b[31m\n{'x' * 1000}")

    def on_publish(self, client: hotclub.Client, data: Any, name: str) -> Any:
        return object()


class Durable(Broken):
    pattern = "durable:<str:name>"
    history = hotclub.History(size=10, ttl=timedelta(hours=1), durable=True)


class Leaving(hotclub.Channel):
    """Raises what `except Exception` does not catch, or what a generator and a future take for an end."""

    pattern = "leaving:<str:name>"
    errors: ClassVar = {
        "stop": StopIteration,
        "astop": StopAsyncIteration,
        "exit": SystemExit,
        "close": GeneratorExit,
        "cancel": asyncio.CancelledError,
    }

    def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        raise self.errors[name]


class LeavingAsync(Leaving):
    pattern = "leaving-async:<str:name>"

    async def can_subscribe(self, client: hotclub.Client, name: str) -> bool:  # type: ignore[override]
        raise self.errors[name]


class Filtered(hotclub.Channel):
    pattern = "filtered"

    def can_subscribe(self, client: hotclub.Client) -> bool:
        return True

    def tags_filter(self, client: hotclub.Client) -> Callable[[Mapping[str, str]], bool] | None:
        return (lambda tags: bool(tags["missing"])) if client.data else None


class Held(hotclub.Channel):
    """Decides when the test says so."""

    pattern = "held"
    token = True
    history = hotclub.History(size=10, ttl=timedelta(hours=1))
    asked: ClassVar[asyncio.Event]
    decide: ClassVar[asyncio.Event]

    async def can_subscribe(self, client: hotclub.Client) -> bool:
        self.asked.set()
        return await self.decide.wait()


def fail(client: hotclub.Client) -> None:
    raise RuntimeError("the connect hook's own words")


@hotclub.rpc("broken")
async def broken(client: hotclub.Client) -> None:
    raise ZeroDivisionError("by zero")


@pytest.fixture
def debug(request: pytest.FixtureRequest, settings: Any) -> bool:
    """The project's DEBUG, as the test is parametrised."""
    settings.DEBUG = request.param
    return bool(request.param)


@pytest.fixture
async def site(debug: bool, serve: Serve, hotclub_settings: Configure) -> Site:
    """The project with tokens, served."""
    hotclub_settings(TOKENS=TOKENS)
    return await serve()


def lines(log: Log, beginning: str) -> list[tuple[int, str]]:
    """Level and text, up to who it was, of the lines of the log that begin so."""
    found = [(record.levelno, record.getMessage().partition(" transport=")[0]) for record in log.records]
    return [(level, line) for level, line in found if line.startswith(beginning)]


async def signed_in(site: Site, person: Person | None = None) -> WireClient:
    """A connection of this person, or of somebody new."""
    return await WireClient.connected(site.port, headers=site.headers(person or await amake_person()))


async def message(answer: Awaitable[Any]) -> tuple[int, str]:
    with pytest.raises(ErrorReply) as refused:
        await answer
    return refused.value.code, str(refused.value)


@pytest.mark.parametrize("debug", [False, True], indirect=True)
async def test_a_hook_that_fails_is_named_to_the_client_with_debug_alone(
    serve: Serve, declare: Declare, debug: bool
) -> None:
    declare(Broken, Durable, broken)
    async with await signed_in(await serve()) as client:
        told = [
            await message(client.subscribe("broken:a")),
            await message(client.call("rpc", method="broken")),
        ]
        for channel in ("broken:open", "durable:open"):
            await client.subscribe(channel)
            told.append(await message(client.publish(channel, 1)))
    assert {code for code, _ in told} == {100}
    if not debug:
        assert all("internal server error" in text and __name__ not in text for _, text in told)
        return
    subscribe, rpc, publish, durable = (text for _, text in told)
    assert f"{__name__}.Broken.can_subscribe failed: LookupError: no room 'a' [31m xxx" in subscribe
    assert len(subscribe) < 500
    assert f"{__name__}.broken failed: ZeroDivisionError: by zero" in rpc
    assert f"{__name__}.Broken.on_publish failed: TypeError: A publication cannot hold object" in publish
    assert f"{__name__}.Durable.on_publish failed: TypeError" in durable


@pytest.mark.parametrize("pattern", ["leaving", "leaving-async"])
@pytest.mark.parametrize("error", list(Leaving.errors))
async def test_a_hook_that_raises_an_end_is_a_hook_that_fails(
    serve: Serve, declare: Declare, pattern: str, error: str
) -> None:
    declare(Leaving, LeavingAsync, Filtered)
    async with await signed_in(await serve()) as client:
        assert (await message(client.subscribe(f"{pattern}:{error}")))[0] == 100
        await client.subscribe("filtered")


async def test_a_filter_that_fails_keeps_nothing_from_other_subscribers(
    serve: Serve, declare: Declare, caplog: Log
) -> None:
    declare(Filtered)
    site = await serve()
    person = await amake_person()
    clients = [await signed_in(site, person) for _ in range(3)]
    for client, data in zip(clients, (None, 1, None), strict=True):
        await client.subscribe("filtered", **({} if data is None else {"data": data}))
    await hotclub.apublish("filtered", "news")
    for client in (clients[0], clients[2]):
        assert [item["data"] for item in await client.publications("filtered", 1)] == ["news"]
    assert "tags_filter() of 'filtered'" in caplog.text
    for client in clients:
        await client.close()


async def test_what_the_server_takes_back_during_the_decision_cannot_be_read(
    serve: Serve, declare: Declare, hotclub_settings: Configure
) -> None:
    Held.asked, Held.decide = asyncio.Event(), asyncio.Event()
    declare(Held)
    hotclub_settings(TOKENS=TOKENS)
    site, person = await serve(), await amake_person()
    token = subscription_token(person.user, "held")
    async with await signed_in(site, person) as client:
        number = await client.start("subscribe", channel="held", token=token)
        await Held.asked.wait()
        await hotclub.aunsubscribe("held", user=person.user)
        Held.decide.set()
        assert await client.fate(number) == 103
        assert (await message(client.call("history", channel="held", limit=10)))[0] == 103


async def test_a_connect_hook_that_fails_is_named_with_debug(
    serve: Serve, hotclub_settings: Configure, settings: Any
) -> None:
    settings.DEBUG = True
    hotclub_settings(ON_CONNECT=f"{__name__}.fail", ALLOW_ANONYMOUS=True)
    site = await serve()
    async with await WireClient.open(site.port, headers=site.headers()) as client:
        code, text = await message(client.connect())
    assert code == 100
    assert f"{__name__}.fail failed: RuntimeError: the connect hook's own words" in text


@pytest.mark.parametrize("debug", [False, True], indirect=True)
async def test_who_is_not_signed_in_is_told_so_with_debug_alone_and_the_log_always(
    serve: Serve, hotclub_settings: Configure, caplog: Log, debug: bool
) -> None:
    hotclub_settings(ALLOW_ANONYMOUS=False)
    site = await serve()
    caplog.set_level(logging.INFO, "hotclub")
    async with await WireClient.open(site.port, headers=site.headers()) as client:
        await client.start("connect")
        closed = await client.ended()
    assert (closed.code, closed.reason) == (3501, NOT_SIGNED_IN if debug else "bad request")
    told = f"Ended a connection: code=3501 reason='bad request' why={NOT_SIGNED_IN!r}"
    assert lines(caplog, "Ended") == [(logging.INFO, told)]


@pytest.mark.parametrize("debug", [False, True], indirect=True)
@pytest.mark.parametrize(
    ("command", "told", "why"),
    [
        pytest.param({"rpc": {}}, (3501, "bad request"), "the first command is not connect", id="order"),
        pytest.param(
            {"connect": {"token": "not a token"}},
            (3500, "invalid token"),
            "it is no token: Not enough segments",
            id="token",
        ),
    ],
)
async def test_why_a_connection_is_ended(
    site: Site, caplog: Log, debug: bool, command: dict[str, Any], told: tuple[int, str], why: str
) -> None:
    code, reason = told
    async with await WireClient.open(site.port, headers=site.headers()) as client:
        await client.send({"id": 1, **command})
        closed = await client.ended()
    assert (closed.code, closed.reason) == (code, why if debug else reason)
    assert lines(caplog, "Ended") == [
        (logging.WARNING, f"Ended a connection: code={code} reason={reason!r} why={why!r}")
    ]


async def test_a_token_of_another_kind_says_so_on_the_log(
    serve: Serve, hotclub_settings: Configure, caplog: Log
) -> None:
    hotclub_settings(TOKENS=TOKENS)
    site, person = await serve(), await amake_person()
    token = subscription_token(person.user, "broken:a")
    async with await WireClient.open(site.port, headers=site.headers()) as client:
        await client.start("connect", token=token)
        assert (await client.ended()).code == 3500
    [(_, line)] = lines(caplog, "Ended")
    assert line.endswith("why='a subscription token opens no connection'")


@pytest.mark.parametrize("debug", [False, True], indirect=True)
async def test_an_unknown_procedure_is_told_and_logged(
    serve: Serve, declare: Declare, caplog: Log, debug: bool
) -> None:
    declare(broken)
    caplog.set_level(logging.INFO, "hotclub")
    async with await signed_in(await serve()) as client:
        code, text = await message(client.call("rpc", method="nobody"))
    assert code == 104
    assert ("no procedure has this name" if debug else "method not found") in text
    told = "Refused a command: code=104 reason='method not found' why='no procedure has this name'"
    assert lines(caplog, "Refused") == [(logging.INFO, told)]
