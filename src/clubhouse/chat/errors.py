"""Why an action in a room is refused. Each class has the code that clients are told, alike over sockets and HTTP."""


class ChatError(Exception):
    """Base of the refusals: `code` for programs, `message` for their developers. Pages have words of their own."""

    code = 400
    message = "bad message"

    def __init__(self) -> None:
        super().__init__(self.code, self.message)

    def __str__(self) -> str:
        return self.message


class BadMessage(ChatError):
    """The text holds what no text may: NUL characters or lone surrogates; or there is no usable id."""


class EmptyMessage(ChatError):
    """There is nothing to read in the text."""

    message = "empty message"


class MessageTooLong(ChatError):
    """The text has more than 10,000 characters."""

    code = 413
    message = "message too long"


class NotAMember(ChatError):
    """The user is not in the room, or there is no such room: nobody can tell the difference."""

    code = 403
    message = "not a member"


class IdAlreadyUsed(ChatError):
    """The id belongs to another message of the same author; a new message needs a new id."""

    code = 409
    message = "id already used"


class TooFast(ChatError):
    """The user must wait `seconds` (whole, at least 1) before the next message in this room."""

    code = 429

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        self.message = f"slow down: {seconds}"
        super().__init__()
