"""The hooks of the chat's channels and procedures, called as Hotclub calls them."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection, transaction

import hotclub
from clubhouse.accounts.connections import on_connect
from clubhouse.accounts.models import User
from clubhouse.chat import channels, services
from clubhouse.chat.models import Message, Room

ROOM = channels.RoomChannel()
TYPING = channels.TypingChannel()


def _client(user: User | AnonymousUser) -> hotclub.Client:
    return hotclub.Client(id=str(uuid4()), user=user)


def _publish(client: hotclub.Client, data: Any, room_id: int) -> None:
    """Publish as Hotclub does it: the data are prepared before the transaction begins."""
    prepared = ROOM.prepare_publish(client, data, room_id=room_id)
    with transaction.atomic():
        ROOM.on_publish(client, prepared, room_id=room_id)


@pytest.fixture
def alice(make_user: Callable[..., User]) -> User:
    return make_user("alice", display_name="Alice", email="alice@example.com")


@pytest.fixture
def bob(make_user: Callable[..., User]) -> User:
    return make_user("bob")


@pytest.fixture
def room(alice: User) -> Room:
    return services.create_room(alice, "Swing")


@pytest.mark.parametrize("channel", [ROOM, TYPING])
def test_only_members_may_listen(channel: Any, room: Room, alice: User, bob: User) -> None:
    assert channel.can_subscribe(_client(alice), room_id=room.pk)
    assert not channel.can_subscribe(_client(bob), room_id=room.pk)
    services.leave_room(alice, room)
    assert not channel.can_subscribe(_client(alice), room_id=room.pk)


@pytest.mark.parametrize("channel", [ROOM, TYPING])
@pytest.mark.parametrize("room_id", [0, 1_000_000, 2**63])
def test_a_room_that_does_not_exist_is_answered_like_one_without_the_right(
    channel: Any, room_id: int, alice: User
) -> None:
    assert not channel.can_subscribe(_client(alice), room_id=room_id)


@pytest.mark.parametrize("channel", [ROOM, TYPING])
def test_nobody_without_an_account_may_listen(channel: Any, room: Room) -> None:
    with pytest.raises(hotclub.Refused) as refused:
        channel.can_subscribe(_client(AnonymousUser()), room_id=room.pk)
    assert refused.value.code == 103


def test_a_message_says_who_sent_it_and_not_who_its_sender_claims(room: Room, alice: User, bob: User) -> None:
    draft = {
        "id": str(uuid4()),
        "text": "hello",
        "user": {"id": str(bob.pk)},
        "author": bob.pk,
        "html": "<b>",
        "room": 99,
    }
    _publish(_client(alice), draft, room_id=room.pk)
    message = Message.objects.get()
    assert (message.author, message.room, message.html) == (alice, room, "<p>hello</p>")


@pytest.mark.parametrize(
    ("draft", "code"),
    [
        ({"id": str(uuid4()), "text": ""}, 400),
        ({"id": str(uuid4()), "text": "a" * 10_001}, 413),
        ({"id": "1", "text": "hello"}, 400),
        ({"text": "hello"}, 400),
        ({"id": str(uuid4())}, 400),
        ({"id": str(uuid4()), "text": 1}, 400),
        ({"id": str(uuid4()), "text": ["hello"]}, 400),
        ("hello", 400),
        ([], 400),
        (None, 400),
    ],
)
def test_a_bad_message_is_refused_with_its_code(room: Room, alice: User, draft: Any, code: int) -> None:
    with pytest.raises(hotclub.Refused) as refused:
        _publish(_client(alice), draft, room_id=room.pk)
    assert refused.value.code == code
    assert not refused.value.temporary


@pytest.mark.django_db(transaction=True)
def test_a_text_is_rendered_before_the_transaction(room: Room, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def render(text: str) -> str:
        assert not connection.in_atomic_block, "other writers wait for the rendering"
        return text.upper()

    monkeypatch.setattr(services, "render", render)
    _publish(_client(alice), {"id": str(uuid4()), "text": "by a client"}, room_id=room.pk)
    services.post_message(room.pk, alice, uuid4(), "by a form")
    assert list(Message.objects.values_list("html", flat=True).order_by("pk")) == ["BY A CLIENT", "BY A FORM"]


def test_who_is_too_fast_is_told_how_long_to_wait(room: Room, alice: User, settings: Any) -> None:
    settings.CHAT_RATE = (1, 30.0)
    _publish(_client(alice), {"id": str(uuid4()), "text": "one"}, room_id=room.pk)
    with pytest.raises(hotclub.Refused) as refused:
        _publish(_client(alice), {"id": str(uuid4()), "text": "two"}, room_id=room.pk)
    assert (refused.value.code, refused.value.message, refused.value.temporary) == (429, "slow down: 30", True)


def test_who_was_removed_can_send_nothing_more(room: Room, alice: User, bob: User) -> None:
    services.join_room(bob, room)
    services.leave_room(bob, room)
    for send in (
        lambda: _publish(_client(bob), {"id": str(uuid4()), "text": "hello"}, room_id=room.pk),
        lambda: TYPING.on_publish(_client(bob), {}, room_id=room.pk),
        lambda: channels.mark_read(_client(bob), room_id=room.pk, offset=1),
    ):
        with pytest.raises(hotclub.Refused) as refused:
            send()
        assert refused.value.code == 103


def test_typing_tells_the_name_and_nothing_that_the_client_sent(room: Room, alice: User) -> None:
    shown = TYPING.on_publish(_client(alice), {"user": {"id": "99", "name": "Bob"}}, room_id=room.pk)
    assert shown == {"user": {"id": str(alice.pk), "name": "Alice"}}


def test_marking_as_read_answers_with_the_mark(room: Room, alice: User) -> None:
    message = services.post_message(room.pk, alice, uuid4(), "hello")
    assert channels.mark_read(_client(alice), room_id=room.pk, offset=10**9) == {"last_read": message.offset}


def test_others_see_the_name_of_a_connection_and_nothing_else(alice: User) -> None:
    client = _client(alice)
    on_connect(client)
    assert client.info == {"name": "Alice"}


def test_a_reader_without_account_has_no_name() -> None:
    client = _client(AnonymousUser())
    on_connect(client)
    assert client.info is None
