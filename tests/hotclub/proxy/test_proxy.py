"""The hooks of a stand-alone server, asked with the bodies that such a server posts."""

import base64
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.test import AsyncClient, override_settings
from django.urls import include, path

import hotclub
import hotclub.proxy
from hotclub.access import logins
from hotclub.access.logins import Logins
from hotclub.access.session import Login
from hotclub.models import Entry
from hotclub.proxy.backend import _RequestThreads
from tests.hotclub.conftest import Person, amake_person
from tests.hotclub.proxy.proxied import SECRET, Board, Prices, Room, add, post

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.hotclub.proxy.test_proxy")]

Configure = Callable[..., None]
Declare = Callable[..., None]

urlpatterns = [path("hooks/", include(hotclub.proxy.urls(secret=SECRET)))]
COMMON = {"client": "9336a229-2400-4ebc-8c50-0a643d22e8a0", "transport": "websocket", "protocol": "json"}


class Kept(hotclub.Channel):
    pattern = "kept"
    history = hotclub.History(size=10, ttl=timedelta(hours=1), durable=True)

    def can_subscribe(self, client: hotclub.Client) -> bool:
        return True

    def on_publish(self, client: hotclub.Client, data: Any) -> Any:
        return {"atomic": transaction.get_connection().in_atomic_block}


def hello(client: hotclub.Client) -> hotclub.Welcome:
    client.info = {"name": client.user.get_username()}
    return hotclub.Welcome(data={"hello": 1}, channels={"room:1": {"first": 1}})


@pytest.fixture(autouse=True)
def _project(declare: Declare, hotclub_settings: Configure) -> None:
    declare(Room, Kept, Board, Prices, add)
    hotclub_settings(ON_CONNECT="tests.hotclub.proxy.test_proxy.hello")


async def ask(hook: str, person: Person | None = None, **fields: Any) -> Any:
    answer = await post(hook, {**COMMON, "encoding": "json", **fields}, person)
    assert answer.status_code == 200
    return answer.json()


async def test_connect_is_the_session_and_the_connect_hook() -> None:
    person = await amake_person()

    result = (await ask("connect", person, name="js", version="1", data={"x": 1}))["result"]

    user = str(person.user.pk)
    assert result["user"] == user
    assert result["info"] == {"name": "django"}
    assert result["data"] == {"hello": 1}
    assert result["subs"] == {"room:1": {"data": {"first": 1}}, f"#{user}": {}}
    assert 50 <= result["expire_at"] - time.time() <= 60
    assert (await ask("refresh", user=user, meta=result["meta"]))["result"]["expire_at"] > time.time()


async def test_nobody_is_let_in_unless_the_settings_say_so(hotclub_settings: Configure) -> None:
    assert await ask("connect") == {"disconnect": {"code": 3501, "reason": "bad request"}}

    hotclub_settings(ALLOW_ANONYMOUS=True, ON_CONNECT=None)
    assert (await ask("connect"))["result"]["user"] == ""


async def test_a_session_that_is_over_expires_the_connection() -> None:
    person = await amake_person()
    result = (await ask("connect", person))["result"]
    user, meta = result["user"], result["meta"]
    other = await amake_person("other")

    assert (await ask("refresh", user=str(other.user.pk), meta=meta))["result"] == {"expired": True}
    await person.browser.alogout()
    assert (await ask("refresh", user=user, meta=meta))["result"] == {"expired": True}
    assert "expire_at" in (await ask("refresh", user=user, meta={}))["result"]
    person.user.is_active = False
    await person.user.asave()
    assert (await ask("refresh", user=user))["result"] == {"expired": True}
    assert (await ask("subscribe", user=user, channel="room:1"))["disconnect"]["code"] == 3503


async def test_no_hook_acts_for_somebody_who_has_signed_out() -> None:
    person = await amake_person()
    result = (await ask("connect", person))["result"]
    known = {"user": result["user"], "meta": result["meta"]}
    hooks: dict[str, dict[str, Any]] = {
        "subscribe": {"channel": "room:1"},
        "sub_refresh": {"channel": "room:1"},
        "publish": {"channel": "room:1", "data": 1},
        "rpc": {"method": "add", "data": {"a": 1, "b": 2}},
        "map_publish": {"channel": "board:1", "key": "a", "data": 1},
        "map_remove": {"channel": "board:1", "key": "a"},
    }
    for hook, asked in hooks.items():
        assert "result" in await ask(hook, **known, **asked), hook

    await person.browser.alogout()

    for hook, asked in hooks.items():
        assert (await ask(hook, **known, **asked))["disconnect"]["code"] == 3011, hook


async def test_the_server_is_given_nothing_that_signs_in() -> None:
    person = await amake_person()
    key, auth_hash = person.session_key, person.user.get_session_auth_hash()

    answer = await ask("connect", person)

    assert key not in str(answer)
    assert auth_hash not in str(answer)
    worthless = answer["result"]["meta"]["login"]
    person.browser.cookies["sessionid"] = worthless
    assert await ask("connect", person) == {"disconnect": {"code": 3501, "reason": "bad request"}}
    forged = {**answer["result"]["meta"], "login": worthless[:-4] + "AAAA"}
    refused = await ask("rpc", user=answer["result"]["user"], meta=forged, method="add", data={"a": 1, "b": 2})
    assert refused["disconnect"]["code"] == 3011
    another = {"user": "999", "meta": answer["result"]["meta"]}
    assert (await ask("rpc", **another, method="add", data={"a": 1, "b": 2}))["disconnect"]["code"] == 3011


async def test_subscribe_asks_the_class() -> None:
    assert (await ask("subscribe", user="5", channel="room:1"))["result"] == {
        "info": {"color": "red"},
        "data": {"welcome": "1"},
    }
    assert (await ask("subscribe", user="5", channel="room:shut"))["error"] == {
        "code": 103,
        "message": "permission denied",
    }
    assert (await ask("subscribe", user="", channel="nowhere"))["error"]["code"] == 102
    assert "expire_at" in (await ask("sub_refresh", user="5", channel="room:1"))["result"]
    assert (await ask("sub_refresh", user="5", channel="room:shut"))["result"] == {"expired": True}


async def test_publish_runs_the_hook_and_leaves_the_log_to_the_server() -> None:
    person = await amake_person()
    user = str(person.user.pk)

    said = await ask("publish", user=user, channel="room:1", data={"text": "hi"})
    kept = await ask("publish", user=user, channel="kept", data=1)

    assert said == {"result": {"data": {"said": {"text": "hi"}, "by": "django"}}}
    assert kept == {"result": {"data": {"atomic": True}}}
    assert not await Entry.objects.filter(stream__channel="kept").aexists()
    assert (await ask("publish", user="", channel="room:1", data=1))["error"]["code"] == 103
    assert (await ask("publish", user=user, channel="room:1", data="swallow"))["error"]["code"] == 108


async def test_binary_payloads_come_and_go_in_base64() -> None:
    person = await amake_person()
    data = base64.b64encode(b'{"text":1}').decode()

    answer = await ask("publish", user=str(person.user.pk), channel="room:1", encoding="binary", b64data=data)

    assert base64.b64decode(answer["result"]["b64data"]) == b'{"said":{"text":1},"by":"django"}'
    assert (await ask("publish", user="5", channel="room:1", b64data="?"))["error"]["code"] == 107


async def test_rpc_calls_the_procedure() -> None:
    assert (await ask("rpc", user="5", method="add", data={"a": 1, "b": 2}))["result"]["data"] == {
        "sum": 3,
        "user": "5",
    }
    assert (await ask("rpc", user="5", method="add", data={"a": 1}))["error"]["code"] == 107
    assert (await ask("rpc", user="5", method="none"))["error"]["code"] == 104


async def test_maps_and_shared_polls_ask_their_classes() -> None:
    assert (await ask("map_publish", user="5", channel="board:1", key="a", data=1))["result"] == {"key": "a", "data": 1}
    assert (await ask("map_publish", user="5", channel="board:1", key="locked", data=1))["error"]["code"] == 103
    assert (await ask("map_remove", user="5", channel="board:1", key="a"))["result"] == {"key": "a"}
    assert (await ask("map_remove", user="5", channel="room:1", key="a"))["error"]["code"] == 108
    items = [{"key": "a", "version": 3}, {"key": "b"}]
    assert (await ask("shared_poll_refresh", channel="prices:1", items=items))["result"]["items"] == [
        {"key": "a", "version": 4, "data": {"was": 3}},
        {"key": "b", "version": 1, "data": {"was": 0}},
    ]
    assert (await ask("shared_poll_refresh", channel="room:1", items=[]))["error"]["code"] == 108


async def test_only_who_knows_the_secret_is_answered() -> None:
    for secret in ("", "wrong", SECRET + "x"):
        assert (await post("connect", COMMON, secret=secret)).status_code == 403
    assert (await post("else", COMMON)).status_code == 404
    assert (await AsyncClient().get("/hooks/connect", headers={"X-Hotclub-Secret": SECRET})).status_code == 405
    assert (await post("connect", b"{nonsense")).status_code == 400
    assert (await post("connect", '{"name": "é"}'.encode("latin-1"))).status_code == 400
    assert (await post("connect", '{"name": "é"}'.encode("utf-16"))).status_code == 400
    assert (await post("connect", b'{"data":' + b"[" * 5_000 + b"]" * 5_000 + b"}")).status_code == 400
    assert (await post("connect", [1])).status_code == 400


async def test_fields_that_are_null_count_as_left_out() -> None:
    assert "result" in await ask("subscribe", user="5", channel="room:1", data=None, meta=None, token=None)


def test_a_secret_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured):
        hotclub.proxy.urls(secret="short")


async def test_a_bug_in_a_hook_is_an_internal_error(hotclub_settings: Configure) -> None:
    hotclub_settings(ON_CONNECT="tests.hotclub.proxy.test_proxy.broken")
    person = await amake_person()

    with override_settings(DEBUG=False):
        assert (await ask("connect", person))["error"] == {
            "code": 100,
            "message": "internal server error",
            "temporary": True,
        }


def broken(client: hotclub.Client) -> None:
    raise RuntimeError("a bug")


def test_requests_at_the_same_time_look_their_logins_up_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request of a server with threads has an event loop of its own, which ends with the request."""
    together = threading.Barrier(2, timeout=10)

    def held(keys: set[str]) -> dict[str, Login]:
        together.wait()
        return dict.fromkeys(keys)  # type: ignore[return-value] # nobody

    monkeypatch.setattr(logins, "authenticate_all", held)
    found = Logins(_RequestThreads())
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(async_to_sync(found.find), key * 32) for key in "ab"]
        assert [answer.result(20) for answer in asked] == [None, None]
