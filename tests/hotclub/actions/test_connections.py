"""Ending connections and subscriptions, and asking about channels."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import centrifuge
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import transaction

import hotclub
from hotclub.engine.target import Target
from hotclub.models import Order
from hotclub.orders.messages import EndSubscriptions
from hotclub.orders.send import send
from tests.hotclub.conftest import Site, Watched, amake_person
from tests.support.processes import poll_until

pytestmark = pytest.mark.django_db(transaction=True)

Serve = Callable[..., Awaitable[Site]]
Declare = Callable[..., None]
UNSUBSCRIBED = centrifuge.SubscriptionState.UNSUBSCRIBED


class Room(hotclub.Channel):
    pattern = "room:<int:room_id>"
    history = hotclub.History(size=100, ttl=timedelta(hours=1), durable=True)
    presence = True

    async def can_subscribe(self, client: hotclub.Client, room_id: int) -> bool:
        return True


class Plain(hotclub.Channel):
    pattern = "plain"

    async def can_subscribe(self, client: hotclub.Client) -> bool:
        return True


@pytest.fixture(autouse=True)
def _channels(declare: Declare) -> None:
    declare(Room, Plain)


async def ended(client: Watched) -> tuple[int, str]:
    async with asyncio.timeout(5):
        return await client.gone


async def code_of(call: Awaitable[Any]) -> int:
    with pytest.raises(hotclub.Refused) as refused:
        await call
    return refused.value.code


async def test_a_user_a_session_or_one_connection_can_be_disconnected(serve: Serve) -> None:
    site = await serve()
    people = [await amake_person(name) for name in ("one", "two", "three")]
    first, second, third, other = [await site.open(person) for person in (*people, people[2])]

    await hotclub.adisconnect(people[0].user, code=4500, reason="by user")
    login = await sync_to_async(lambda: people[1].login_id)()
    await sync_to_async(hotclub.disconnect)(login=login, code=4501, reason="by session")
    [one_id] = {await client_id(third)}
    await hotclub.adisconnect(client=one_id, code=4502, reason="by client")

    assert await ended(first) == (4500, "by user")
    assert await ended(second) == (4501, "by session")
    assert await ended(third) == (4502, "by client")
    assert not other.gone.done()
    assert await client_id(other) != one_id


async def client_id(client: Watched) -> str:
    await client.join("room:99")
    members = (await client.sdk.presence("room:99")).clients
    await client.sdk.get_subscription("room:99").unsubscribe()
    return str(max(members))


async def test_everybody_is_never_disconnected_by_mistake() -> None:
    from django.contrib.auth.models import AnonymousUser

    with pytest.raises(TypeError):
        await hotclub.adisconnect(None)
    with pytest.raises(TypeError):
        await hotclub.adisconnect(login="")
    for nobody in ({"login": ""}, {"client": ""}):
        with pytest.raises(ValueError, match="names no connection"):
            await hotclub.adisconnect(1, **nobody)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="names no connection"):
        await hotclub.aunsubscribe("room:1", client="")
    with pytest.raises(ValueError, match="primary key"):
        await hotclub.adisconnect(AnonymousUser())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="reason"):
        await hotclub.adisconnect(1, reason='{"no": "json"}')


async def test_a_disconnect_in_a_transaction_waits_for_its_commit(serve: Serve) -> None:
    site = await serve()
    person = await amake_person()
    client = await site.open(person)
    rows = await Order.objects.acount()

    def work() -> None:
        with transaction.atomic():
            hotclub.disconnect(person.user)
            transaction.set_rollback(True)

    await sync_to_async(work)()

    with pytest.raises(centrifuge.ReplyError):
        await client.sdk.rpc("nothing", {})
    assert not client.gone.done()
    assert await Order.objects.acount() == rows


async def test_a_subscription_can_be_ended_and_made_to_come_again(serve: Serve) -> None:
    site = await serve()
    person = await amake_person()
    client = await site.open(person)
    subscription = await client.join("room:1")

    await hotclub.aunsubscribe("room:1", user=person.user)
    await poll_until(lambda: subscription.state is UNSUBSCRIBED, "the subscription has ended")

    await subscription.subscribe()
    await subscription.ready(timeout=5)
    await sync_to_async(hotclub.unsubscribe)("room:1", code=2500)
    await hotclub.apublish("room:1", "again")
    async with asyncio.timeout(5):
        assert await client.publications.get() == ("room:1", "again")


async def test_another_process_can_end_a_subscription(serve: Serve) -> None:
    site = await serve()
    client = await site.open(await amake_person())
    subscription = await client.join("room:1")

    await sync_to_async(send)(EndSubscriptions(Target(), "room:1", 2000))

    await poll_until(lambda: subscription.state is UNSUBSCRIBED, "the subscription has ended")


async def test_presence_and_history_answer_sync_and_async_code(serve: Serve) -> None:
    site = await serve()
    person = await amake_person()
    client = await site.open(person)
    await client.join("room:1")
    for number in range(3):
        await hotclub.apublish("room:1", number)

    members = await sync_to_async(hotclub.presence)("room:1")
    page = await sync_to_async(hotclub.history)("room:1", limit=2)
    rest = await hotclub.ahistory("room:1", since=hotclub.Position(page.top.epoch, 2))

    assert [member.user for member in members.values()] == [str(person.user.pk)]
    assert members == await hotclub.apresence("room:1")
    assert await sync_to_async(hotclub.presence_stats)("room:1") == hotclub.PresenceStats(1, 1)
    assert await hotclub.apresence_stats("room:1") == hotclub.PresenceStats(1, 1)
    assert [item.data for item in page.publications] == [0, 1]
    assert [item.raw for item in rest.publications] == [b"2"]
    assert page.top.offset == 3
    with pytest.raises(hotclub.UnrecoverablePosition):
        await hotclub.ahistory("room:1", since=hotclub.Position("other", 1))


async def test_what_a_channel_does_not_have_is_refused(serve: Serve) -> None:
    await serve()

    assert await code_of(hotclub.apresence("plain")) == 108
    assert await code_of(hotclub.apresence_stats("plain")) == 108
    assert await code_of(hotclub.ahistory("plain")) == 108
    assert await code_of(hotclub.apresence("nowhere")) == 102
    assert await code_of(hotclub.ahistory("nowhere")) == 102
    assert await code_of(hotclub.aunsubscribe("nowhere")) == 102


class Kept(hotclub.Channel):
    pattern = "kept"
    history = hotclub.History(size=100, ttl=timedelta(hours=1))

    async def can_subscribe(self, client: hotclub.Client) -> bool:
        return True


@pytest.mark.django_db(transaction=True)
def test_a_durable_channel_is_read_in_any_process_and_in_the_callers_transaction() -> None:
    with transaction.atomic():
        position = hotclub.publish("room:1", {"text": "hello"})
        page = hotclub.history("room:1")
    assert page.top == position
    assert [publication.data["text"] for publication in page.publications] == ["hello"]
    assert async_to_sync(hotclub.ahistory)("room:1").top == position


async def test_other_questions_need_a_node(declare: Declare) -> None:
    declare(Room, Kept)
    for question in (hotclub.apresence("room:1"), hotclub.apresence_stats("room:1"), hotclub.ahistory("kept")):
        with pytest.raises(hotclub.NoNode):
            await question
