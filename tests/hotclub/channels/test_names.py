"""Names and user ids of any alphabet, from the door to the tables and back."""

import asyncio
import unicodedata
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from asgiref.sync import sync_to_async

import hotclub
import hotclub.maps
import hotclub.tokens
from hotclub.access.poll_keys import sign_keys
from hotclub.channels.client import personal_channel
from hotclub.channels.registry import UnknownChannel, get_registry
from hotclub.models import Stream
from tests.hotclub.conftest import Site
from tests.hotclub.http_api.test_methods import Api
from tests.support.wire import ErrorReply, WireClient

pytestmark = pytest.mark.django_db(transaction=True)

Serve = Callable[..., Awaitable[Site]]
Configure = Callable[..., None]
Declare = Callable[..., None]

HOUR = timedelta(hours=1)
KEY = "an-api-key-for-names"
TOKENS = {"HMAC_SECRET": "s" * 32}
CAFE, NFD_CAFE = "聊天:café", unicodedata.normalize("NFD", "聊天:café")
IDS = [
    "7",
    "007",
    "alice@example.com",
    "auth0|5f7c8ec7c33c6c004bbafe82",
    "CORP\\alice",
    "张三",
    "张" * 150,
    "x" * 150,
    "0b8f4e4c-1f0a-4c1b-9a6e-0d6f3c1d2e3f",
    "John Smith",
    "a\nb\x00c",
    "#hash,comma/slash",
    "100%25",
    NFD_CAFE,
    "Alice",
    "alice",
]


class Room(hotclub.Channel):
    pattern = "聊天:<str:name>"
    history = hotclub.History(size=10, ttl=HOUR)
    presence = True
    presence_users = "在线:{channel}"

    def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return True

    def can_publish(self, client: hotclub.Client, name: str) -> bool:
        return True


class Kept(Room):
    pattern = "日志:<str:name>"
    presence_users = ""
    history = hotclub.History(size=10, ttl=HOUR, durable=True)


class Online(hotclub.MapChannel):
    pattern = "在线:<path:name>"
    holds = "users"

    def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return True


class Board(hotclub.MapChannel):
    pattern = "板:<str:name>"

    def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return True


class Prices(hotclub.SharedPollChannel):
    pattern = "价格:<str:name>"

    def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return True

    def poll(self, keys: Any, name: str) -> Any:
        return {}


@pytest.fixture(autouse=True)
def _project(declare: Declare, hotclub_settings: Configure) -> None:
    declare(Room, Kept, Online, Board, Prices)
    hotclub_settings(API_PATH="/api", API_KEYS=[KEY], TOKENS=TOKENS, ALLOW_ANONYMOUS=True, ON_CONNECT=None)


async def connected(site: Site, user_id: str = "", **claims: Any) -> WireClient:
    client = await WireClient.open(site.port, headers=site.headers())
    token = jwt.encode({"sub": user_id, **claims}, TOKENS["HMAC_SECRET"], algorithm="HS256")
    await client.connect(token=token)
    return client


@pytest.mark.parametrize("channel", ["聊天:周末爬山", "日志:周末爬山", CAFE, "日志:café", "聊天:🎉", "聊天:غرفة"])
async def test_a_name_of_any_alphabet_is_a_good_name(serve: Serve, channel: str) -> None:
    api = Api(site := await serve(), KEY)
    decomposed = unicodedata.normalize("NFD", channel)
    client = await connected(site, "张三")
    await client.subscribe(channel)
    await hotclub.apublish(decomposed, 1)
    await sync_to_async(hotclub.publish)(channel, 2)
    await api.result("publish", {"channel": decomposed, "data": 3})
    await api.result("broadcast", {"channels": [decomposed], "data": 4})
    await client.publish(channel, 5)

    assert [item["data"] for item in await client.publications(channel, 5)] == [1, 2, 3, 4, 5]
    for name in (channel, decomposed):
        assert [item.data for item in (await hotclub.ahistory(name)).publications] == [1, 2, 3, 4, 5]
        assert len(await hotclub.apresence(name)) == 1
        assert (await api.result("presence_stats", {"channel": name}))["num_users"] == 1
        assert list((await api.result("channels", {"pattern": name}))["channels"]) == [channel]
    if channel.startswith("日志"):
        assert await Stream.objects.aget() == await Stream.objects.aget(channel=channel)
    await hotclub.aunsubscribe(decomposed, user="张三")
    assert (await client.push("unsubscribe", channel))["code"] == 2000
    client.abort()


async def test_maps_and_polls_have_names_of_any_alphabet(serve: Serve) -> None:
    site = await serve()
    client = await connected(site, "张三")
    decomposed = unicodedata.normalize("NFD", "板:café")
    await hotclub.maps.amap_publish(decomposed, "键", 1)
    assert (await hotclub.maps.amap_stats("板:café")).num_keys == 1
    assert (await hotclub.maps.amap_state(decomposed)).entries[0].key == "键"
    await hotclub.maps.amap_clear(decomposed)
    poll = unicodedata.normalize("NFD", "价格:café")
    signature = sign_keys("张三", poll, ["键"])
    await client.subscribe("价格:café", type=4)
    await client.call(
        "sub_refresh", channel="价格:café", type=1, track=[{"signature": signature, "items": [{"key": "键"}]}]
    )
    client.abort()


async def test_a_client_that_names_a_channel_in_another_form_is_told_the_rule(serve: Serve) -> None:
    """Its SDK would look for publications under the other form, so the name is not changed for it."""
    client = await connected(await serve())
    for name, rule in ((NFD_CAFE, "normal form C"), ("聊天:a b", "white space"), ("聊天:a\u200d", r"U\+200D")):
        with pytest.raises(ErrorReply, match=rule) as refused:
            await client.subscribe(name)
        assert refused.value.code == 107
    client.abort()


async def test_the_sdk_gets_what_is_published_under_such_a_name(serve: Serve) -> None:
    site = await serve()
    client = await site.open()
    await client.join("日志:周末爬山")
    await hotclub.apublish("日志:周末爬山", "好")
    async with asyncio.timeout(5):
        assert await client.publications.get() == ("日志:周末爬山", "好")


async def test_names_in_tokens_are_brought_into_normal_form(serve: Serve) -> None:
    site = await serve()
    token = hotclub.tokens.subscription_token("张三", NFD_CAFE)
    client = await connected(site, "张三", channels=[unicodedata.normalize("NFD", "日志:café")])
    await client.subscribe(CAFE, token=token)
    await hotclub.apublish("日志:café", 1)
    assert len(await client.publications("日志:café", 1)) == 1
    client.abort()


def test_the_rule_is_said_to_the_calling_code() -> None:
    with pytest.raises(UnknownChannel, match=r"U\+0020 is none"):
        hotclub.publish("聊天:a b", 1)
    with pytest.raises(UnknownChannel, match="at most 255 bytes"):
        hotclub.publish("聊天:" + "周" * 100, 1)
    assert get_registry().route(NFD_CAFE).name == CAFE


async def test_every_user_has_a_personal_channel(serve: Serve) -> None:
    site = await serve()
    for user_id in IDS:
        client = await connected(site, user_id)
        other = await connected(site, user_id + "!")
        await client.subscribe("聊天:a")
        await hotclub.apublish_to_user(user_id, user_id)
        (name,) = client.inbox[0]["connect"]["subs"]
        assert [item["data"] for item in await client.publications(name, 1)] == [user_id]
        assert name == personal_channel(user_id)
        assert other.received(name) == []
        members = await hotclub.apresence("聊天:a")
        assert [member.user for member in members.values()] == [user_id]
        assert [entry.key for entry in (await hotclub.maps.amap_state("在线:聊天:a")).entries] == [user_id]
        api = Api(site, KEY)
        await api.result("disconnect", {"user": user_id})
        assert (await client.ended()).code == 3503
        await other.settled()
        other.abort()
