"""Keys of the HTTP API: made and revoked by the command and on the admin page, kept as digests, and held to what they
are for."""

import io
import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client as Browser
from django.urls import reverse
from django.utils.crypto import constant_time_compare

from hotclub.conf.config import get_config
from hotclub.conf.values import API_METHODS, digest_of
from hotclub.http_api.issue import PREFIX, new_key, revoke_key
from hotclub.http_api.keys import find_rights, presented_key
from hotclub.http_api.methods import METHODS
from hotclub.models import ApiKey
from tests.hotclub.conftest import Site
from tests.hotclub.http_api.test_methods import Api, Kept, Plain, Room

pytestmark = pytest.mark.django_db(transaction=True)

Serve = Callable[..., Awaitable[Site]]
Configure = Callable[..., None]
Declare = Callable[..., None]


@pytest.fixture(autouse=True)
def api_path(hotclub_settings: Configure) -> None:
    hotclub_settings(API_PATH="/api")


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("hotclub_api_key", *arguments, stdout=out)
    return out.getvalue().strip()


# --------------------------------------------------------------------------------------------------------- the command


def test_the_command_makes_lists_and_revokes_keys() -> None:
    key = run("create", "shop", "--channel", "shop:*", "--method", "publish", "--method", "history")
    run("create", "all")

    row = ApiKey.objects.get(name="shop")
    assert key.startswith(PREFIX)
    assert len(key) > 40
    assert (row.digest, row.channels, row.methods) == (digest_of(key), ["shop:*"], ["publish", "history"])
    listed = run("list")
    assert f"{key[:8]}…  shop  shop:* publish history" in listed
    assert key not in listed
    assert re.search(r"…  all  everything$", listed, re.MULTILINE)
    assert run("revoke", "shop") == "Revoked shop."
    assert re.search(r"…  shop  revoked$", run("list"), re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["create", "again"], "There is a key again already."),
        (["create", "new", "--method", "nonsense"], "There is no method nonsense."),
        (["revoke", "unknown"], "There is no key unknown that could be revoked."),
    ],
)
def test_the_command_refuses_in_one_line(arguments: list[str], message: str) -> None:
    run("create", "again")

    with pytest.raises(CommandError, match=re.escape(message)):
        run(*arguments)


def test_a_revoked_key_is_not_revoked_again() -> None:
    new_key("once")
    assert revoke_key("once")
    before = ApiKey.objects.get().revoked

    assert not revoke_key("once")

    assert ApiKey.objects.get().revoked == before


def test_no_two_keys_are_alike_and_none_is_kept() -> None:
    made = {new_key(f"key {number}") for number in range(20)}

    assert len(made) == 20
    stored = str(list(ApiKey.objects.values()))
    assert not [key for key in made if key in stored]


# ------------------------------------------------------------------------------------------------------ the admin page


def staff(*permissions: str) -> Browser:
    user: Any = get_user_model()._default_manager.create_user(username="clerk", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    browser = Browser()
    browser.force_login(user)
    return browser


ADD, LIST = "admin:hotclub_apikey_add", "admin:hotclub_apikey_changelist"
FORM = {"name": "shop", "channels": '["room:*"]', "methods": '["publish"]'}


def test_the_page_shows_a_new_key_once() -> None:
    browser = staff("add_apikey", "change_apikey", "view_apikey")

    page = browser.post(reverse(ADD), FORM, follow=True).content.decode()

    [key] = set(re.findall(rf"{PREFIX}[\w-]{{30,}}", page))
    row = ApiKey.objects.get()
    assert (row.digest, row.channels, row.methods) == (digest_of(key), ["room:*"], ["publish"])
    change = reverse("admin:hotclub_apikey_change", args=[row.pk])
    for address in (reverse(LIST), change):
        shown = browser.get(address).content.decode()
        assert "shop" in shown
        assert key not in shown
    browser.post(change, {**FORM, "channels": "[]"})
    row.refresh_from_db()
    assert (row.digest, row.channels) == (digest_of(key), [])


@pytest.mark.parametrize("field", ["channels", "methods"])
@pytest.mark.parametrize("value", ['"room:*"', '{"a": "*"}', "[1]", "7"])
def test_the_page_takes_lists_alone(field: str, value: str) -> None:
    """A text that was taken letter by letter would hold the pattern `*`."""
    page = staff("add_apikey", "view_apikey").post(reverse(ADD), {**FORM, field: value})

    assert "Write a list of text" in page.content.decode()
    assert not ApiKey.objects.exists()


def test_the_page_takes_the_methods_that_there_are_alone() -> None:
    page = staff("add_apikey", "view_apikey").post(reverse(ADD), {**FORM, "methods": '["publish", "nonsense"]'})

    assert "There is no method nonsense." in page.content.decode()
    assert not ApiKey.objects.exists()


def test_the_page_revokes_keys() -> None:
    for name in ("one", "two", "three"):
        new_key(name)
    chosen = list(ApiKey.objects.filter(name__in=["one", "two"]).values_list("pk", flat=True))

    staff("change_apikey", "view_apikey").post(reverse(LIST), {"action": "revoke", "_selected_action": chosen})

    assert list(ApiKey.objects.filter(revoked=None).values_list("name", flat=True)) == ["three"]


def test_the_page_is_for_who_may() -> None:
    new_key("one")
    pk = ApiKey.objects.get().pk

    looker = staff("view_apikey")

    assert looker.get(reverse(LIST)).status_code == 200
    assert looker.post(reverse(ADD), FORM).status_code == 403
    looker.post(reverse(LIST), {"action": "revoke", "_selected_action": [pk]})
    assert not ApiKey.objects.exclude(revoked=None).exists()
    assert Browser().get(reverse(LIST)).status_code == 302


# ---------------------------------------------------------------------------------------------------------- the rights


@pytest.mark.parametrize(("field", "value"), [("channels", "room:*"), ("methods", "publish"), ("channels", [1])])
async def test_a_row_that_was_written_by_hand_and_makes_no_sense_opens_nothing(field: str, value: Any) -> None:
    key = await sync_to_async(new_key)("odd")
    assert await find_rights(key, get_config()) is not None

    await ApiKey.objects.aupdate(**{field: value})

    assert await find_rights(key, get_config()) is None


async def test_every_key_of_the_settings_is_compared_in_constant_time(
    hotclub_settings: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    hotclub_settings(API_KEYS=["first-key", "second-key", "third-key"])
    compared: list[tuple[str, str]] = []

    def watched(one: str, other: str) -> bool:
        compared.append((one, other))
        return constant_time_compare(one, other)

    monkeypatch.setattr("hotclub.http_api.keys.constant_time_compare", watched)

    for key in ("first-key", "third-key", "none"):
        compared.clear()
        rights = await find_rights(key, get_config())
        assert (rights is None) is (key == "none")
        # Digests, which tell nothing by where they differ, and all of them.
        assert [len(one) for pair in compared for one in pair] == [64] * 6


@pytest.mark.parametrize(
    ("headers", "query", "key"),
    [
        ({"x-api-key": "k"}, "", "k"),
        ({"authorization": "apikey k"}, "", "k"),
        ({"authorization": "ApiKey  k "}, "", "k"),
        ({"x-api-key": "k", "authorization": "apikey other"}, "", "k"),
        ({"authorization": "Bearer k"}, "", ""),
        ({"authorization": "apikey"}, "", ""),
        ({}, "api_key=k", ""),
        ({"cookie": "api_key=k"}, "", ""),
    ],
)
def test_a_key_stands_in_a_header(headers: dict[str, str], query: str, key: str) -> None:
    assert presented_key(headers, query, get_config()) == key


def test_a_key_may_stand_in_the_address_only_by_a_setting(hotclub_settings: Configure) -> None:
    hotclub_settings(API_KEY_IN_QUERY=True)

    assert presented_key({}, "a=b&api_key=k", get_config()) == "k"
    assert presented_key({"x-api-key": "mine"}, "api_key=k", get_config()) == "mine"
    assert presented_key({}, "&".join(f"f{number}=x" for number in range(50)), get_config()) == ""


CALLS: dict[str, dict[str, Any]] = {
    "publish": {"channel": "{}", "data": 1},
    "subscribe": {"channel": "{}", "user": "1"},
    "unsubscribe": {"channel": "{}", "user": "1"},
    "presence": {"channel": "{}"},
    "presence_stats": {"channel": "{}"},
    "history": {"channel": "{}"},
    "history_remove": {"channel": "{}"},
    "map_publish": {"channel": "{}", "key": "k", "data": 1},
    "map_remove": {"channel": "{}", "key": "k"},
    "map_read_state": {"channel": "{}"},
    "map_read_stream": {"channel": "{}"},
    "map_stats": {"channel": "{}"},
    "map_clear": {"channel": "{}"},
    "shared_poll_publish": {"channel": "{}", "key": "k", "data": 1, "version": 1},
}
WIDE: dict[str, dict[str, Any]] = {
    "disconnect": {"user": "1"},
    "refresh": {"user": "1"},
    "info": {},
    "rpc": {"method": "anything"},
}
"""The methods that concern more than a channel."""


def test_every_method_has_its_place_in_these_tests() -> None:
    assert {*METHODS} == {*CALLS, *WIDE, "broadcast", "channels"}
    assert {*METHODS, "batch"} == API_METHODS


async def test_a_key_for_some_channels_calls_no_wider_method_that_it_does_not_name(
    serve: Serve, declare: Declare, hotclub_settings: Configure
) -> None:
    declare(Room, Kept, Plain)
    hotclub_settings(API_RPC="tests.hotclub.http_api.test_keys.own_rpc")
    site = await serve()
    some = Api(site, await sync_to_async(new_key)("some", channels=["room:*"]))
    naming = Api(site, await sync_to_async(new_key)("naming", channels=["room:*"], methods=[*WIDE, "unsubscribe"]))

    for method, body in WIDE.items():
        assert await some.error(method, body) == 103, method
        replies = (await some.result("batch", {"commands": [{method: body}]}))["replies"]
        assert replies[0]["error"]["code"] == 103, method
        await naming.result(method, body)
    assert await naming.error("unsubscribe", {"user": "1"}) == 103


async def own_rpc(_method: str, _params: Any) -> int:
    return 1


async def test_a_key_for_some_channels_touches_no_other_by_any_method(serve: Serve, declare: Declare) -> None:
    declare(Room, Kept, Plain)
    key = await sync_to_async(new_key)("rooms", channels=["room:*"])
    api = Api(await serve(), key)
    foreign = {"channels": ["room:1", "kept:1"], "data": 1}

    for method, body in CALLS.items():
        assert await api.error(method, {**body, "channel": "kept:1"}) == 103, method
    batch = [{method: {**body, "channel": "kept:1"}} for method, body in CALLS.items()]
    replies = (await api.result("batch", {"commands": batch}))["replies"]
    assert [reply["error"]["code"] for reply in replies] == [103] * len(batch)
    answers = (await api.result("broadcast", foreign))["responses"]
    assert [answer.get("error", {}).get("code") for answer in answers] == [None, 103]
    for method in ("disconnect", "refresh", "unsubscribe"):
        assert await api.error(method, {"user": "1"}) == 103
    assert (await api.result("channels"))["channels"] == {}


async def test_a_key_for_some_methods_calls_no_other_in_a_batch_either(serve: Serve, declare: Declare) -> None:
    declare(Room, Kept, Plain)
    key = await sync_to_async(new_key)("reader", methods=["batch", "history"])
    api = Api(await serve(), key)
    commands = [{"history": {"channel": "room:1"}}, {"publish": {"channel": "room:1", "data": 1}}]

    assert await api.error("publish", {"channel": "room:1", "data": 1}) == 103
    replies = (await api.result("batch", {"commands": commands}))["replies"]

    assert [next(iter(reply)) for reply in replies] == ["history", "error"]
    assert replies[1]["error"]["code"] == 103


async def test_a_key_ends_with_the_next_request(serve: Serve, declare: Declare) -> None:
    declare(Room)
    site = await serve()
    key = await sync_to_async(new_key)("short")
    async with httpx.AsyncClient(
        verify=False, trust_env=False, headers={"X-API-Key": key}, base_url=f"{site.url}/api"
    ) as http:
        before = await http.post("/info", content=b"{}")
        await sync_to_async(revoke_key)("short")
        after = await http.post("/info", content=b"{}")

    assert (before.status_code, after.status_code) == (200, 401)
