"""How the hooks of one command are called: in one call of the pool, in their order, with the data of their command."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from msgspec import Raw

import hotclub
from hotclub.access.ended import revoke_login
from hotclub.channels.client import Client
from hotclub.hooks.calling import HookRunner, Steps, ask, hook_name
from hotclub.runtime.calls import Lane
from hotclub.runtime.pool import HookPool
from hotclub.tokens import subscription_token
from tests.hotclub.access.test_admission import TOKENS
from tests.hotclub.conftest import Site, amake_person
from tests.support.wire import WireClient

Serve = Callable[..., Awaitable[Site]]
Declare = Callable[..., None]


class CountingPool(HookPool):
    """A pool that knows how often it was asked."""

    def __init__(self) -> None:
        super().__init__(2)
        self.calls = 0

    async def call(self, lane: Lane, work: Callable[[], Any], *, patient: bool = False) -> Any:
        self.calls += 1
        return await super().call(lane, work, patient=patient)


@pytest.fixture
async def pool() -> Any:
    made = CountingPool()
    yield made
    await made.close()


def anonymous() -> Client:
    return Client(id="c", user=AnonymousUser())


def chain(*calls: Any) -> Steps[list[Any]]:
    answers: list[Any] = []
    for call in calls:
        answers += [(yield call)]
    return answers


async def test_plain_hooks_that_follow_each_other_share_one_call_of_the_pool(pool: CountingPool) -> None:
    threads: list[int] = []

    def note(value: int) -> int:
        threads.append(threading.get_ident())
        return value

    assert await HookRunner(pool, 30.0).run(anonymous(), chain(*(ask(note, number) for number in range(4)))) == [
        0,
        1,
        2,
        3,
    ]
    assert pool.calls == 1
    assert len(set(threads)) == 1
    assert threading.get_ident() not in threads


async def test_async_hooks_between_them_keep_their_place(pool: CountingPool) -> None:
    order: list[str] = []

    def plain(name: str) -> str:
        order.append(name)
        return name

    async def awaited(name: str) -> str:
        await asyncio.sleep(0)
        return plain(name)

    def seems_plain(name: str) -> Awaitable[str]:
        return awaited(name)

    calls = [ask(plain, "a"), ask(awaited, "b"), ask(plain, "c"), ask(seems_plain, "d"), ask(plain, "e")]
    assert await HookRunner(pool, 30.0).run(anonymous(), chain(*calls)) == ["a", "b", "c", "d", "e"]
    assert order == ["a", "b", "c", "d", "e"]
    assert pool.calls == 3


async def test_a_refusal_keeps_the_hooks_behind_it_from_being_called(pool: CountingPool) -> None:
    called: list[str] = []

    def refuse() -> None:
        raise hotclub.Refused(1000, "no")

    with pytest.raises(hotclub.Refused):
        await HookRunner(pool, 30.0).run(anonymous(), chain(ask(refuse), ask(called.append, "behind")))
    assert called == []


async def test_who_is_cancelled_begins_no_other_hook(pool: CountingPool) -> None:
    begun, go_on = threading.Event(), threading.Event()
    called: list[str] = []

    def slow() -> None:
        begun.set()
        go_on.wait(5)

    task = asyncio.create_task(HookRunner(pool, 30.0).run(anonymous(), chain(ask(slow), ask(called.append, "behind"))))
    await asyncio.to_thread(begun.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await pool.close()
    assert called == []


async def test_data_is_seen_by_the_hooks_of_its_command_alone(pool: CountingPool) -> None:
    """Also by none that runs at the same time for the same connection, nor by a task that a hook has begun."""
    client, runner = anonymous(), HookRunner(pool, 30.0)
    inside, seen = threading.Event(), threading.Event()
    left: list[Any] = []

    def subscribing() -> Any:
        inside.set()
        seen.wait(5)
        return client.data

    async def subscribing_slowly() -> Any:
        left.append(asyncio.create_task(runner.call(client, lambda client: client.data)))
        await left[0]
        return client.data

    steps = chain(ask(subscribing), ask(subscribing_slowly), ask(lambda: anonymous().data))
    command = asyncio.create_task(runner.run(client, steps, Raw(b'{"word": "sesame"}')))
    await asyncio.to_thread(inside.wait, 5)
    assert client.data is None
    assert await runner.call(client, lambda client: client.data) is None
    assert await runner.call(client, lambda client: client.data, data=Raw(b"2")) == 2
    seen.set()
    assert await command == [{"word": "sesame"}, {"word": "sesame"}, None]
    assert await left[0] is None
    assert client.data is None


async def test_bytes_that_are_no_json_are_refused_when_a_hook_looks_at_them(pool: CountingPool) -> None:
    runner, client = HookRunner(pool, 30.0), anonymous()
    assert await runner.call(client, lambda _client: "not looked at", data=Raw(b"\xff")) == "not looked at"
    with pytest.raises(hotclub.Refused) as refused:
        await runner.call(client, lambda client: client.data, data=Raw(b"\xff"))
    assert refused.value.code == 107


def test_a_hook_is_known_by_its_module_its_class_and_its_name() -> None:
    assert hook_name(Watched().can_subscribe) == f"{__name__}.Watched.can_subscribe"
    assert hook_name(anonymous) == f"{__name__}.anonymous"
    assert hook_name(partial(anonymous)).startswith("functools.partial(")
    assert hook_name("ON_CONNECT") == "ON_CONNECT"


class Watched(hotclub.Channel):
    """Has every hook of a subscribe, all of them plain."""

    pattern = "watched:<str:name>"
    history = hotclub.History(size=10, ttl=timedelta(hours=1))
    token = True

    def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return bool(client.user.pk and client.data == {"here": name})

    def channel_info(self, client: hotclub.Client, name: str) -> Any:
        return {"info": client.data}

    def on_subscribe(self, client: hotclub.Client, name: str) -> Any:
        return {"data": client.data}

    def tags_filter(self, client: hotclub.Client, name: str) -> Callable[[Mapping[str, str]], bool]:
        assert client.data == {"here": name}
        return lambda _tags: True

    def on_publish(self, client: hotclub.Client, data: Any, name: str) -> Any:
        return [data, client.data]

    def can_publish(self, client: hotclub.Client, name: str) -> bool:
        return bool(client.data == "hello")


@pytest.mark.django_db(transaction=True)
async def test_a_subscribe_and_a_publish_are_one_call_of_the_pool_each(
    serve: Serve, declare: Declare, hotclub_settings: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Token check included."""
    declare(Watched)
    hotclub_settings(TOKENS=TOKENS)
    site, person = await serve(), await amake_person()
    calls: list[object] = []
    call = HookPool.call

    async def counted(self: HookPool, lane: Lane, work: Callable[[], Any], **options: Any) -> Any:
        calls.append(lane.kind)
        return await call(self, lane, work, **options)

    token = subscription_token(person.user, "watched:a", claims={"sid": "somebody"})
    async with await WireClient.connected(site.port, headers=site.headers(person)) as client:
        monkeypatch.setattr(HookPool, "call", counted)
        reply = await client.subscribe("watched:a", token=token, data={"here": "a"})
        assert reply["data"] == {"data": {"here": "a"}}
        assert len(calls) == 1
        calls.clear()
        await client.publish("watched:a", "hello")
        assert len(calls) == 1
        assert [item["data"] for item in await client.publications("watched:a", 1)] == [["hello", "hello"]]
        monkeypatch.undo()
        await asyncio.to_thread(revoke_login, "somebody")
        await client.call("unsubscribe", channel="watched:a")
        assert await client.fate(await client.start("subscribe", channel="watched:a", token=token)) == 103
