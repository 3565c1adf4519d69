"""The live side of chat: who may listen, what a member may send, and how a refusal is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from clubhouse.accounts.services import User, person
from clubhouse.chat import services
from clubhouse.chat.data import ReadMark, RoomMember, RoomMessage, Typing
from clubhouse.chat.errors import BadMessage, ChatError, NotAMember
from hotclub import Channel, Client, Code, History, Refused, rpc


class Draft(msgspec.Struct):
    """What a member publishes. Any other field, such as a sender, is nobody's to set and is not looked at."""

    id: UUID
    text: str


class RoomChannel(Channel):
    """Messages of a room, and who joins and leaves it."""

    pattern = "chat:<int:room_id>"
    history = History(size=1000, ttl=timedelta(days=30), durable=True)
    presence = True
    publication = RoomMessage | RoomMember
    message = Draft

    def can_subscribe(self, client: Client, room_id: int) -> bool:
        """Members only."""
        return services.is_member(room_id, _user(client))

    def on_publish(self, client: Client, data: Any, room_id: int) -> None:
        """A member says something; the service publishes it, with what the site knows of its author."""
        with _refusals():
            draft = _draft(data)
            services.post_message(room_id, _user(client), draft.id, draft.text)


class TypingChannel(Channel):
    """Who is writing in a room at this moment."""

    pattern = "chat-typing:<int:room_id>"

    def can_subscribe(self, client: Client, room_id: int) -> bool:
        """Members only."""
        return services.is_member(room_id, _user(client))

    def on_publish(self, client: Client, _data: Any, room_id: int) -> Typing:
        """Whatever a member sends here means "I am writing"."""
        user = _user(client)
        if not services.is_member(room_id, user):
            raise Refused(Code.PERMISSION_DENIED, "permission denied")
        return {"user": person(user)}


@rpc("chat.mark_read")
def mark_read(client: Client, room_id: int, offset: int) -> ReadMark:
    """Move the caller's mark in a room forward to `offset`; returns where it stands."""
    with _refusals():
        return {"last_read": services.mark_read(room_id, _user(client), offset)}


def _user(client: Client) -> User:
    # Sockets of this site are signed in; one that is not gets the answer that everybody without access gets.
    if not isinstance(client.user, User):
        raise Refused(Code.PERMISSION_DENIED, "permission denied")
    return client.user


def _draft(data: Any) -> Draft:
    try:
        return msgspec.convert(data, Draft)
    except msgspec.ValidationError:
        raise BadMessage from None


@contextmanager
def _refusals() -> Iterator[None]:
    """What the services refuse, as the error that the client gets: the codes are in `clubhouse.chat.errors`."""
    try:
        yield
    except NotAMember:
        raise Refused(Code.PERMISSION_DENIED, "permission denied") from None
    except ChatError as error:
        raise Refused(error.code, error.message, temporary=error.code == 429) from None
