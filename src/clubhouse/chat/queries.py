"""What pages read: a room, its older messages, and the lists of rooms."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import BigIntegerField, Count, Model, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

import hotclub
from clubhouse.accounts.services import User, person
from clubhouse.chat.data import PageData, RoomData, page_data
from clubhouse.chat.errors import NotAMember
from clubhouse.chat.models import Membership, Message, Room

PAGE_SIZE = 50
MEMBERS_SHOWN = 100
ROOMS_SHOWN = 50
"""Entries of one page of a list of rooms."""
UNREAD_COUNTED = 100
"""Counting of unread messages ends here, and pages show "99+"."""

_LAST_OFFSET = 2**63 - 1
_LAST_PAGE = 10**6

Entry = TypeVar("Entry")
Row = TypeVar("Row", bound=Model)


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
    shown = members(room)
    return {
        "room": {"id": room.pk, "name": room.name, "topic": room.topic},
        "me": person(user),
        # The members may be newer than the position. That does no harm: a page that applies an event of a member twice
        # shows the same as after once.
        "members": [person(member) for member in shown],
        "more_members": shown.more,
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


@dataclass(frozen=True, slots=True)
class Listed(Generic[Entry]):
    """One page of a list."""

    entries: list[Entry]
    number: int
    """Number of the page, from 1."""
    more: bool
    """Whether the list goes on."""

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


def members(room: Room, page: int = 1) -> Listed[User]:
    """Return a page of the room's members, in the order of joining."""
    joined = room.memberships.select_related("user").order_by("joined", "pk")
    found = _page(joined, page, MEMBERS_SHOWN)
    return Listed([membership.user for membership in found], found.number, found.more)


@dataclass(frozen=True, slots=True)
class JoinedRoom:
    """A room of the user, with its number of unread messages; 100 stands for more than 99."""

    room: Room
    unread: int


def joined_rooms(user: User, page: int = 1) -> Listed[JoinedRoom]:
    """Return a page of the user's rooms by name, in one query, which looks at no more than 100 unread messages each."""
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
    found: Listed[Any] = _page(memberships, page, ROOMS_SHOWN)
    return Listed([JoinedRoom(membership.room, membership.unread) for membership in found], found.number, found.more)


def page_of_room(user: User, room: Room) -> int:
    """Return the number of the page of `joined_rooms` with this room, or with its place in the order of names."""
    before = Membership.objects.filter(user=user, room__name__lt=room.name).count()
    return before // ROOMS_SHOWN + 1


@dataclass(frozen=True, slots=True)
class OpenRoom:
    """A room that the user can join."""

    room: Room
    num_members: int


def other_rooms(user: User, page: int = 1) -> Listed[OpenRoom]:
    """Return a page of the rooms that the user is not in, the one with most members first."""
    rooms = Room.objects.exclude(memberships__user=user).annotate(num_members=Count("memberships"))
    found: Listed[Any] = _page(rooms.order_by("-num_members", "name"), page, ROOMS_SHOWN)
    return Listed([OpenRoom(room, room.num_members) for room in found], found.number, found.more)


def _page(rows: "QuerySet[Row]", page: int, size: int) -> Listed[Row]:
    number = max(1, min(page, _LAST_PAGE))
    start = (number - 1) * size
    found = list(rows[start : start + size + 1])
    if not found and number > 1:
        # The list has become shorter than its reader thinks.
        return _page(rows, 1, size)
    return Listed(found[:size], number, len(found) > size)


def _newest(messages: "QuerySet[Message]") -> tuple[list[Message], bool]:
    """Return the newest page, the oldest message first, and whether older messages exist."""
    found = list(messages.select_related("author").order_by("-offset")[: PAGE_SIZE + 1])
    return found[:PAGE_SIZE][::-1], len(found) > PAGE_SIZE
