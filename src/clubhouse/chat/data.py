"""The shapes in which the front end gets chat: the same in events and in pages."""

from datetime import UTC, datetime
from typing import Literal, NotRequired, TypedDict

from clubhouse.accounts.services import Person, person
from clubhouse.chat.models import Message


class MessageData(TypedDict):
    """One message. In an event there is no `offset`: it is the publication's own."""

    id: int
    client_id: str
    offset: NotRequired[int]
    user: Person
    html: str
    text: str
    created: str


class PageData(TypedDict):
    """Messages in order, oldest first, and whether there are older ones."""

    messages: list[MessageData]
    more: bool


class RoomName(TypedDict):
    """What a page says of the room itself."""

    id: int
    name: str
    topic: str


class RoomData(PageData):
    """A room at one position of its channel, as one member sees it."""

    room: RoomName
    me: Person
    members: list[Person]
    epoch: str
    offset: int
    last_read: int


class RoomMessage(TypedDict):
    """Somebody has said something."""

    type: Literal["message"]
    message: MessageData


class RoomMember(TypedDict):
    """Somebody has joined the room, or left it."""

    type: Literal["member"]
    action: Literal["joined", "left"]
    user: Person


class Typing(TypedDict):
    """Somebody is writing."""

    user: Person


class ReadMark(TypedDict):
    """How far somebody has read a room."""

    last_read: int


def message_data(message: Message) -> MessageData:
    """The message as an event carries it."""
    return {
        "id": message.pk,
        "client_id": str(message.client_id),
        "user": person(message.author),
        "html": message.html,
        "text": message.text,
        "created": _timestamp(message.created),
    }


def page_data(messages: list[Message], *, more: bool) -> PageData:
    """Messages as a page carries them."""
    return {"messages": [{**message_data(message), "offset": message.offset} for message in messages], "more": more}


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
