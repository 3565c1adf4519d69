"""What a stand-alone server really asks: `proxy_requests.jsonl` holds requests that the reference server sent while SDK
clients were connected to it, and the fields that matter to it in the answers. `$` marks what differs from run to run.
"""

import json
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import AsyncClient
from django.urls import include, path

import hotclub
import hotclub.proxy
from hotclub.models import Entry
from tests.hotclub.conftest import Person, amake_person

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.hotclub.test_proxy_recorded")]

Configure = Callable[..., None]
Declare = Callable[..., None]

SECRET = "between the two of us alone"
urlpatterns = [
    path("hooks/", include(hotclub.proxy.urls(secret=SECRET, recheck=timedelta(seconds=30)))),
    path("for-good/", include(hotclub.proxy.urls(secret=SECRET))),
]
LINES = (Path(__file__).parent / "proxy_requests.jsonl").read_text().splitlines()
RECORDED: list[dict[str, Any]] = [json.loads(line) for line in LINES]
FIVE_MINUTES = timedelta(minutes=5)


class Room(hotclub.Channel):
    pattern = "room:<str:name>"
    history = hotclub.History(size=10, ttl=FIVE_MINUTES)
    presence = True

    def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return name != "shut"

    def can_publish(self, client: hotclub.Client, name: str) -> bool:
        return not client.is_anonymous

    def on_subscribe(self, client: hotclub.Client, name: str) -> Any:
        return {"welcome": name}

    def channel_info(self, client: hotclub.Client, name: str) -> Any:
        return {"color": "red"}

    def on_publish(self, client: hotclub.Client, data: Any, name: str) -> Any:
        return None if data == "swallow" else {"said": data, "by": client.user.get_username()}

    def get_state(self, client: hotclub.Client, name: str) -> Any:
        return {"name": name}


class Kept(hotclub.Channel):
    pattern = "kept:<str:name>"
    history = hotclub.History(size=10, ttl=FIVE_MINUTES, durable=True)

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
    history = Room.history
    delta = True

    def on_publish(self, client: hotclub.Client, data: Any, name: str) -> Any:
        return hotclub.Position("e", 1) if data == "elsewhere" else data


class Filtered(Kept):
    pattern = "filtered:<str:name>"

    def tags_filter(self, client: hotclub.Client, name: str) -> Callable[[Mapping[str, str]], bool]:
        return lambda tags: tags.get("public") == "yes"


class Board(hotclub.MapChannel):
    pattern = "board:<str:name>"

    def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return True

    def can_publish_key(self, client: hotclub.Client, key: str, name: str) -> bool:
        return key != "locked"

    def can_remove_key(self, client: hotclub.Client, key: str, name: str) -> bool:
        return True


class DeltaBoard(Board):
    pattern = "deltaboard:<str:name>"
    delta = True


class Prices(hotclub.SharedPollChannel):
    pattern = "prices:<str:name>"

    def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return True

    def poll(self, keys: Mapping[str, int], name: str) -> Any:
        return [hotclub.Polled(key, {"was": version}, version=version + 1) for key, version in keys.items()]


@hotclub.rpc("add")
def add(client: hotclub.Client, a: int, b: int) -> Any:
    return {"sum": a + b, "user": client.user_id}


@pytest.fixture(autouse=True)
def _project(declare: Declare) -> None:
    declare(Room, Kept, Delta, Filtered, Board, DeltaBoard, Prices, add)


async def ask(hook: str, body: Any, person: Person | None = None, under: str = "hooks") -> Any:
    server = AsyncClient(enforce_csrf_checks=True)
    if person is not None:
        server.cookies[settings.SESSION_COOKIE_NAME] = person.session_key
    headers = {"X-Hotclub-Secret": SECRET}
    answer = await server.post(f"/{under}/{hook}", body, content_type="application/json", headers=headers)
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
        "session": person.session_key,
        "hash": person.user.get_session_auth_hash(),
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


async def test_a_token_s_override_is_handed_on(hotclub_settings: Configure) -> None:
    hotclub_settings(TOKENS={"hmac_secret": "s" * 40})
    hide = {"presence": {"value": False}, "force_recovery": {"value": True}}
    token = hotclub.subscription_token("5", "room:1", claims={"override": hide})

    answer = await ask("subscribe", {"user": "5", "channel": "room:1", "token": token})

    assert answer["result"]["override"] == hide


async def test_where_a_channel_stands_is_not_for_us_to_say() -> None:
    body = {"user": "5", "method": "hotclub.state", "data": {"channel": "room:1"}}

    assert (await ask("rpc", body))["error"]["code"] == 108
