"""Two people who use the PyPI SDK on the running site."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import uuid4

import centrifuge
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.test import Client

import hotclub.asgi
from clubhouse.accounts.models import User
from clubhouse.chat import services
from clubhouse.chat.errors import ROOM_DELETED
from clubhouse.chat.models import Message, Room
from tests.support.server import live_server, websocket_url

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Heard(centrifuge.SubscriptionEventHandler):  # type: ignore[misc]  # it has no type information
    """Collects the publications of a subscription."""

    publications: "asyncio.Queue[Any]" = field(default_factory=asyncio.Queue)
    joined: "asyncio.Queue[str]" = field(default_factory=asyncio.Queue)
    """Ids of the users who have joined."""
    ended: "asyncio.Future[Any]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    async def on_publication(self, ctx: Any) -> None:
        self.publications.put_nowait(ctx.pub)

    async def on_join(self, ctx: Any) -> None:
        self.joined.put_nowait(ctx.info.user)

    async def on_unsubscribed(self, ctx: Any) -> None:
        if not self.ended.done():
            self.ended.set_result(ctx)

    async def next(self) -> Any:
        """The next publication's data."""
        return (await asyncio.wait_for(self.publications.get(), 5)).data


@dataclass
class Personal(centrifuge.ClientEventHandler):  # type: ignore[misc]  # it has no type information
    """Collects the publications of the user's personal channel."""

    publications: "asyncio.Queue[Any]" = field(default_factory=asyncio.Queue)

    async def on_publication(self, ctx: Any) -> None:
        self.publications.put_nowait(ctx.pub.data)


@sync_to_async
def _scene() -> tuple[Room, User, User]:
    alice, bob = (User.objects.create(username=name, display_name=name.title()) for name in ("alice", "bob"))
    room = services.create_room(alice, "Swing")
    services.join_room(bob, room)
    return room, alice, bob


@contextlib.asynccontextmanager
async def _connected(url: str, user: User, events: Personal | None = None) -> AsyncIterator[Any]:
    browser = Client()
    await sync_to_async(browser.force_login)(user)
    cookie = f"{settings.SESSION_COOKIE_NAME}={browser.cookies[settings.SESSION_COOKIE_NAME].value}"
    client = centrifuge.Client(websocket_url(url), events=events, headers={"Cookie": cookie, "Origin": url})
    await client.connect()
    await client.ready(timeout=10)
    try:
        yield client
    finally:
        await client.disconnect()


async def _listen(client: Any, channel: str, **options: Any) -> tuple[Any, Heard]:
    heard = Heard()
    subscription = client.new_subscription(channel, heard, **options)
    await subscription.subscribe()
    await subscription.ready(timeout=10)
    return subscription, heard


@contextlib.asynccontextmanager
async def _site() -> AsyncIterator[str]:
    async with live_server(hotclub.asgi.application(cast("Any", get_asgi_application()))) as url:
        yield url


async def test_what_one_says_the_other_gets_and_a_retry_says_nothing() -> None:
    room, alice, bob = await _scene()
    async with _site() as url, _connected(url, alice) as hers, _connected(url, bob) as his:
        sending, _ = await _listen(hers, room.channel)
        _, heard = await _listen(his, room.channel)
        draft = {"id": str(uuid4()), "text": "**hi**"}
        await sending.publish(draft)
        await sending.publish(draft)
        await sending.publish({"id": str(uuid4()), "text": "there"})
        first, second = await heard.next(), await heard.next()
    assert first["type"] == "message"
    assert first["message"]["client_id"] == draft["id"]
    assert first["message"]["user"] == {"id": str(alice.pk), "name": "Alice"}
    assert first["message"]["html"] == "<p><strong>hi</strong></p>"
    assert second["message"]["text"] == "there"
    assert await Message.objects.acount() == 2


async def test_leaving_ends_the_subscriptions_within_a_second() -> None:
    room, alice, bob = await _scene()
    async with _site() as url, _connected(url, alice) as hers, _connected(url, bob) as his:
        _, watching = await _listen(hers, room.channel)
        _, reading = await _listen(his, room.channel)
        _, typing = await _listen(his, room.typing_channel)
        await sync_to_async(services.leave_room)(bob, room)
        ended = [await asyncio.wait_for(heard.ended, 1) for heard in (reading, typing)]
        assert [context.code for context in ended] == [2000, 2000]
        assert await watching.next() == {
            "type": "member",
            "action": "left",
            "user": {"id": str(bob.pk), "name": "Bob"},
        }
        nowhere = Heard()
        subscription = his.new_subscription(f"{room.channel}0", nowhere)
        await subscription.subscribe()
        assert (await asyncio.wait_for(nowhere.ended, 5)).code == 103
        await sync_to_async(services.delete_room)(room)
        assert (await asyncio.wait_for(watching.ended, 1)).code == ROOM_DELETED


async def test_others_see_who_is_typing_and_who_is_here() -> None:
    room, alice, bob = await _scene()
    async with _site() as url, _connected(url, alice) as hers, _connected(url, bob) as his:
        typing, _ = await _listen(hers, room.typing_channel)
        _, seen = await _listen(his, room.typing_channel)
        subscription, heard = await _listen(hers, room.channel, join_leave=True)
        await _listen(his, room.channel)
        # A client is present from its join on, which comes after the reply to its subscribe.
        while await asyncio.wait_for(heard.joined.get(), 5) != str(bob.pk):
            pass
        await typing.publish({"user": {"id": "99"}})
        assert await seen.next() == {"user": {"id": str(alice.pk), "name": "Alice"}}
        here = (await subscription.presence()).clients.values()
        assert {(info.user, info.conn_info["name"]) for info in here} == {
            (str(alice.pk), "Alice"),
            (str(bob.pk), "Bob"),
        }


async def test_reading_in_one_window_is_told_to_the_other() -> None:
    room, alice, bob = await _scene()
    message = await sync_to_async(services.post_message)(room.pk, alice, uuid4(), "hello")
    other_window = Personal()
    async with _site() as url, _connected(url, bob) as window, _connected(url, bob, other_window):
        result = await window.rpc("chat.mark_read", {"room_id": room.pk, "offset": message.offset})
        told = await asyncio.wait_for(other_window.publications.get(), 5)
    assert result.data == {"last_read": message.offset}
    assert told == {"type": "chat.read", "room": room.pk, "offset": message.offset}
