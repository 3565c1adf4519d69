"""The actions in a room: one function each, which stores and publishes in one transaction.

The events of a room's channel are `data.RoomMessage` and `data.RoomMember`. A page that takes `queries.snapshot` and
applies the events after its position shows the same as a new snapshot.
"""

import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import unescape
from typing import Literal
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

import hotclub
from clubhouse.accounts.services import User, is_blank, person
from clubhouse.chat.data import RoomMember, RoomMessage, message_data
from clubhouse.chat.errors import (
    ROOM_DELETED,
    BadMessage,
    EmptyMessage,
    IdAlreadyUsed,
    MessageTooLong,
    NotAMember,
    TooFast,
    TooManyMemberships,
    TooManyRooms,
)
from clubhouse.chat.markup import render
from clubhouse.chat.models import Membership, Message, Room

MAX_LENGTH = 10_000
"""Length of the longest message, in code points."""

DEFAULT_RATE = (10, 5.0)
"""Default of the setting CHAT_RATE: a number of messages, and the seconds in which a user may post it to one room."""

_LARGEST_ID = 2**63 - 1


@transaction.atomic
def create_room(user: User, name: str, topic: str = "") -> Room:
    """Create a room with the user as its first member.

    Raises:
        TooManyRooms, TooManyMemberships: the user has reached a limit of the settings.
        django.db.IntegrityError: a room with this name exists.
        RoomNameTaken: the name of another room looks like this one.
    """
    _check_rooms(user)
    room = Room.objects.create(name=name, topic=topic, created_by=user)
    join_room(user, room)
    return room


@transaction.atomic
def join_room(user: User, room: Room) -> Membership:
    """Make the user a member who has read all earlier messages. Joining again changes nothing.

    Raises:
        TooManyMemberships: the user is in as many rooms as CHAT_MEMBERSHIPS_PER_PERSON allows.
    """
    _check_memberships(user, room)
    newest = room.messages.order_by("-offset").values_list("offset", flat=True).first() or 0
    membership, new = Membership.objects.get_or_create(room=room, user=user, defaults={"last_read": newest})
    if new:
        _publish_member(room, user, "joined")
    return membership


@transaction.atomic
def leave_room(user: User, room: Room) -> None:
    """End the membership, and within a second the user's subscriptions to the room. Leaving again changes nothing."""
    deleted, _by_model = Membership.objects.filter(room=room, user=user).delete()
    if deleted:
        _publish_member(room, user, "left")
        hotclub.unsubscribe(room.channel, user=user)
        hotclub.unsubscribe(room.typing_channel, user=user)


@dataclass(frozen=True, slots=True)
class Draft:
    """The text of a message that has been checked, with its HTML."""

    text: str
    html: str


def draft(text: str) -> Draft:
    """Check and render a text. Call it outside a transaction: no lock should wait for the rendering.

    Raises:
        EmptyMessage, MessageTooLong, BadMessage: the text is not acceptable.
    """
    check_text(text)
    html = render(text)
    # A quotation or list of nothing is nothing. What is left of a tag here would only count as visible.
    if is_blank(unescape(re.sub("<[^>]*>", "", html))):
        raise EmptyMessage
    return Draft(text, html)


@transaction.atomic
def delete_room(room: Room) -> None:
    """Delete the room with its members and messages, and end all subscriptions to it within a second. Their code tells
    the reason."""
    channels = (room.channel, room.typing_channel)
    room.delete()
    for channel in channels:
        hotclub.unsubscribe(channel, code=ROOM_DELETED)


def post_message(room_id: int, user: User, client_id: UUID, text: str) -> Message:
    """Check, render and post a message to a room; see `post_draft`.

    Raises:
        EmptyMessage, MessageTooLong, BadMessage: the text is not acceptable.
        NotAMember, IdAlreadyUsed, TooFast: as `post_draft`.
    """
    return post_draft(room_id, user, client_id, draft(text))


@transaction.atomic
def post_draft(room_id: int, user: User, client_id: UUID, message: Draft) -> Message:
    """Post a message to a room.

    A call with the id and text of an earlier one returns the earlier message and publishes nothing, so a client whose
    answer was lost may repeat its request.

    Raises:
        NotAMember: the user is not in the room, or the room does not exist.
        IdAlreadyUsed: the user has used the id for another message.
        TooFast: the user must wait before the next message.
    """
    membership = _membership(room_id, user)
    earlier = Message.objects.filter(author=user, client_id=client_id).first()
    if earlier is None:
        _check_rate(membership)
        return _record(membership, client_id, message, timezone.now())
    return _same(earlier, room_id, message.text)


def record_message(membership: Membership, client_id: UUID, text: str, created: datetime) -> Message:
    """Store and publish a message without checking its text and the user's rate. Call it in a transaction.

    Raises:
        IdAlreadyUsed: the member has used the id for another message.
    """
    return _record(membership, client_id, Draft(text, render(text)), created)


def _record(membership: Membership, client_id: UUID, draft: Draft, created: datetime) -> Message:
    message, new = Message.objects.get_or_create(
        author=membership.user,
        client_id=client_id,
        defaults={"room": membership.room, "text": draft.text, "html": draft.html, "created": created},
    )
    if not new:
        # Another transaction has stored the same message after the caller looked for it.
        return _same(message, membership.room_id, draft.text)
    event: RoomMessage = {"type": "message", "message": message_data(message)}
    key = f"message:{membership.user_id}:{client_id}"
    position = hotclub.publish(membership.room.channel, event, idempotency_key=key)
    assert position is not None, "a durable channel returns the position"
    message.offset = position.offset
    message.save(update_fields=["offset"])
    return message


@transaction.atomic
def mark_read(room_id: int, user: User, offset: int) -> int:
    """Move the user's read mark to `offset`, but never backwards, and never beyond the newest message.

    The user's other connections get the event `chat.read` on the personal channel.

    Returns:
        The offset of the mark.

    Raises:
        NotAMember: the user is not in the room, or the room does not exist.
    """
    membership = _membership(room_id, user)
    newest = membership.room.messages.order_by("-offset").values_list("offset", flat=True).first() or 0
    mark = min(offset, newest)
    if Membership.objects.filter(pk=membership.pk, last_read__lt=mark).update(last_read=mark):
        hotclub.publish_to_user(user, {"type": "chat.read", "room": room_id, "offset": mark})
        return mark
    return membership.last_read


def is_member(room_id: int, user: User) -> bool:
    """Return whether the user is in the room."""
    return _memberships(room_id, user).exists()


def check_text(text: str) -> None:
    """Check that the text can be stored, sent and read.

    Raises:
        EmptyMessage, MessageTooLong, BadMessage: the text is not acceptable.
    """
    if len(text) > MAX_LENGTH:
        raise MessageTooLong
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise BadMessage
    if is_blank(text):
        raise EmptyMessage


def _membership(room_id: int, user: User) -> Membership:
    """Return the membership with the user as stored now: the user object of a connection may be old."""
    try:
        return _memberships(room_id, user).select_related("room", "user").get()
    except Membership.DoesNotExist:
        raise NotAMember from None


def _memberships(room_id: int, user: User) -> "QuerySet[Membership]":
    # Clients choose the number. The database fails on a number that is too large for its column.
    if room_id > _LARGEST_ID:
        return Membership.objects.none()
    return Membership.objects.filter(room_id=room_id, user=user)


def _same(message: Message, room_id: int, text: str) -> Message:
    if message.room_id != room_id or message.text != text:
        raise IdAlreadyUsed
    return message


def _check_rooms(user: User) -> None:
    limit = getattr(settings, "CHAT_ROOMS_PER_PERSON", None)
    if limit is not None and _locked(user) and Room.objects.filter(created_by=user).count() >= limit:
        raise TooManyRooms(limit)


def _check_memberships(user: User, room: Room) -> None:
    limit = getattr(settings, "CHAT_MEMBERSHIPS_PER_PERSON", None)
    if limit is None or not _locked(user):
        return
    joined = Membership.objects.filter(user=user).count()
    if joined >= limit and not _memberships(room.pk, user).exists():
        raise TooManyMemberships(limit)


def _locked(user: User) -> bool:
    """Lock the user's row, so that requests at the same time are counted one after the other."""
    return User.objects.select_for_update().filter(pk=user.pk).exists()


def _check_rate(membership: Membership) -> None:
    """Apply CHAT_RATE. The rows are counted, not a number in memory, so the rate holds for all processes together."""
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
