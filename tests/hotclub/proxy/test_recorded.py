"""What a stand-alone server really asks: `requests.jsonl` holds requests that the reference server sent while SDK
clients were connected to it, and the fields that matter to it in the answers. `$` marks what differs from run to run.
"""

import json
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.urls import include, path

import hotclub
import hotclub.proxy
import hotclub.tokens
from hotclub.access.sealing import seal
from hotclub.models import Entry
from tests.hotclub.conftest import Person, amake_person
from tests.hotclub.proxy.proxied import LOG, SECRET, Board, Prices, Room, add, post

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.hotclub.proxy.test_recorded")]

Configure = Callable[..., None]
Declare = Callable[..., None]

urlpatterns = [
    path("hooks/", include(hotclub.proxy.urls(secret=SECRET, recheck=timedelta(seconds=30)))),
    path("for-good/", include(hotclub.proxy.urls(secret=SECRET))),
]
LINES = (Path(__file__).parent / "requests.jsonl").read_text().splitlines()
RECORDED: list[dict[str, Any]] = [json.loads(line) for line in LINES]


class Kept(hotclub.Channel):
    pattern = "kept:<str:name>"
    history = hotclub.History(size=10, ttl=LOG.ttl, durable=True)

    def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return True

    def can_publish(self, client: hotclub.Client, name: str) -> bool:
        return True

    def on_publish(self, client: hotclub.Client, data: Any, name: str) -> Any:
        if data == "swallow":
            hotclub.publish(f"kept:{name}", "rolled back")
            return None
        return hotclub.publish(f"kept:{name}", {"own": 1}, tags={"a": "b"}) if data == "self" else {"kept": data}


class Delta(Kept):
    pattern = "delta:<str:name>"
    history = LOG
    delta = True

    def on_publish(self, client: hotclub.Client, data: Any, name: str) -> Any:
        return hotclub.Position("e", 1) if data == "elsewhere" else data


class Filtered(Kept):
    pattern = "filtered:<str:name>"

    def tags_filter(self, client: hotclub.Client, name: str) -> Callable[[Mapping[str, str]], bool]:
        return lambda tags: tags.get("public") == "yes"


class Signed(hotclub.Channel):
    pattern = "signed"
    token = True


class DeltaBoard(Board):
    pattern = "deltaboard:<str:name>"
    delta = True


@pytest.fixture(autouse=True)
def _project(declare: Declare) -> None:
    declare(Room, Kept, Delta, Filtered, Signed, Board, DeltaBoard, Prices, add)


async def ask(hook: str, body: Any, person: Person | None = None, under: str = "hooks") -> Any:
    answer = await post(hook, body, person, under=under)
    assert answer.status_code == 200
    return answer.json()


def filled(recorded: Any, values: Mapping[str, str]) -> Any:
    """A recorded text with the values of this run."""
    text = json.dumps(recorded)
    for name, value in values.items():
        text = text.replace(f"${name}", value)
    return json.loads(text)


def holds(expected: Any, answer: Any) -> bool:
    if isinstance(expected, dict):
        return all(name in answer and holds(value, answer[name]) for name, value in expected.items())
    if expected == "$soon":
        return bool(0 < answer - time.time() <= 61)
    return bool(expected == answer)


async def test_the_questions_of_the_reference_server_are_answered() -> None:
    person = await amake_person("alice")
    values = {
        "user": str(person.user.pk),
        "name": "alice",
        "login": seal(person.session_key),
    }

    for asked in RECORDED:
        answer = await ask(asked["hook"], filled(asked["body"], values), person)
        assert holds(filled(asked["answer"], values), answer), (asked, answer)


def test_every_hook_was_recorded() -> None:
    assert {asked["hook"] for asked in RECORDED} == {
        *("connect", "refresh", "subscribe", "sub_refresh", "publish", "rpc"),
        *("map_publish", "map_remove", "shared_poll_refresh"),
    }


async def test_what_a_hook_has_published_itself_is_what_the_server_publishes() -> None:
    body = {"user": "5", "channel": "kept:1", "data": "self"}

    assert await ask("publish", body) == {"result": {"data": {"own": 1}, "tags": {"a": "b"}}}


async def test_nothing_cannot_be_told_and_is_undone() -> None:
    """The server publishes whatever is not refused: an answer without data would publish what the client sent."""
    for channel in ("room:1", "kept:1"):
        person = await amake_person(channel[:4])
        body = {"user": str(person.user.pk), "channel": channel, "data": "swallow"}
        assert (await ask("publish", body))["error"]["code"] == 108

    assert not await Entry.objects.filter(stream__channel="kept:1").aexists()
    elsewhere = {"user": "5", "channel": "delta:1", "data": "elsewhere"}
    assert (await ask("publish", elsewhere))["error"]["code"] == 108


async def test_differences_are_asked_for_where_the_class_has_them() -> None:
    key = {"user": "5", "key": "k", "data": 1}

    assert (await ask("publish", {"user": "5", "channel": "delta:1", "data": 1}))["result"] == {
        "data": 1,
        "delta": True,
    }
    assert (await ask("map_publish", {**key, "channel": "deltaboard:1"}))["result"]["delta"] is True
    assert "delta" not in (await ask("map_publish", {**key, "channel": "board:1"}))["result"]
    assert "delta" not in (await ask("map_remove", {**key, "channel": "deltaboard:1"}))["result"]


async def test_a_filter_that_the_server_cannot_run_is_not_left_out() -> None:
    assert (await ask("subscribe", {"user": "5", "channel": "filtered:1"}))["error"]["code"] == 108


async def test_a_subscription_lives_as_long_as_the_project_wants() -> None:
    body = {"user": "5", "channel": "room:1"}

    assert 25 <= (await ask("subscribe", body))["result"]["expire_at"] - time.time() <= 30
    assert 25 <= (await ask("sub_refresh", body))["result"]["expire_at"] - time.time() <= 30
    assert "expire_at" not in (await ask("subscribe", body, under="for-good"))["result"]


async def test_a_subscription_by_a_token_lives_as_long_as_the_token(hotclub_settings: Configure) -> None:
    """The server shows no token when it asks again, so nothing could be said then."""
    hotclub_settings(TOKENS={"HMAC_SECRET": "s" * 40})
    body = {"user": "5", "channel": "signed"}
    for ttl in (None, 3_000):
        token = hotclub.tokens.subscription_token("5", "signed", ttl=ttl)
        result = (await ask("subscribe", {**body, "token": token}))["result"]
        assert (result["expire_at"] > time.time() + 2_000) if ttl else ("expire_at" not in result)
    assert (await ask("sub_refresh", body))["result"] == {"expired": True}


async def test_a_token_s_override_is_handed_on(hotclub_settings: Configure) -> None:
    hotclub_settings(TOKENS={"HMAC_SECRET": "s" * 40})
    hide = {"presence": {"value": False}, "force_recovery": {"value": True}}
    token = hotclub.tokens.subscription_token("5", "room:1", claims={"override": hide})

    answer = await ask("subscribe", {"user": "5", "channel": "room:1", "token": token})

    assert answer["result"]["override"] == hide


async def test_where_a_channel_stands_is_not_for_us_to_say() -> None:
    body = {"user": "5", "method": "hotclub.state", "data": {"channel": "room:1"}}

    assert (await ask("rpc", body))["error"]["code"] == 108
