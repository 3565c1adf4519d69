"""Why an action in a room is refused. `frontend/src/chat/codes.ts` has the codes that the front end acts on."""

from typing import Final

ROOM_DELETED: Final = 2001
"""The code that ends the subscriptions to a deleted room. Below 2500 a client does not subscribe again."""


class ChatError(Exception):
    """Base of the refusals. Programs get `code` and `message`; pages show texts of their own."""

    code = 400
    message = "bad message"

    def __init__(self) -> None:
        super().__init__(self.code, self.message)

    def __str__(self) -> str:
        return self.message


class BadMessage(ChatError):
    """The message has no valid id, or its text contains NUL characters or lone surrogates."""


class EmptyMessage(ChatError):
    """The text has no visible character."""

    message = "empty message"


class MessageTooLong(ChatError):
    """The text has more than 10,000 characters."""

    code = 413
    message = "message too long"


class NotAMember(ChatError):
    """The user is not in the room, or the room does not exist: users must not find out which."""

    code = 403
    message = "not a member"


class IdAlreadyUsed(ChatError):
    """The author has used the id for another message."""

    code = 409
    message = "id already used"


class TooFast(ChatError):
    """The user must wait before the next message in this room: `seconds`, a whole number of at least 1."""

    code = 429

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        self.message = f"slow down: {seconds}"
        super().__init__()


class TooManyRooms(ChatError):
    """The user has made as many rooms as one person may: `limit`."""

    code = 403

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.message = f"a person may make {limit} rooms"
        super().__init__()


class TooManyMemberships(ChatError):
    """The user is in as many rooms as one person may be: `limit`."""

    code = 403

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.message = f"a person may be in {limit} rooms"
        super().__init__()
