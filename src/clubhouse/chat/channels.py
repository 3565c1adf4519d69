"""The channels and procedures of the chat."""

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


class NewMessage(msgspec.Struct):
    """What a member publishes in a room; the browser makes `id`. Other fields, such as an author, are ignored."""

    id: UUID
    text: str


class RoomChannel(Channel):
    """The messages of a room, and who joins and leaves it."""

    pattern = "chat:<int:room_id>"
    history = History(size=1000, ttl=timedelta(days=30), durable=True)
    presence = True
    publication = RoomMessage | RoomMember
    message = NewMessage

    def can_subscribe(self, client: Client, room_id: int) -> bool:
        """Allow members. A room that does not exist is answered like one whose reader is no member."""
        return services.is_member(room_id, _user(client))

    def prepare_publish(self, client: Client, data: Any, room_id: int) -> "tuple[UUID, services.Draft]":  # noqa: ARG002
        """Check and render the text, before the transaction begins.

        Raises:
            Refused: the code of the `ChatError`.
        """
        with _refusals():
            message = _new_message(data)
            return message.id, services.draft(message.text)

    def on_publish(self, client: Client, data: "tuple[UUID, services.Draft]", room_id: int) -> None:
        """Post the message for a member. `services.post_draft` stores and publishes it, so this hook returns nothing.

        Raises:
            Refused: 103 for users who are not in the room, otherwise the code of the `ChatError`.
        """
        with _refusals():
            services.post_draft(room_id, _user(client), *data)


class TypingChannel(Channel):
    """Who is typing in a room at this moment."""

    pattern = "chat-typing:<int:room_id>"

    def can_subscribe(self, client: Client, room_id: int) -> bool:
        """Allow members."""
        return services.is_member(room_id, _user(client))

    def on_publish(self, client: Client, _data: Any, room_id: int) -> Typing:
        """Publish that the member is typing, whatever the member sent.

        Raises:
            Refused: 103 for users who are not in the room.
        """
        user = _user(client)
        if not services.is_member(room_id, user):
            raise Refused(Code.PERMISSION_DENIED, "permission denied")
        return {"user": person(user)}


@rpc("chat.mark_read")
def mark_read(client: Client, room_id: int, offset: int) -> ReadMark:
    """Move the user's read mark in a room forward to `offset`; returns the offset of the mark."""
    with _refusals():
        return {"last_read": services.mark_read(room_id, _user(client), offset)}


def _user(client: Client) -> User:
    # Everybody without access gets the same answer, which tells nothing about the room.
    if not isinstance(client.user, User):
        raise Refused(Code.PERMISSION_DENIED, "permission denied")
    return client.user


def _new_message(data: Any) -> NewMessage:
    try:
        return msgspec.convert(data, NewMessage)
    except msgspec.ValidationError:
        raise BadMessage from None


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn the errors of the services into the errors that clients get."""
    try:
        yield
    except NotAMember:
        raise Refused(Code.PERMISSION_DENIED, "permission denied") from None
    except ChatError as error:
        raise Refused(error.code, error.message, temporary=error.code == 429) from None
