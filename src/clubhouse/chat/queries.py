"""What pages read: a room, its older messages, and the lists of rooms."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import BigIntegerField, Count, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

import hotclub
from clubhouse.accounts.services import User, person
from clubhouse.chat.data import PageData, RoomData, page_data
from clubhouse.chat.errors import NotAMember
from clubhouse.chat.models import Membership, Message, Room

PAGE_SIZE = 50
MEMBERS_SHOWN = 500
ROOMS_SHOWN = 200
UNREAD_COUNTED = 100
"""Counting of unread messages ends here, and pages show "99+"."""

_LAST_OFFSET = 2**63 - 1


def snapshot(room: Room, user: User) -> RoomData:
    """Return the room at one position of its channel. A page subscribes from that position.

    Raises:
        NotAMember: the user is not in the room.
    """
    membership = Membership.objects.filter(room=room, user=user).first()
    if membership is None:
        raise NotAMember
    # The position is read first. Messages after it are left out here and reach the page as events.
    top = hotclub.history(room.channel, limit=0).top
    messages, more = _newest(room.messages.filter(offset__lte=top.offset))
    return {
        "room": {"id": room.pk, "name": room.name, "topic": room.topic},
        "me": person(user),
        # The members may be newer than the position. That does no harm: a page that applies an event of a member twice
        # shows the same as after once.
        "members": [person(member) for member in members(room)],
        **page_data(messages, more=more),
        "epoch": top.epoch,
        "offset": top.offset,
        "last_read": membership.last_read,
    }


def page_before(room: Room, user: User, offset: int) -> PageData:
    """Return the page of messages that ends before `offset`.

    Raises:
        NotAMember: the user is not in the room.
    """
    if not Membership.objects.filter(room=room, user=user).exists():
        raise NotAMember
    messages, more = _newest(room.messages.filter(offset__lt=offset))
    return page_data(messages, more=more)


def members(room: Room) -> Sequence[User]:
    """Return the first 500 members of the room, in the order of joining."""
    joined = room.memberships.select_related("user").order_by("joined", "pk")[:MEMBERS_SHOWN]
    return [membership.user for membership in joined]


@dataclass(frozen=True, slots=True)
class JoinedRoom:
    """A room of the user, with its number of unread messages; 100 stands for more than 99."""

    room: Room
    unread: int


def joined_rooms(user: User) -> list[JoinedRoom]:
    """Return the user's rooms by name, in one query, which looks at no more than 100 unread messages of each."""
    unread = (
        Message.objects.filter(room=OuterRef("room"), offset__gt=OuterRef("last_read"))
        .exclude(author=user)
        .order_by("offset")
    )
    last_counted = Subquery(unread.values("offset")[UNREAD_COUNTED - 1 : UNREAD_COUNTED])
    counted = unread.filter(offset__lte=OuterRef("last_counted")).order_by().values("room").annotate(n=Count("pk"))
    memberships = (
        Membership.objects.filter(user=user)
        .annotate(last_counted=Coalesce(last_counted, Value(_LAST_OFFSET), output_field=BigIntegerField()))
        .annotate(unread=Coalesce(Subquery(counted.values("n")), 0))
        .select_related("room")
        .order_by("room__name")
    )
    return [JoinedRoom(membership.room, membership.unread) for membership in memberships]


@dataclass(frozen=True, slots=True)
class OpenRoom:
    """A room that the user can join."""

    room: Room
    num_members: int


def other_rooms(user: User) -> list[OpenRoom]:
    """Return the 200 largest rooms that the user is not in, by number of members."""
    rooms = Room.objects.exclude(memberships__user=user).annotate(num_members=Count("memberships"))
    return [OpenRoom(room, room.num_members) for room in rooms.order_by("-num_members", "name")[:ROOMS_SHOWN]]


def _newest(messages: "QuerySet[Message]") -> tuple[list[Message], bool]:
    """Return the newest page, the oldest message first, and whether older messages exist."""
    found = list(messages.select_related("author").order_by("-offset")[: PAGE_SIZE + 1])
    return found[:PAGE_SIZE][::-1], len(found) > PAGE_SIZE
