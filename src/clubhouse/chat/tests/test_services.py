"""The actions in a room, and their refusals."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from clubhouse.accounts.models import User
from clubhouse.chat import queries, services
from clubhouse.chat.errors import (
    BadMessage,
    ChatError,
    EmptyMessage,
    IdAlreadyUsed,
    MessageTooLong,
    NotAMember,
    TooFast,
    TooManyMemberships,
    TooManyRooms,
)
from clubhouse.chat.models import Membership, Message, Room

MakeUser = Callable[..., User]


@pytest.fixture
def alice(make_user: MakeUser) -> User:
    return make_user("alice", display_name="Alice")


@pytest.fixture
def bob(make_user: MakeUser) -> User:
    return make_user("bob")


@pytest.fixture
def room(alice: User) -> Room:
    return services.create_room(alice, "Swing")


def _offset(message: Message) -> int:
    return Message.objects.get(pk=message.pk).offset


def test_the_maker_is_in_the_room(room: Room, alice: User, bob: User) -> None:
    assert services.is_member(room.pk, alice)
    assert not services.is_member(room.pk, bob)
    with pytest.raises(IntegrityError), transaction.atomic():
        services.create_room(bob, "Swing")


def test_joining_and_leaving_twice_is_the_same_as_once(room: Room, bob: User) -> None:
    first = services.join_room(bob, room)
    assert services.join_room(bob, room) == first
    services.leave_room(bob, room)
    services.leave_room(bob, room)
    assert not services.is_member(room.pk, bob)


def test_a_message_is_stored_as_typed(room: Room, alice: User) -> None:
    text = "  你好 **x** <b>\n"
    message = services.post_message(room.pk, alice, uuid4(), text)
    message.refresh_from_db()
    assert message.text == text
    assert message.html == "<p>你好 <strong>x</strong> &lt;b&gt;</p>"
    assert message.author == alice


def test_messages_stand_in_the_order_of_their_offsets(room: Room, alice: User) -> None:
    offsets = [_offset(services.post_message(room.pk, alice, uuid4(), text)) for text in "abc"]
    assert offsets == sorted(set(offsets))


def test_a_repeated_message_is_the_first_one(room: Room, alice: User) -> None:
    key = uuid4()
    first = services.post_message(room.pk, alice, key, "once")
    assert services.post_message(room.pk, alice, key, "once") == first
    assert Message.objects.count() == 1
    assert _offset(first) == first.offset


def test_a_repeated_message_is_not_too_fast(room: Room, alice: User, settings: object) -> None:
    settings.CHAT_RATE = (1, 60.0)  # type: ignore[attr-defined]
    key = uuid4()
    services.post_message(room.pk, alice, key, "once")
    services.post_message(room.pk, alice, key, "once")


@pytest.mark.parametrize("change", ["text", "room"])
def test_an_id_stands_for_one_message(room: Room, alice: User, change: str) -> None:
    key = uuid4()
    services.post_message(room.pk, alice, key, "once")
    other = services.create_room(alice, "Other") if change == "room" else room
    with pytest.raises(IdAlreadyUsed):
        services.post_message(other.pk, alice, key, "once" if change == "room" else "twice")


def test_ids_of_two_people_do_not_meet(room: Room, alice: User, bob: User) -> None:
    services.join_room(bob, room)
    key = uuid4()
    first = services.post_message(room.pk, alice, key, "mine")
    assert services.post_message(room.pk, bob, key, "mine") != first


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", EmptyMessage),
        (" \n\t　", EmptyMessage),
        ("\u200b\u202e", EmptyMessage),
        *((text, EmptyMessage) for text in ("\u3164", "\u2800\n\u2800", "\u115f\u034f", "\ufe0f", "\U000e0041")),
        *((text, EmptyMessage) for text in ("> \u2800", "**\u3164**", "1. \u115f", "`\u3164`", "```\n\u2800\n```")),
        ("a" * 10_001, MessageTooLong),
        ("😀" * 10_001, MessageTooLong),
        ("a\0b", BadMessage),
        ("a\ud800", BadMessage),
    ],
)
def test_what_is_no_message_is_refused(room: Room, alice: User, text: str, error: type[ChatError]) -> None:
    with pytest.raises(error):
        services.post_message(room.pk, alice, uuid4(), text)
    assert not Message.objects.exists()


def test_length_is_counted_in_characters(room: Room, alice: User) -> None:
    services.post_message(room.pk, alice, uuid4(), "😀" * 10_000)


@pytest.mark.parametrize("number", [0, -1, 10**6, 2**63 - 1, 2**63, 10**30])
def test_outsiders_and_unknown_rooms_get_the_same_answer(alice: User, number: int) -> None:
    assert not services.is_member(number, alice)
    with pytest.raises(NotAMember):
        services.post_message(number, alice, uuid4(), "hello")
    with pytest.raises(NotAMember):
        services.mark_read(number, alice, 1)


def test_who_is_not_in_the_room_cannot_do_anything_in_it(room: Room, bob: User) -> None:
    for action in (
        lambda: services.post_message(room.pk, bob, uuid4(), "hello"),
        lambda: services.mark_read(room.pk, bob, 1),
        lambda: queries.page_before(room, bob, 100),
        lambda: queries.snapshot(room, bob),
    ):
        with pytest.raises(NotAMember):
            action()


def test_too_many_messages_have_to_wait(room: Room, alice: User, bob: User, settings: object) -> None:
    settings.CHAT_RATE = (3, 60.0)  # type: ignore[attr-defined]
    services.join_room(bob, room)
    for _ in range(3):
        services.post_message(room.pk, alice, uuid4(), "quick")
    with pytest.raises(TooFast) as refused:
        services.post_message(room.pk, alice, uuid4(), "too quick")
    assert 58 <= refused.value.seconds <= 60
    assert str(refused.value) == f"slow down: {refused.value.seconds}"
    services.post_message(room.pk, bob, uuid4(), "another person")
    services.post_message(services.create_room(alice, "Other").pk, alice, uuid4(), "another room")
    Message.objects.filter(author=alice, room=room).update(created=timezone.now() - timedelta(seconds=61))
    services.post_message(room.pk, alice, uuid4(), "later")


def test_a_clock_that_was_set_back_does_not_lock_anybody_out(room: Room, alice: User, settings: object) -> None:
    settings.CHAT_RATE = (1, 5.0)  # type: ignore[attr-defined]
    services.post_message(room.pk, alice, uuid4(), "from the future")
    Message.objects.update(created=timezone.now() + timedelta(days=1))
    with pytest.raises(TooFast) as refused:
        services.post_message(room.pk, alice, uuid4(), "now")
    assert refused.value.seconds == 5


def test_the_read_mark_moves_forward_and_not_beyond_the_newest(room: Room, alice: User, bob: User) -> None:
    services.join_room(bob, room)
    newest = [services.post_message(room.pk, alice, uuid4(), text) for text in "abc"][-1].offset
    assert services.mark_read(room.pk, bob, newest - 1) == newest - 1
    assert services.mark_read(room.pk, bob, newest - 2) == newest - 1
    assert services.mark_read(room.pk, bob, 10**30) == newest
    assert Membership.objects.get(user=bob).last_read == newest


def test_unread_counts_what_others_said_since(room: Room, alice: User, bob: User) -> None:
    services.post_message(room.pk, alice, uuid4(), "before bob came")
    services.join_room(bob, room)
    services.create_room(bob, "Quiet")
    services.post_message(room.pk, bob, uuid4(), "mine")
    for text in "abc":
        services.post_message(room.pk, alice, uuid4(), text)
    assert [(joined.room.name, joined.unread) for joined in queries.joined_rooms(bob)] == [("Quiet", 0), ("Swing", 3)]


def test_unread_stops_counting_at_a_hundred(
    room: Room, alice: User, bob: User, django_assert_num_queries: object
) -> None:
    services.join_room(bob, room)
    start = _offset(services.post_message(room.pk, alice, uuid4(), "first"))
    Message.objects.bulk_create(
        Message(room=room, author=alice, client_id=UUID(int=number), text="x", html="x", offset=start + number)
        for number in range(1, 150)
    )
    with django_assert_num_queries(1):  # type: ignore[operator]
        assert [joined.unread for joined in queries.joined_rooms(bob)] == [100]


def test_older_messages_come_in_pages(room: Room, alice: User) -> None:
    Message.objects.bulk_create(
        Message(room=room, author=alice, client_id=UUID(int=number), text=str(number), html="x", offset=number)
        for number in range(1, 121)
    )
    seen: list[str] = []
    before, more = 2**63 - 1, True
    while more:
        page = queries.page_before(room, alice, before)
        seen = [message["text"] for message in page["messages"]] + seen
        before, more = page["messages"][0]["offset"], page["more"]
    assert seen == [str(number) for number in range(1, 121)]


def test_rooms_to_join_are_those_one_is_not_in(room: Room, bob: User) -> None:
    services.create_room(bob, "Mine")
    assert [(other.room.name, other.num_members) for other in queries.other_rooms(bob)] == [("Swing", 1)]


def test_a_person_makes_as_many_rooms_as_the_setting_allows(alice: User, bob: User, settings: Any) -> None:
    settings.CHAT_ROOMS_PER_PERSON = 2
    first, _ = (services.create_room(alice, f"Room {number}") for number in range(2))
    with pytest.raises(TooManyRooms) as refused:
        services.create_room(alice, "Third")
    assert (refused.value.limit, Room.objects.count()) == (2, 2)
    services.create_room(bob, "Of another person")
    first.delete()
    services.create_room(alice, "In the place of a deleted one")
    settings.CHAT_ROOMS_PER_PERSON = None
    services.create_room(alice, "Third")


def test_a_person_is_in_as_many_rooms_as_the_setting_allows(room: Room, bob: User, settings: Any) -> None:
    settings.CHAT_MEMBERSHIPS_PER_PERSON = 1
    services.join_room(bob, room)
    services.join_room(bob, room)  # joining again is no other room
    with pytest.raises(TooManyMemberships):
        services.create_room(bob, "One too many")
    assert not Room.objects.filter(name="One too many").exists()
    services.leave_room(bob, room)
    services.create_room(bob, "The only one")


def test_lists_come_in_pages(alice: User, bob: User, make_user: MakeUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "ROOMS_SHOWN", 2)
    monkeypatch.setattr(queries, "MEMBERS_SHOWN", 2)
    rooms = [services.create_room(alice, f"Room {number}") for number in range(5)]
    expected = [["Room 0", "Room 1"], ["Room 2", "Room 3"], ["Room 4"]]
    # There are no pages 0, 4 and 10^9, so the first one is shown.
    for page, names in [*enumerate(expected, 1), (0, expected[0]), (4, expected[0]), (10**9, expected[0])]:
        assert [item.room.name for item in queries.joined_rooms(alice, page)] == names
        assert [item.room.name for item in queries.other_rooms(bob, page)] == names
    assert [queries.joined_rooms(alice, page).more for page in (1, 2, 3)] == [True, True, False]
    assert [queries.page_of_room(alice, room) for room in rooms] == [1, 1, 2, 2, 3]
    for name in ("carol", "dave"):
        services.join_room(make_user(name), rooms[0])
    assert [[person.username for person in queries.members(rooms[0], page)] for page in (1, 2)] == [
        ["alice", "carol"],
        ["dave"],
    ]
    data = queries.snapshot(rooms[0], alice)
    assert (len(data["members"]), data["more_members"]) == (2, True)
    assert not queries.snapshot(rooms[1], alice)["more_members"]
