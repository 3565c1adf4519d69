"""Tokens and tickets at the door: who gets in, who is told what, and when it ends."""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
import jwt
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.test import RequestFactory

import hotclub
import hotclub.tokens
from hotclub.access.tickets import redeem
from hotclub.access.tokens import InvalidToken, verify_connection
from hotclub.channels.client import TokenUser
from hotclub.engine.errors import Refused
from hotclub.serving.redaction import Redaction, redact
from tests.hotclub.conf.test_token_keys import EC, RSA, pem, private_pem
from tests.hotclub.conftest import Person, Site, amake_person
from tests.support.proxy import FaultProxy
from tests.support.pypi import PypiClient
from tests.support.wire import Closed, ErrorReply, WireClient

pytestmark = pytest.mark.django_db(transaction=True)

Serve = Callable[..., Awaitable[Site]]
Configure = Callable[..., None]
Declare = Callable[..., None]

SECRET = "a secret of more than thirty-two bytes"
TOKENS = {
    "HMAC_SECRET": SECRET,
    "KEYS": [
        {"ALGORITHM": "RS256", "KEY": pem(RSA), "KID": "rsa"},
        {"ALGORITHM": "ES256", "KEY": pem(EC), "KID": "ec", "ISSUER": "there"},
    ],
}


class Room(hotclub.Channel):
    pattern = "room:<str:name>"
    history = hotclub.History(size=10, ttl=timedelta(minutes=5))
    presence = True

    async def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return name != "shut"


class Signed(hotclub.Channel):
    pattern = "signed:<str:name>"
    token = True
    presence = True


class Both(hotclub.Channel):
    pattern = "both:<str:name>"
    token = True

    async def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return name == "good"


@hotclub.rpc("who")
def who(client: hotclub.Client) -> Any:
    return {"user": client.user_id, "known": not isinstance(client.user, TokenUser), "meta": client.meta}


@pytest.fixture(autouse=True)
def _project(declare: Declare, hotclub_settings: Configure) -> None:
    declare(Room, Signed, Both, who)
    hotclub_settings(TOKENS=TOKENS, ON_CONNECT=None)


def made(**claims: Any) -> str:
    return jwt.encode(claims, SECRET, algorithm="HS256")


def forged(header: dict[str, Any], claims: dict[str, Any], secret: str | None = None) -> str:
    """A token that a library would not make."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    text = b".".join(parts)
    signature = b"" if secret is None else hmac.digest(secret.encode(), text, hashlib.sha256)
    return (text + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def soon(seconds: float = 60) -> int:
    return int(time.time() + seconds)


async def opened(site: Site, token: str = "", person: Person | None = None) -> WireClient:
    client = await WireClient.open(site.port, headers=site.headers(person))
    try:
        await client.connect(**({"token": token} if token else {}))
    except BaseException:
        client.abort()
        raise
    return client


async def fate(site: Site, token: str, person: Person | None = None) -> int:
    """The code that connecting with this token ends with; 0 for a connection."""
    try:
        client = await opened(site, token, person)
    except ErrorReply as error:
        return error.code
    except Closed as end:
        return end.code
    client.abort()
    return 0


async def refusal(call: Awaitable[Any]) -> int:
    """The code of an error reply or of the end."""
    with pytest.raises((ErrorReply, Closed)) as refused:
        await call
    assert isinstance(refused.value, ErrorReply | Closed)
    return refused.value.code


async def test_a_token_says_who_somebody_is(serve: Serve) -> None:
    site = await serve()
    person = await amake_person()

    client = await opened(site, made(sub=str(person.user.pk), info={"name": "D"}, meta={"plan": "x"}, exp=soon()))
    stranger = await opened(site, made(sub="somebody-else"))

    assert (await client.call("rpc", method="who"))["data"] == {
        "user": str(person.user.pk),
        "known": True,
        "meta": {"plan": "x"},
    }
    await client.subscribe("room:1")
    [member] = (await client.call("presence", channel="room:1"))["presence"].values()
    assert member["conn_info"] == {"name": "D"}
    assert (await stranger.call("rpc", method="who"))["data"]["known"] is False
    client.abort()
    stranger.abort()


async def test_a_token_wins_over_the_cookie(serve: Serve) -> None:
    site = await serve()
    person = await amake_person()

    client = await opened(site, made(sub="9999"), person)

    assert (await client.call("rpc", method="who"))["data"]["user"] == "9999"
    assert await fate(site, "nonsense", person) == 3500
    client.abort()


async def test_a_token_without_subject_is_anonymous_and_welcome(serve: Serve) -> None:
    site = await serve()

    assert await fate(site, made(iat=1)) == 0
    assert await fate(site, made(sub="")) == 0
    assert await fate(site, "") == 3501


GOOD = {"sub": "42"}
HOSTILE = {
    "nothing": "x",
    "dots": "..",
    "alg none": forged({"alg": "none"}, GOOD),
    "alg None": forged({"alg": "None"}, GOOD, ""),
    "no alg": forged({"typ": "JWT"}, GOOD, SECRET),
    "another secret": jwt.encode(GOOD, "x" * 32, algorithm="HS256"),
    "another algorithm": jwt.encode(GOOD, SECRET + SECRET, algorithm="HS512"),
    "HS256 with the public key": forged({"alg": "HS256", "kid": "rsa"}, GOOD, pem(RSA)),
    "HS256 with the EC key": forged({"alg": "HS256", "kid": "ec"}, GOOD, pem(EC)),
    "jku": jwt.encode(GOOD, SECRET, headers={"jku": "https://evil.example/keys"}),
    "x5u": jwt.encode(GOOD, SECRET, headers={"x5u": "https://evil.example/keys"}),
    "jwk": jwt.encode(GOOD, SECRET, headers={"jwk": {"kty": "oct", "k": "eA"}}),
    "crit": jwt.encode(GOOD, SECRET, headers={"crit": ["exp"], "exp": 1}),
    "kid of another kind": forged({"alg": "HS256", "kid": {"a": 1}}, GOOD, SECRET),
    "kid as a path": forged({"alg": "HS256", "kid": "../../../../dev/null"}, GOOD, ""),
    "kid as SQL": forged({"alg": "HS256", "kid": "' UNION SELECT 'x"}, GOOD, "x"),
    "kid of another issuer": jwt.encode(GOOD, private_pem(EC), algorithm="ES256", headers={"kid": "ec"}),
    "a channel": made(sub="42", channel="room:1"),
    "an empty channel": made(sub="42", channel=""),
    "a number as subject": forged({"alg": "HS256"}, {"sub": 42}, SECRET),
    "text as time": forged({"alg": "HS256"}, {"sub": "42", "exp": "tomorrow"}, SECRET),
    "claims that are a list": forged({"alg": "HS256"}, [], SECRET),  # type: ignore[arg-type]
    "channels that are text": forged({"alg": "HS256"}, {"channels": "room:1"}, SECRET),
    "info that is no payload": made(sub="42", b64info="?"),
    "much too long": made(sub="4" * 20_000),
    "letters of another alphabet": "ключ.ключ.ключ",
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_token_opens_nothing(serve: Serve, name: str) -> None:
    assert await fate(await serve(), HOSTILE[name]) == 3500


async def test_times_are_judged_with_leeway(serve: Serve) -> None:
    site = await serve()

    assert await fate(site, made(sub="1", exp=soon(-25))) == 0
    assert await fate(site, made(sub="1", exp=soon(-35))) == 109
    assert await fate(site, made(sub="1", nbf=soon(60))) == 109
    assert await fate(site, made(sub="1", nbf=soon(-1))) == 0
    assert await fate(site, made(sub="1", expire_at=soon(-1))) == 110
    assert await fate(site, made(sub="1", exp=soon(-35), expire_at=0)) == 109


async def test_a_key_of_each_kind_verifies(serve: Serve) -> None:
    site = await serve()
    elsewhere = {"sub": "1", "iss": "there"}

    assert await fate(site, jwt.encode(GOOD, private_pem(RSA), algorithm="RS256", headers={"kid": "rsa"})) == 0
    assert await fate(site, jwt.encode(elsewhere, private_pem(EC), algorithm="ES256", headers={"kid": "ec"})) == 0


async def test_audience_and_issuer_count_when_they_are_asked_for(serve: Serve, hotclub_settings: Configure) -> None:
    site = await serve()
    assert await fate(site, made(sub="1", aud="anything", iss="anybody")) == 0

    hotclub_settings(TOKENS={**TOKENS, "AUDIENCE": "us", "ISSUER": ["me"]})
    site = await serve()

    assert await fate(site, made(sub="1", aud=["us", "them"], iss="me")) == 0
    assert await fate(site, made(sub="1", aud="them", iss="me")) == 3500
    assert await fate(site, made(sub="1", iss="me")) == 3500
    assert await fate(site, made(sub="1", aud="us", iss="somebody")) == 3500


async def test_without_the_setting_no_token_is_known(serve: Serve, hotclub_settings: Configure) -> None:
    hotclub_settings(TOKENS=None)

    assert await fate(await serve(), made(sub="1")) == 3500


async def test_a_token_s_channels_are_subscribed_by_the_server(serve: Serve) -> None:
    site = await serve()
    subs = {"room:shut": {"data": {"hi": 1}, "info": {"who": "me"}, "override": {"presence": {"value": True}}}}
    client = await WireClient.open(site.port, headers=site.headers())

    result = await client.connect(token=made(sub="7", subs=subs, channels=["room:2"]))
    await hotclub.apublish("room:shut", "news")

    assert set(result["subs"]) == {"#7", "room:shut"}
    assert result["subs"]["room:shut"]["data"] == {"hi": 1}
    assert (await client.publications("room:shut", 1))[0]["data"] == "news"
    assert await refusal(client.subscribe("room:shut")) == 105
    client.abort()


async def test_a_connection_is_refreshed_by_its_own_kind_of_token(serve: Serve) -> None:
    site = await serve()
    client = await WireClient.open(site.port, headers=site.headers())
    result = await client.connect(token=made(sub="7", exp=soon(60), channels=["room:1"]))
    assert result["expires"] is True
    assert 55 <= result["ttl"] <= 60

    refreshed = await client.call("refresh", token=made(sub="7", exp=soon(300), channels=["room:1"]))

    assert refreshed["expires"] is True
    assert 290 <= refreshed["ttl"] <= 300
    assert await client.call("refresh", token=made(sub="7", channels=["room:1"])) == {}
    client.abort()


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"sub": "8"}, 3500),
        ({"sub": "7", "exp": 1}, 3005),
        ({"sub": "7", "channels": ["room:1"]}, 3010),
        ({"sub": "7", "channel": "room:1"}, 3500),
        (None, 3500),
    ],
)
async def test_a_refresh_that_does_not_fit_ends_the_connection(serve: Serve, claims: Any, code: int) -> None:
    client = await opened(await serve(), made(sub="7", exp=soon()))

    token = "nonsense" if claims is None else made(**claims)

    assert await refusal(client.call("refresh", token=token)) == code


async def test_a_connection_without_token_is_not_refreshed(serve: Serve) -> None:
    client = await opened(await serve(), person=await amake_person())

    assert await refusal(client.call("refresh", token=made(sub="7"))) == 3501


async def test_a_signed_channel_wants_a_token(serve: Serve) -> None:
    client = await opened(await serve(), made(sub="7"))

    assert await refusal(client.subscribe("signed:1")) == 103
    assert await refusal(client.call("presence", channel="signed:1")) == 103
    token = made(sub="7", channel="signed:1", exp=soon(60), info={"a": 1}, data={"b": 2}, client=client.client_id)
    result = await client.subscribe("signed:1", token=token)

    assert result["expires"] is True
    assert result["data"] == {"b": 2}
    [member] = (await client.call("presence", channel="signed:1"))["presence"].values()
    assert member["chan_info"] == {"a": 1}
    assert await refusal(client.subscribe("both:bad", token=made(sub="7", channel="both:bad"))) == 103
    await client.subscribe("both:good", token=made(sub="7", channel="both:good"))
    await client.call("unsubscribe", channel="signed:1")
    assert await refusal(client.call("presence", channel="signed:1")) == 103
    client.abort()


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"sub": "7", "channel": "room:2"}, 3500),
        ({"sub": "8", "channel": "room:1"}, 3500),
        ({"sub": "7", "channel": "room:1", "client": "another"}, 3500),
        ({"sub": "7", "channel": "room:1", "exp": 1}, 109),
        ({"sub": "7", "channel": "room:1", "nbf": 4_000_000_000}, 109),
        ({"sub": "7"}, 103),
        ({"sub": "7", "channel": ""}, 103),
        (None, 103),
    ],
)
async def test_a_subscription_token_that_does_not_fit(serve: Serve, claims: Any, code: int) -> None:
    client = await opened(await serve(), made(sub="7"))

    token = "nonsense" if claims is None else made(**claims)

    assert await refusal(client.subscribe("room:1", token=token)) == code


async def test_a_subscription_is_refreshed_also_without_naming_its_channel(serve: Serve) -> None:
    client = await opened(await serve(), made(sub="7"))
    await client.subscribe("room:1", token=made(sub="7", channel="room:1", exp=soon(60)))
    fresh = made(sub="7", channel="room:1", exp=soon(300))

    assert (await client.call("sub_refresh", channel="room:1", token=fresh))["ttl"] >= 290
    assert (await client.call("sub_refresh", token=fresh))["expires"] is True
    assert await refusal(client.call("sub_refresh", channel="room:1")) == 107
    assert await refusal(client.call("sub_refresh", channel="room:2", token=fresh)) == 103
    assert await refusal(client.call("sub_refresh", token=made(sub="7", channel="room:1", exp=1))) == 3006


@pytest.mark.parametrize(
    ("claims", "code"), [({"sub": "8", "channel": "room:1"}, 3500), ({"sub": "7", "channel": "room:2"}, 3500)]
)
async def test_a_foreign_token_refreshes_no_subscription(serve: Serve, claims: Any, code: int) -> None:
    client = await opened(await serve(), made(sub="7"))
    await client.subscribe("room:1", token=made(sub="7", channel="room:1", exp=soon(60)))

    assert await refusal(client.call("sub_refresh", channel="room:1", token=made(**claims))) == code


async def test_a_refresh_without_any_channel_is_malformed(serve: Serve) -> None:
    client = await opened(await serve(), made(sub="7"))

    assert await refusal(client.call("sub_refresh", token="nonsense")) == 107


# ------------------------------------------------------------------------------------------------------ helpers, ends


def request_of(person: Person) -> Any:
    request = RequestFactory().get("/")
    request.session = person.browser.session
    request.user = person.user
    return request


async def test_what_the_helpers_make_opens_connections_and_channels(serve: Serve) -> None:
    site = await serve()
    person = await amake_person()
    token = hotclub.tokens.connection_token(person.user, info={"a": 1}, channels=["room:1"], meta={"m": 1})

    client = await opened(site, token)
    await client.subscribe("signed:1", token=hotclub.tokens.subscription_token(person.user, "signed:1", data=1))

    assert (await client.call("rpc", method="who"))["data"]["meta"] == {"m": 1}
    assert verify_connection(hotclub.tokens.connection_token(None)).sub == ""
    assert verify_connection(hotclub.tokens.connection_token(5, ttl=None)).exp is None
    client.abort()


async def test_signing_out_ends_the_connections_of_a_token_and_the_token(serve: Serve) -> None:
    site = await serve()
    person = await amake_person()
    token = await sync_to_async(lambda: hotclub.tokens.connection_token(person.user, request=request_of(person)))()
    client = await opened(site, token)

    await sync_to_async(person.browser.logout)()

    assert (await client.ended()).code == 3503
    assert await fate(site, token) == 3500


async def test_a_new_password_or_a_deactivated_user_ends_the_tokens(serve: Serve) -> None:
    site = await serve()
    person = await amake_person()
    first = hotclub.tokens.connection_token(person.user)
    client = await opened(site, first)
    person.user.set_password("daphne")
    await person.user.asave()

    assert (await client.ended()).code == 3011
    assert await fate(site, first) == 3500
    second = hotclub.tokens.connection_token(person.user)
    assert await fate(site, second) == 0
    await get_user_model()._default_manager.filter(pk=person.user.pk).aupdate(is_active=False)
    assert await fate(site, second) == 3500
    third = hotclub.tokens.connection_token(person.user)
    await person.user.adelete()
    assert await fate(site, third) == 3500


def test_a_token_that_would_outlive_what_is_known_of_its_session_is_not_made() -> None:
    with pytest.raises(ValueError, match="30 days"):
        hotclub.tokens.connection_token(None, ttl=timedelta(days=31), request=RequestFactory().get("/"))


# ------------------------------------------------------------------------------------------------------------ tickets


async def test_a_ticket_is_the_session_once(serve: Serve) -> None:
    site = await serve()
    person = await amake_person()
    text = await hotclub.tokens.aticket(request_of(person))

    client = await opened(site, text)

    assert (await client.call("rpc", method="who"))["data"]["user"] == str(person.user.pk)
    assert await fate(site, text) == 109
    assert await fate(site, "t.nothing") == 109
    await sync_to_async(person.browser.logout)()
    assert (await client.ended()).code == 3503


async def test_of_two_who_race_with_a_ticket_exactly_one_wins(serve: Serve) -> None:
    site = await serve()
    person = await amake_person()

    for _ in range(5):
        text = await hotclub.tokens.aticket(request_of(person))
        outcomes = await asyncio.gather(*(fate(site, text) for _ in range(4)))
        assert sorted(outcomes) == [0, 109, 109, 109]


async def test_an_sdk_that_comes_back_gets_another_ticket(serve: Serve) -> None:
    """SDKs keep the token that they connected with, and a ticket is good only once."""
    site = await serve()
    person = await amake_person()
    async with (
        FaultProxy(site.port) as proxy,
        PypiClient.connected(proxy.port, get_token=lambda: hotclub.tokens.aticket(request_of(person))) as client,
    ):
        proxy.cut()
        await client.until(lambda: len(client.contexts("connected")) == 2)


async def test_a_ticket_is_over_after_thirty_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.utils import timezone

    person = await amake_person()
    text = await hotclub.tokens.aticket(request_of(person))
    now = timezone.now()

    monkeypatch.setattr("django.utils.timezone.now", lambda: now + timedelta(seconds=31))
    assert await sync_to_async(redeem)(text) is None
    monkeypatch.setattr("django.utils.timezone.now", lambda: now + timedelta(seconds=29))
    assert await sync_to_async(redeem)(text) == person.session_key


async def sse(site: Site, token: str) -> str:
    command = json.dumps({"id": 1, "connect": {"token": token}})
    async with httpx.AsyncClient(verify=False, trust_env=False, timeout=5) as http:
        url = f"{site.url}/connection/sse?cf_connect={quote(command)}"
        async with http.stream("GET", url, headers=site.headers()) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    return line
    return ""


async def test_a_long_lived_token_may_not_stand_in_a_url(serve: Serve, hotclub_settings: Configure) -> None:
    site = await serve()
    person = await amake_person()

    assert "3500" in await sse(site, made(sub="7"))
    assert "3500" in await sse(site, made(sub="7", exp=soon(3600)))
    assert '"connect"' in await sse(site, made(sub="7", exp=soon(300)))
    assert '"connect"' in await sse(site, await hotclub.tokens.aticket(request_of(person)))
    hotclub_settings(INSECURE=True)
    assert '"connect"' in await sse(await serve(), made(sub="7"))


def test_credentials_in_urls_stay_out_of_the_logs() -> None:
    record = logging.LogRecord("uvicorn.access", 20, "", 0, "%s %s", ("GET", "/sse?cf_connect=secret&a=b"), None)

    assert Redaction().filter(record)
    assert record.getMessage() == "GET /sse?cf_connect=…&a=b"
    assert redact("/api/info?api_key=k") == "/api/info?api_key=…"


# ---------------------------------------------------------------------------------------------- welcome, subscribe


def welcome(client: hotclub.Client) -> hotclub.Welcome:
    return hotclub.Welcome(data={"hello": 1}, channels={"room:1": {"first": True}, "room:shut": None})


async def test_the_connect_hook_subscribes_and_the_client_recovers(serve: Serve, hotclub_settings: Configure) -> None:
    hotclub_settings(ON_CONNECT="tests.hotclub.access.test_admission.welcome")
    site = await serve()
    token = made(sub="7")
    headers = site.headers()
    port = site.port
    client = await WireClient.open(port, headers=headers)
    first = await client.connect(token=token)
    client.abort()
    await hotclub.apublish("room:1", "missed")

    again = await WireClient.open(port, headers=headers)
    known = first["subs"]["room:1"]
    asked = {"room:1": {"recover": True, "epoch": known["epoch"], "offset": known.get("offset", 0)}}
    second = await again.connect(token=token, subs=asked)

    assert first["data"] == {"hello": 1}
    assert set(first["subs"]) == {"room:1", "room:shut", "#7"}
    assert known["data"] == {"first": True}
    assert second["subs"]["room:1"]["recovered"] is True
    assert [item["data"] for item in second["subs"]["room:1"]["publications"]] == ["missed"]
    again.abort()


async def test_a_client_that_comes_back_keeps_what_the_server_subscribed_it_to(serve: Serve) -> None:
    """And not because it says so: only what was given, to this user, and not taken away meanwhile."""
    site = await serve()
    known: dict[str, Any] = {"room:shut": {"recover": True}}

    async def connect(user: str) -> tuple[WireClient, set[str]]:
        client = await WireClient.open(site.port, headers=site.headers())
        result = await client.connect(token=made(sub=user), subs=known)
        return client, set(result["subs"])

    first, before = await connect("7")
    await hotclub.asubscribe("room:shut", user=7, data={"hi": 1})
    await first.push("subscribe", "room:shut")
    # The old connection may still look alive when the new one comes, or be gone.
    second, beside = await connect("7")
    for client in (first, second):
        client.abort()
        await client.ended()
    third, after = await connect("7")
    _, stranger = await connect("8")
    third.abort()
    await hotclub.aunsubscribe("room:shut", user=7)
    _, taken_away = await connect("7")

    assert before == {"#7"}
    assert beside == after == {"#7", "room:shut"}
    assert (stranger, taken_away) == ({"#8"}, {"#7"})


async def test_a_live_connection_is_subscribed_and_unsubscribed_from_anywhere(serve: Serve) -> None:
    site = await serve()
    person = await amake_person()
    client = await opened(site, person=person)

    await hotclub.asubscribe("room:shut", user=person.user, data={"hi": 1}, info={"i": 1})

    assert (await client.push("subscribe", "room:shut"))["data"] == {"hi": 1}
    await hotclub.apublish("room:shut", "x")
    assert (await client.publications("room:shut", 1))[0]["data"] == "x"
    await hotclub.aunsubscribe("room:shut", user=person.user)
    assert (await client.push("unsubscribe", "room:shut"))["code"] == 2000
    with pytest.raises(TypeError):
        await hotclub.asubscribe("room:1")
    with pytest.raises(Refused):
        await hotclub.asubscribe("nowhere", user=person.user)
    client.abort()


async def test_another_process_can_subscribe_a_connection(serve: Serve) -> None:
    from hotclub.engine.target import Target
    from hotclub.orders.messages import Subscribe
    from hotclub.orders.send import send

    site = await serve()
    client = await opened(site, made(sub="7"))

    await sync_to_async(send)(Subscribe(Target(user_id="7"), "room:1"))

    await client.push("subscribe", "room:1")
    client.abort()


class Loose(hotclub.Channel):
    pattern = "loose:<str:name>"
    presence = True
    history = hotclub.History(size=10, ttl=timedelta(minutes=5))


class Tight(Loose):
    pattern = "tight:<str:name>"

    def can_publish(self, client: hotclub.Client, name: str) -> bool:
        return False


async def test_insecure_is_open_but_for_what_a_class_forbids(
    serve: Serve, declare: Declare, hotclub_settings: Configure
) -> None:
    declare(Loose, Tight, Signed, Room)
    hotclub_settings(INSECURE=True)
    site = await serve()
    client = await opened(site)

    for channel in ("loose:1", "tight:1", "signed:1"):
        await client.subscribe(channel)
    await client.publish("loose:1", "x")
    assert await refusal(client.publish("tight:1", "x")) == 103
    assert await refusal(client.subscribe("room:shut")) == 103
    assert (await client.call("history", channel="loose:2", limit=1))["offset"] == 0
    assert (await client.call("presence", channel="loose:2"))["presence"] == {}
    assert await fate(site, "nonsense") == 3500
    assert await refusal(client.subscribe("loose:3", token="nonsense")) == 103
    assert await refusal(opened(site, made(sub="7", exp=soon(-60)))) == 109
    assert (await client.subscribe("loose:3", token=made(channel="loose:3", exp=soon(60))))["expires"] is True
    mine = await WireClient.open(site.port, headers=site.headers())
    assert "expires" not in await mine.connect(token=made(sub="7", exp=soon(60)))
    await mine.publish("#7", "to myself")
    assert (await mine.publications("#7", 1))[0]["data"] == "to myself"
    client.abort()
    mine.abort()


def test_a_verdict_holds_no_token() -> None:
    with pytest.raises(InvalidToken) as refused:
        verify_connection(made(sub="7") + "x")
    assert made(sub="7") not in str(refused.value)
