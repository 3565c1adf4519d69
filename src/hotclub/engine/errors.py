"""Both error families: `Refused` answers one command, `Disconnect` ends the connection (protocol §4)."""

from typing import Final

from hotclub.engine.codes import ACCUSING, MESSAGES, REASONS, TEMPORARY, Unsubscribe

_LONGEST_REASON: Final = 123
"""Bytes of a reason, for which a close frame has room."""


class HotclubError(Exception):
    """Base of everything that Hotclub raises."""


class Refused(HotclubError):
    """The negative answer to one command; the connection lives on.

    `code` 100-399 is reserved, applications use 400-1999. `temporary` asks the client to try again. `why` says more
    than the message, for the log, and for the clients of an application that explains. It holds nothing that was sent.
    """

    def __init__(self, code: int, message: str = "", *, temporary: bool | None = None, why: str = "") -> None:
        """A code of the table brings its message and whether it is temporary, unless they are given.

        Raises:
            ValueError: a code outside the table comes without a message, which clients read unconditionally.
        """
        message = message or MESSAGES.get(code, "")
        if not message:
            raise ValueError(f"Refused({code}) needs a message: clients read it unconditionally")
        super().__init__(int(code), message)
        self.code = int(code)
        self.message = message
        self.temporary = code in TEMPORARY if temporary is None else temporary
        self.why = why

    def __str__(self) -> str:
        return f"{self.code} {self.message}"


class Disconnect(HotclubError):
    """The end of a connection, with the reason that its client is shown.

    Codes 3500-3999 and 4500-4999 are final; after any other the client comes back. Applications use 4000-4999. `why`
    is as in `Refused`.
    """

    def __init__(self, code: int, reason: str = "", *, why: str = "", accuses: bool | None = None) -> None:
        """A code of the table brings its reason and whether it `accuses` the client, unless they are given.

        Raises:
            ValueError: the reason is not 1 to 123 bytes of plain text, or looks like JSON, which clients would parse.
        """
        reason = reason or REASONS.get(code, "")
        if not reason or len(reason.encode()) > _LONGEST_REASON or reason[0] in '{["' or reason[0].isdigit():
            raise ValueError("A disconnect reason is 1 to 123 bytes of plain text that is not JSON")
        super().__init__(int(code), reason)
        self.code = int(code)
        self.reason = reason
        self.why = why
        self.accuses = code in ACCUSING if accuses is None else accuses
        """Whether it is the client's own doing: what it sent, asked too often for, or did not read."""

    def __str__(self) -> str:
        return f"{self.code} {self.reason}"

    def explained(self) -> "Disconnect":
        """The same end, whose client is told why, as far as there is room for it."""
        return Disconnect(self.code, self.why.encode()[:_LONGEST_REASON].decode(errors="ignore") or self.reason)

    @property
    def reconnects(self) -> bool:
        """Whether a client that is told this comes back by itself."""
        return not (3500 <= self.code <= 3999 or 4500 <= self.code <= 4999)


class Unsubscribed(HotclubError):
    """The end of one subscription by the server's will. Codes from 2500 on make the client subscribe again."""

    def __init__(self, code: int = Unsubscribe.SERVER, reason: str = "") -> None:
        """A code of the table brings its reason; one of the application's own has that of `Unsubscribe.SERVER`."""
        reason = reason or REASONS.get(code, REASONS[Unsubscribe.SERVER])
        super().__init__(int(code), reason)
        self.code = int(code)
        self.reason = reason


class UnrecoverablePosition(HotclubError):
    """A position names an epoch that is not the log's. `epoch` is the one asked for, `current` the log's own."""

    def __init__(self, epoch: str, current: str) -> None:
        super().__init__(epoch, current)
        self.epoch = epoch
        self.current = current


class IdempotencyConflict(HotclubError):
    """The same idempotency key came twice with different payloads; the first one stands.

    Send a fresh key with every new message, and the same key only when repeating the same message.
    """

    def __init__(self, channel: str, key: str) -> None:
        super().__init__(channel, key)
        self.channel = channel
        self.key = key

    def __str__(self) -> str:
        return f"channel {self.channel!r}: idempotency key {self.key!r} was used for another payload"
