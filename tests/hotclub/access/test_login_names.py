"""A login is the same one whatever becomes of its session's key and cookie: it begins, is rewritten, and ends."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as project
from django.contrib.auth import SESSION_KEY, login
from django.contrib.auth.signals import user_logged_out
from django.contrib.sessions.models import Session
from django.http import HttpRequest

import hotclub
import hotclub.tokens
from hotclub.access.session import LOGIN_KEY, authenticate, login_of, session_store
from hotclub.models import Revocation
from tests.hotclub.access.test_admission import TOKENS, fate, request_of
from tests.hotclub.conftest import Declare, Person, Site, amake_person
from tests.hotclub.transports import Wire
from tests.support.wire import WireClient

pytestmark = pytest.mark.django_db(transaction=True)

Serve = Callable[..., Awaitable[Site]]
Configure = Callable[..., None]

SIGNED = "django.contrib.sessions.backends.signed_cookies"


class Room(hotclub.Channel):
    pattern = "room:<int:number>"

    async def can_subscribe(self, client: hotclub.Client, number: int) -> bool:
        return True


@pytest.fixture(autouse=True)
def _project(declare: Declare, hotclub_settings: Configure) -> None:
    declare(Room)
    hotclub_settings(TOKENS=TOKENS, ON_CONNECT=None, ALLOW_ANONYMOUS=True)


def cookie_of(key: str) -> str:
    return f"{project.SESSION_COOKIE_NAME}={key}"


@sync_to_async
def rewritten(key: str) -> str:
    """The key of a session after a view has written to it: signed cookies get another one."""
    session = session_store(key)
    session["basket"] = [1]
    session.save()
    return session.session_key or ""


@sync_to_async
def rotated(key: str) -> str:
    """The key of a session after a view has given it another one."""
    session = session_store(key)
    session.cycle_key()
    session.save()
    return session.session_key or ""


@sync_to_async
def begun() -> str:
    """The key of the session of a visitor."""
    session = session_store()
    session["basket"] = [1]
    session.save()
    return session.session_key or ""


async def sent(site: Site, wire: Wire, key: str) -> int:
    """The status of a request with a command, which shows the connection's secret and this session."""
    connected = wire.messages()[0]["connect"]
    body = {"session": connected["session"], "node": connected["node"], "data": '{"id":7,"rpc":{"method":"x"}}'}
    headers = {"Origin": site.url, **({"Cookie": cookie_of(key)} if key else {})}
    async with httpx.AsyncClient(base_url=site.url, headers=headers) as http:
        return (await http.post("/emulation", json=body)).status_code


@pytest.mark.parametrize("form", ["http_stream", "sse"])
async def test_a_visitor_s_connection_goes_on_when_a_session_begins(serve: Serve, form: str) -> None:
    site = await serve()
    async with Wire.open(form, site.url, "", "room:1") as wire:
        assert await sent(site, wire, await begun()) == 204
        await wire.told(b'"id":7')


@pytest.mark.parametrize(("engine", "change"), [("signed_cookies", rewritten), ("cache", rotated)])
async def test_commands_are_taken_with_the_changed_cookie_of_the_same_user_alone(
    serve: Serve, settings: Any, engine: str, change: Callable[[str], Awaitable[str]]
) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    site, person, stranger = await serve(), await amake_person(), await amake_person("stranger")
    async with Wire.open("http_stream", site.url, person.cookie, "room:1") as wire:
        for other in ("", "0" * 32, stranger.session_key, await begun()):
            assert await sent(site, wire, other) == 403
        key = await change(person.session_key)
        assert key != person.session_key
        assert await sent(site, wire, key) == 204
        await wire.told(b'"id":7')


async def test_a_session_whose_key_is_replaced_in_its_table_has_the_browser_come_back(serve: Serve) -> None:
    """Its row says who is signed in until when, and the browser has another cookie now."""
    site, person = await serve(), await amake_person()
    async with Wire.open("http_stream", site.url, person.cookie, "room:1") as wire:
        key = await rotated(person.session_key)
        assert await wire.ended(2) == 3011
    async with Wire.open("http_stream", site.url, cookie_of(key), "room:1"):
        pass


async def test_the_secret_is_enough_where_no_cookie_has_opened_the_connection(serve: Serve) -> None:
    site, person, stranger = await serve(), await amake_person(), await amake_person("stranger")
    ticket = await hotclub.tokens.aticket(await sync_to_async(request_of)(person))
    for token in (hotclub.tokens.connection_token("7"), ticket):
        wire = Wire("http_stream", site.url, {"Origin": site.url})
        async with wire._stack:
            await wire._knock(b'{"id":1,"connect":{"token":"%b"}}' % token.encode())
            await wire.told(b'"connect":')
            assert await sent(site, wire, stranger.session_key) == 204
            await wire.told(b'"id":7')


def log_out(key: str, user: Any) -> None:
    """What `logout()` does, in a request with this session."""
    request = HttpRequest()
    request.session = session_store(key)
    user_logged_out.send(sender=type(user), request=request, user=user)
    request.session.flush()


async def test_signing_out_ends_what_older_copies_of_a_signed_cookie_opened(serve: Serve, settings: Any) -> None:
    settings.SESSION_ENGINE = SIGNED
    site, person, elsewhere = await serve(), await amake_person(), await amake_person("elsewhere")
    token = await sync_to_async(lambda: hotclub.tokens.connection_token(person.user, request=request_of(person)))()
    newest = await rewritten(await rewritten(person.session_key))
    site_person = Person(person.user, person.browser)
    client, other = await site.open(site_person), await site.open(elsewhere)

    await sync_to_async(log_out)(newest, person.user)

    assert await client.gone == (3503, "signed out")
    assert await sync_to_async(authenticate)(person.session_key) is None, "a copy of the cookie"
    assert await sync_to_async(authenticate)(newest) is None
    assert await fate(site, token) == 3500
    assert not other.gone.done()


def log_in(key: str, user: Any) -> str:
    """What a view does that logs somebody in, in a browser with this cookie. Returns the browser's new cookie."""
    request = HttpRequest()
    request.COOKIES[project.SESSION_COOKIE_NAME] = key
    request.session = session_store(key)
    login(request, user, backend=project.AUTHENTICATION_BACKENDS[-1])
    request.session.save()
    return request.session.session_key or ""


async def test_another_login_in_the_same_browser_ends_that_of_the_former_signed_cookie(
    serve: Serve, settings: Any
) -> None:
    settings.SESSION_ENGINE = SIGNED
    site, person, other, elsewhere = await serve(), *[await amake_person(name) for name in ("ann", "bob", "eve")]
    client, aside = await site.open(person), await site.open(elsewhere)

    again = await sync_to_async(log_in)(await rewritten(person.session_key), person.user)
    assert await sync_to_async(authenticate)(person.session_key) is not None, "the same user goes on with the login"
    assert not client.reconnecting.is_set()
    await sync_to_async(log_in)("a forged cookie", other.user)
    changed = await sync_to_async(log_in)(again, other.user)

    async with asyncio.timeout(5):
        await client.reconnecting.wait()
    assert await sync_to_async(authenticate)(person.session_key) is None, "a copy of the cookie"
    found = await sync_to_async(authenticate)(changed)
    assert found is not None
    assert found.user == other.user
    assert not aside.reconnecting.is_set()


async def test_a_signed_cookie_without_a_name_has_the_user_s_browsers_come_back(serve: Serve, settings: Any) -> None:
    settings.SESSION_ENGINE = SIGNED
    site, person = await serve(), await amake_person()
    session = await sync_to_async(lambda: session_store(person.session_key))()
    await sync_to_async(lambda: session.pop(LOGIN_KEY))()
    await sync_to_async(session.save)()
    older = session.session_key or ""
    client = await site.open(cookie=cookie_of(older))

    await sync_to_async(log_out)(await rewritten(older), person.user)

    await client.reconnecting.wait()


async def test_a_login_keeps_its_name_and_the_next_one_gets_another() -> None:
    person = await amake_person()

    @sync_to_async
    def names() -> tuple[str, str]:
        first = login_of(session_store(person.session_key), None)
        person.browser.logout()
        person.browser.force_login(person.user)
        return first, login_of(session_store(person.session_key), None)

    key = person.session_key
    before = await sync_to_async(lambda: person.login_id)()
    assert await sync_to_async(lambda: login_of(session_store(key), key))() == before
    first, second = await names()
    assert len({first, second, ""}) == 3


async def test_a_visitor_s_session_gets_no_name() -> None:
    key = await begun()

    assert await sync_to_async(lambda: LOGIN_KEY in session_store(key))() is False


async def test_a_token_ends_with_its_session_and_another_one_is_fetched(serve: Serve) -> None:
    site, person = await serve(), await amake_person()
    token = await sync_to_async(lambda: hotclub.tokens.connection_token(person.user, request=request_of(person)))()
    subscription = await sync_to_async(
        lambda: hotclub.tokens.subscription_token(person.user, "room:1", request=request_of(person))
    )()
    assert person.session_key not in token
    plain = await sync_to_async(lambda: hotclub.tokens.connection_token(person.user))()
    assert await fate(site, token) == 0

    await Session.objects.filter(pk=person.session_key).adelete()

    assert await fate(site, token) == 109
    assert await fate(site, plain) == 0
    client = await WireClient.open(site.port, headers=site.headers())
    await client.connect(token=plain)
    reply = await client.start("subscribe", channel="room:1", token=subscription)
    assert reply is not None
    client.abort()
    assert not await Revocation.objects.aexists(), "the login may go on with another key"


async def test_an_anonymous_token_that_names_a_login_ends_with_it(serve: Serve) -> None:
    site, person = await serve(), await amake_person()
    login = await sync_to_async(lambda: person.login_id)()
    client = await WireClient.open(site.port, headers=site.headers())
    await client.connect(token=hotclub.tokens.connection_token(None, claims={"sid": login}))

    await sync_to_async(person.browser.logout)()

    assert (await client.ended()).code == 3503


@pytest.mark.parametrize("end", ["signed out", "deleted"])
async def test_a_ticket_of_a_login_that_is_over_is_refused_and_makes_nobody_anonymous(serve: Serve, end: str) -> None:
    site, person = await serve(), await amake_person()
    ticket = await hotclub.tokens.aticket(await sync_to_async(request_of)(person))
    if end == "deleted":
        await Session.objects.filter(pk=person.session_key).adelete()
    else:
        await sync_to_async(person.browser.logout)()

    assert await fate(site, ticket) == 109
    assert await fate(site, ticket) == 109


async def test_a_ticket_of_a_visitor_opens_an_anonymous_connection(serve: Serve) -> None:
    site = await serve()
    request = HttpRequest()
    request.session = await sync_to_async(session_store)(await begun())
    assert await sync_to_async(lambda: SESSION_KEY in request.session)() is False

    assert await fate(site, await hotclub.tokens.aticket(request)) == 0
