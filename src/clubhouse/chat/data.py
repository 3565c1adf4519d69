"""The shapes in which the front end gets the chat's data, in pages and in events."""

from datetime import UTC, datetime
from typing import Literal, NotRequired, TypedDict

from clubhouse.accounts.services import Person, person
from clubhouse.chat.models import Message


class MessageData(TypedDict):
    """A message. In an event it has no `offset`, because its offset is that of the publication."""

    id: int
    client_id: str
    offset: NotRequired[int]
    user: Person
    html: str
    text: str
    created: str


class PageData(TypedDict):
    """Messages, the oldest first; `more` tells whether older ones exist."""

    messages: list[MessageData]
    more: bool


class RoomSummary(TypedDict):
    """A room by itself."""

    id: int
    name: str
    topic: str


class RoomData(PageData):
    """A room at the position (`epoch`, `offset`) of its channel, as the member `me` sees it.

    `members` are the first ones, and `more_members` tells whether there are others.
    """

    room: RoomSummary
    me: Person
    members: list[Person]
    more_members: bool
    epoch: str
    offset: int
    last_read: int


class RoomMessage(TypedDict):
    """Event: somebody has posted a message."""

    type: Literal["message"]
    message: MessageData


class RoomMember(TypedDict):
    """Event: somebody has joined the room or left it."""

    type: Literal["member"]
    action: Literal["joined", "left"]
    user: Person


class Typing(TypedDict):
    """Event: somebody is typing."""

    user: Person


class ReadMark(TypedDict):
    """The offset up to which the user has read a room."""

    last_read: int


def message_data(message: Message) -> MessageData:
    """Return the message as it stands in an event."""
    return {
        "id": message.pk,
        "client_id": str(message.client_id),
        "user": person(message.author),
        "html": message.html,
        "text": message.text,
        "created": _timestamp(message.created),
    }


def page_data(messages: list[Message], *, more: bool) -> PageData:
    """Return the messages, which must be in order, as a page."""
    return {"messages": [{**message_data(message), "offset": message.offset} for message in messages], "more": more}


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
