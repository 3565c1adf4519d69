"""Project code that hangs: its own connection gets an error, and nobody else notices."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.contrib.auth.backends import ModelBackend
from msgspec import Raw

import hotclub
from hotclub.actions.connections import disconnect
from hotclub.durable import sql
from hotclub.engine.broker.base import Message, Retention
from hotclub.revocation.watch import SessionWatch
from hotclub.serving import service
from tests.hotclub.conftest import Site, amake_person
from tests.support.wire import WireClient

Serve = Callable[..., Awaitable[Site]]
Declare = Callable[..., None]
Configure = Callable[..., None]

pytestmark = pytest.mark.django_db(transaction=True)

released = threading.Event()
asked: list[str] = []


@pytest.fixture(autouse=True)
def release() -> Any:
    released.clear()
    asked.clear()
    yield
    released.set()


def hang() -> None:
    assert released.wait(30)


class Room(hotclub.Channel):
    pattern = "room:<slug:name>"
    history = hotclub.History(size=10, ttl=timedelta(hours=1), durable=True)
    presence = True

    def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return True

    def on_publish(self, client: hotclub.Client, data: Any, name: str) -> Any:
        return data


class Farewell(hotclub.Channel):
    pattern = "farewell"

    def can_subscribe(self, client: hotclub.Client) -> bool:
        return True

    def on_unsubscribe(self, client: hotclub.Client) -> None:
        asked.append("unsubscribe")
        hang()


@hotclub.rpc("hang")
def hang_rpc(client: hotclub.Client) -> None:
    asked.append("rpc")
    hang()


@hotclub.rpc("stubborn")
async def stubborn(client: hotclub.Client) -> None:
    while not released.is_set():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.05)


@hotclub.rpc("quick")
def quick(client: hotclub.Client) -> str:
    return "done"


class Hangs(ModelBackend):
    """An authentication back end that hangs."""

    def get_user(self, user_id: Any) -> Any:
        asked.append("user")
        hang()
        return super().get_user(user_id)


@pytest_asyncio.fixture
async def site(
    serve: Serve, declare: Declare, hotclub_settings: Configure
) -> AsyncIterator[Callable[..., Awaitable[Site]]]:
    async def start(**settings: Any) -> Site:
        hotclub_settings(ALLOW_ANONYMOUS=True, **settings)
        declare(Room, Farewell, hang_rpc, stubborn, quick)
        return await serve()

    yield start
    released.set()


async def use(site: Site) -> None:
    """Do what everybody else does, without waiting for anybody."""
    async with await WireClient.connected(site.port) as other:
        await other.subscribe("room:a")
        await other.publish("room:a", "hello")
        await other.call("history", channel="room:a", limit=10)
        await other.call("presence", channel="room:a")
        assert (await other.call("rpc", method="quick"))["data"] == "done"


async def test_a_hundred_clients_whose_hooks_hang_harm_nobody_else(site: Any) -> None:
    served = await site()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(100):
            client = await stack.enter_async_context(await WireClient.connected(served.port))
            await client.start("rpc", method="hang")
            if len(asked) in (8, 20):
                await use(served)
        await use(served)
        released.set()


@pytest.mark.parametrize("method", ["hang", "stubborn"])
async def test_a_hook_that_hangs_is_a_temporary_error_and_then_refused(site: Any, method: str) -> None:
    served = await site(HOOK_TIMEOUT=0.2)
    async with await WireClient.connected(served.port) as client:
        for _ in range(3):
            reply = await client.answer(await client.start("rpc", method=method))
            assert (reply["error"]["code"], reply["error"]["temporary"]) == (100, True)
        assert len(asked) <= 1
        await use(served)


async def test_a_notification_that_hangs_is_given_up_and_not_repeated(site: Any) -> None:
    served = await site(HOOK_TIMEOUT=0.1)
    async with await WireClient.connected(served.port) as client:
        for _ in range(3):
            await client.subscribe("farewell")
            await client.call("unsubscribe", channel="farewell")
        assert asked == ["unsubscribe"]
        assert (await client.call("rpc", method="quick"))["data"] == "done"


async def test_a_log_in_that_hangs_delays_no_relay_no_order_and_no_look(site: Any, settings: Any) -> None:
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.Hangs"]
    person = await amake_person()
    served = await site(RELAY_INTERVAL=0.02)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(20):
            client = await WireClient.open(served.port, headers=served.headers(person))
            await stack.enter_async_context(client)
            await client.start("connect")
        async with await WireClient.connected(served.port) as other:
            await other.subscribe("room:a")
            await sync_to_async(hotclub.publish)("room:a", "from another thread")
            await other.push("pub", "room:a")
            await sync_to_async(disconnect)(client=other.client_id)
            assert (await other.ended()).code == 3503
        await use(served)
        released.set()


async def test_durable_reads_that_hang_delay_no_publication_of_another_process(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With two threads, the two kinds of reads take all of them.
    monkeypatch.setattr(service, "_THREADS", 1)
    monkeypatch.setattr(service, "_MOST_THREADS", 2)
    served = await site(RELAY_INTERVAL=0.02)
    async with await WireClient.connected(served.port) as client, await WireClient.connected(served.port) as other:
        await client.subscribe("room:a")
        for name in ("read_history", "read_top"):
            monkeypatch.setattr(sql, name, lambda *_args: hang())
        await client.start("history", channel="room:a", limit=10)
        await other.start("subscribe", channel="room:b")
        await sync_to_async(sql.append)("room:a", Message(data=Raw(b"1")), Retention(size=10, ttl=3600))
        await client.push("pub", "room:a")
    released.set()


async def test_a_look_at_logins_that_hangs_delays_no_order(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def check(_clients: Any) -> Any:
        loop.call_soon_threadsafe(looked.set)
        hang()

    monkeypatch.setattr(SessionWatch, "check", staticmethod(check))
    served, person = await site(LOGIN_CHECK=0.1), await amake_person()
    async with await WireClient.connected(served.port, headers=served.headers(person)) as client:
        await asyncio.wait_for(looked.wait(), 5)
        await use(served)
        await sync_to_async(disconnect)(person.user)
        assert (await client.ended()).code == 3503
    released.set()


def hanging_connect(client: hotclub.Client) -> None:
    hang()


async def test_a_connect_that_hangs_may_come_again(site: Any) -> None:
    served = await site(ON_CONNECT=f"{__name__}.hanging_connect", LIMITS={"CONNECT_TIMEOUT": 0.2})
    async with await WireClient.open(served.port) as client:
        await client.start("connect")
        assert (await client.ended()).code == 3004
    released.set()


async def test_a_key_of_the_api_that_is_not_looked_up_in_time_is_a_503(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotclub.http_api.keys._stored_rights", lambda _digest: hang())
    served = await site(HOOK_TIMEOUT=0.1, API_PATH="/live-api")
    async with httpx.AsyncClient(trust_env=False, base_url=served.url) as caller:
        answer = await caller.post("/live-api/info", headers={"X-API-Key": "a" * 20}, json={})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    released.set()


async def hanging_rpc(method: str, params: Any) -> None:
    await asyncio.Event().wait()


async def test_a_function_of_the_api_that_hangs_is_an_error(site: Any) -> None:
    key = "a-key-of-the-settings"
    served = await site(HOOK_TIMEOUT=0.1, API_PATH="/live-api", API_KEYS=[key], API_RPC=f"{__name__}.hanging_rpc")
    async with httpx.AsyncClient(trust_env=False, base_url=served.url) as caller:
        answer = await caller.post("/live-api/rpc", headers={"X-API-Key": key}, json={"method": "m", "params": {}})
    assert answer.json()["error"]["code"] == 100
