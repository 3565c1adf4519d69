"""Everything that can happen in a room: one function per action, each in one transaction with what it publishes.

The events of a room's channel are `{"type": "message", "message": …}` and `{"type": "member", "action": …, "user": …}`.
A page that holds `queries.snapshot` and applies the events after its position shows what a fresh snapshot would.
"""

import math
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

import hotclub
from clubhouse.accounts.services import User, clean_line, person
from clubhouse.chat.data import RoomMember, RoomMessage, message_data
from clubhouse.chat.errors import BadMessage, EmptyMessage, IdAlreadyUsed, MessageTooLong, NotAMember, TooFast
from clubhouse.chat.markup import render
from clubhouse.chat.models import Membership, Message, Room

MAX_LENGTH = 10_000
"""Most characters (code points) of one message."""


DEFAULT_RATE = (10, 5.0)
"""Messages of one user in one room, in so many seconds, where the setting CHAT_RATE says nothing else."""

_LARGEST_ID = 2**63 - 1


@transaction.atomic
def create_room(user: User, name: str, topic: str = "") -> Room:
    """A new room with its maker in it.

    Raises:
        django.db.IntegrityError: there is a room of that name.
    """
    room = Room.objects.create(name=name, topic=topic, created_by=user)
    join_room(user, room)
    return room


@transaction.atomic
def join_room(user: User, room: Room) -> Membership:
    """Make the user a member, who has read all that was said before. Joining again changes nothing."""
    newest = room.messages.order_by("-offset").values_list("offset", flat=True).first() or 0
    membership, new = Membership.objects.get_or_create(room=room, user=user, defaults={"last_read": newest})
    if new:
        _publish_member(room, user, "joined")
    return membership


@transaction.atomic
def leave_room(user: User, room: Room) -> None:
    """End the membership and, within a second, every live subscription that rests on it."""
    deleted, _by_model = Membership.objects.filter(room=room, user=user).delete()
    if deleted:
        _publish_member(room, user, "left")
        hotclub.unsubscribe(room.channel, user=user)
        hotclub.unsubscribe(room.typing_channel, user=user)


@transaction.atomic
def post_message(room_id: int, user: User, client_id: UUID, text: str) -> Message:
    """Say something in a room.

    Repeating a call with the same id and text, after an answer that got lost, returns the first message and publishes
    nothing.

    Raises:
        EmptyMessage, MessageTooLong, BadMessage: the text is none.
        NotAMember: the user is not in the room, or there is no such room.
        IdAlreadyUsed: the id belongs to another message.
        TooFast: wait before the next one.
    """
    check_text(text)
    membership = _membership(room_id, user)
    earlier = Message.objects.filter(author=user, client_id=client_id).first()
    if earlier is None:
        _check_rate(membership)
        return record_message(membership, client_id, text, timezone.now())
    return _same(earlier, room_id, text)


def record_message(membership: Membership, client_id: UUID, text: str, created: datetime) -> Message:
    """Store a message of a member and publish it, without asking whether it may be. Call it in a transaction.

    Raises:
        IdAlreadyUsed: the id belongs to another message.
    """
    message, new = Message.objects.get_or_create(
        author=membership.user,
        client_id=client_id,
        defaults={"room": membership.room, "text": text, "html": render(text), "created": created},
    )
    if not new:
        # The same message in two transactions at once: the other one was first.
        return _same(message, membership.room_id, text)
    event: RoomMessage = {"type": "message", "message": message_data(message)}
    key = f"message:{membership.user_id}:{client_id}"
    position = hotclub.publish(membership.room.channel, event, idempotency_key=key)
    assert position is not None, "durable channels know their positions at once"
    message.offset = position.offset
    message.save(update_fields=["offset"])
    return message


@transaction.atomic
def mark_read(room_id: int, user: User, offset: int) -> int:
    """The user has read up to `offset`. The mark moves forward only, and never beyond the newest message.

    Returns:
        Where the mark stands now.

    Raises:
        NotAMember: the user is not in the room, or there is no such room.
    """
    membership = _membership(room_id, user)
    newest = membership.room.messages.order_by("-offset").values_list("offset", flat=True).first() or 0
    mark = min(offset, newest)
    if Membership.objects.filter(pk=membership.pk, last_read__lt=mark).update(last_read=mark):
        hotclub.publish_to_user(user, {"type": "chat.read", "room": room_id, "offset": mark})
        return mark
    return membership.last_read


def is_member(room_id: int, user: User) -> bool:
    """Whether the user is in the room."""
    return _memberships(room_id, user).exists()


def check_text(text: str) -> None:
    """Accept what can be stored, sent and read.

    Raises:
        EmptyMessage, MessageTooLong, BadMessage: it cannot.
    """
    if len(text) > MAX_LENGTH:
        raise MessageTooLong
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise BadMessage
    if not clean_line(text):
        raise EmptyMessage


def _membership(room_id: int, user: User) -> Membership:
    """The membership with room and user as they are now: a live connection may hold an older user."""
    try:
        return _memberships(room_id, user).select_related("room", "user").get()
    except Membership.DoesNotExist:
        raise NotAMember from None


def _memberships(room_id: int, user: User) -> "QuerySet[Membership]":
    # Peers choose the number; a database cannot even compare one that no column can hold.
    if room_id > _LARGEST_ID:
        return Membership.objects.none()
    return Membership.objects.filter(room_id=room_id, user=user)


def _same(message: Message, room_id: int, text: str) -> Message:
    if message.room_id != room_id or message.text != text:
        raise IdAlreadyUsed
    return message


def _check_rate(membership: Membership) -> None:
    """Counts rows and keeps nothing in memory, so that it holds for all processes together and over restarts."""
    rate = getattr(settings, "CHAT_RATE", DEFAULT_RATE)
    if rate is None:
        return
    most, seconds = rate
    own = Message.objects.filter(room=membership.room, author=membership.user).order_by("-created")
    times = own.values_list("created", flat=True)[most - 1 : most]
    for created in times:
        wait = min(created + timedelta(seconds=seconds) - timezone.now(), timedelta(seconds=seconds))
        if wait > timedelta(0):
            raise TooFast(math.ceil(wait.total_seconds()))


def _publish_member(room: Room, user: User, action: Literal["joined", "left"]) -> None:
    event: RoomMember = {"type": "member", "action": action, "user": person(user)}
    hotclub.publish(room.channel, event)
