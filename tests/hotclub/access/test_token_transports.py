"""Tokens and tickets on every transport that takes them: what opens a connection, and which code refuses it."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import hotclub
import hotclub.tokens
from tests.hotclub.access.test_admission import SECRET, forged, request_of, soon
from tests.hotclub.conf.test_token_keys import EC, ED, RSA, jwks, pem, private_pem
from tests.hotclub.conftest import Site, amake_person
from tests.hotclub.transports import FORMS, Wire

pytestmark = pytest.mark.django_db(transaction=True)

Serve = Callable[..., Awaitable[Site]]
Configure = Callable[..., None]
Declare = Callable[..., None]

TWO_WAY = [form for form in FORMS if not form.startswith("uni_")]


class Room(hotclub.Channel):
    pattern = "room:<str:name>"
    history = hotclub.History(size=10, ttl=timedelta(minutes=5))

    async def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return True


@pytest.fixture(autouse=True)
def _project(declare: Declare, hotclub_settings: Configure) -> None:
    declare(Room)
    keys = [{"ALGORITHM": "RS256", "KEY": pem(RSA), "KID": "rsa"}]
    hotclub_settings(TOKENS={"HMAC_SECRET": SECRET, "KEYS": keys, "AUDIENCE": "us", "ISSUER": "me"})


def claims(**others: Any) -> dict[str, Any]:
    return {"sub": "7", "aud": "us", "iss": "me", "exp": soon(60), **others}


def made(**others: Any) -> str:
    return jwt.encode(claims(**others), SECRET, algorithm="HS256")


@pytest.mark.parametrize("form", FORMS)
async def test_a_token_opens_or_is_refused_with_the_right_code(serve: Serve, form: str) -> None:
    site = await serve()
    expired = 3005 if form.startswith("uni_") else 109
    cases = {
        "good": (made(), 0),
        "good by RSA": (jwt.encode(claims(), private_pem(RSA), algorithm="RS256", headers={"kid": "rsa"}), 0),
        "expired within the leeway": (made(exp=soon(-20)), 0),
        "expired": (made(exp=soon(-40)), expired),
        "not yet valid": (made(nbf=soon(60)), expired),
        "another audience": (made(aud="them"), 3500),
        "another issuer": (made(iss="you"), 3500),
        "no algorithm": (forged({"alg": "none"}, claims()), 3500),
        "the public key as a secret": (forged({"alg": "HS256", "kid": "rsa"}, claims(), pem(RSA)), 3500),
        "the key's other algorithm": (
            jwt.encode(claims(), private_pem(RSA), algorithm="RS512", headers={"kid": "rsa"}),
            3500,
        ),
        "its own key": (jwt.encode(claims(), SECRET, headers={"jku": "https://evil.example/"}), 3500),
        "a subscription's": (made(channel="room:1"), 3500),
        "another secret": (jwt.encode(claims(), "x" * 32), 3500),
    }

    assert {name: await Wire.fate(form, site.url, token) for name, (token, _) in cases.items()} == {
        name: code for name, (_, code) in cases.items()
    }


@pytest.mark.parametrize("form", TWO_WAY)
async def test_a_subscription_token_is_refused_with_the_right_code(serve: Serve, form: str) -> None:
    site = await serve()
    cases = {
        "good": (made(channel="room:1"), 0),
        "expired": (made(channel="room:1", exp=soon(-40)), 109),
        "ended": (made(channel="room:1", expire_at=soon(-1)), 110),
        "another channel": (made(channel="room:2"), 3500),
        "another user": (made(channel="room:1", sub="8"), 3500),
        "another connection": (made(channel="room:1", client="x"), 3500),
        "another audience": (made(channel="room:1", aud="them"), 103),
        "a connection's": (made(), 103),
        "no algorithm": (forged({"alg": "none"}, claims(channel="room:1")), 103),
    }

    assert {
        name: await Wire.fate(form, site.url, made(), channel="room:1", token=token)
        for name, (token, _) in cases.items()
    } == {name: code for name, (_, code) in cases.items()}


@pytest.mark.parametrize("form", FORMS)
async def test_of_two_connections_with_one_ticket_exactly_one_wins(serve: Serve, form: str) -> None:
    site = await serve()
    ticket = await hotclub.tokens.aticket(request_of(await amake_person()))

    outcomes = await asyncio.gather(Wire.fate(form, site.url, ticket), Wire.fate("websocket", site.url, ticket))

    used_up = 3005 if form.startswith("uni") else 109
    assert sorted(outcomes) in ([0, 109], [0, used_up])
    assert await Wire.fate(form, site.url, ticket) == used_up


async def test_keys_of_a_file_are_taken_and_taken_back_while_the_site_runs(
    serve: Serve, hotclub_settings: Configure, tmp_path: Path
) -> None:
    path, newer = tmp_path / "keys.json", ec.generate_private_key(ec.SECP256R1())
    jwks(path, ("RS256", RSA, "r"), ("ES256", EC, "e"), ("EdDSA", ED, "d"))
    hotclub_settings(TOKENS={"JWKS_FILE": path})
    site = await serve()
    signed = {
        kid: jwt.encode({"sub": "7"}, private_pem(key), algorithm=name, headers={"kid": kid})
        for name, key, kid in (("RS256", RSA, "r"), ("ES256", EC, "e"), ("EdDSA", ED, "d"), ("ES256", newer, "new"))
    }

    async def fates() -> dict[str, int]:
        return {kid: await Wire.fate("websocket", site.url, token) for kid, token in signed.items()}

    assert await fates() == {"r": 0, "e": 0, "d": 0, "new": 3500}
    jwks(path, ("ES256", newer, "new"), ("EdDSA", ED, "d"))
    os.utime(path, ns=(1, 1))
    assert await fates() == {"r": 3500, "e": 3500, "d": 0, "new": 0}
