"""Both error families: `Refused` answers one command, `Disconnect` ends the connection (protocol §4)."""

from typing import Final

from hotclub.engine.codes import ACCUSING, MESSAGES, REASONS, TEMPORARY, Unsubscribe

_LONGEST_REASON: Final = 123
"""Bytes that a close frame has room for beside its code (RFC 6455 section 5.5)."""


class HotclubError(Exception):
    """Base of the exceptions that Hotclub raises."""


class Refused(HotclubError):
    """The negative answer to one command; the connection lives on.

    `code` 100-399 is reserved; applications use 400-1999. `temporary` asks the client to try again. `why` is a longer
    text for the log, and under `DEBUG` for the client (`Application.explains`). It must not repeat the client's data.
    """

    def __init__(self, code: int, message: str = "", *, temporary: bool | None = None, why: str = "") -> None:
        """A code of the table (`Code`) has a message and a `temporary` of its own; the arguments replace them.

        Raises:
            ValueError: the code is not in the table and there is no message. Clients expect one.
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
    """The end of a connection, with the reason that its client reads.

    After codes 3500-3999 and 4500-4999 the client stays away, after any other it reconnects. Applications use
    4000-4999. `why` is as in `Refused`.
    """

    def __init__(self, code: int, reason: str = "", *, why: str = "", accuses: bool | None = None) -> None:
        """A code of the table (`Close`) has a reason and an `accuses` of its own; the arguments replace them.

        Raises:
            ValueError: the reason is not 1 to 123 bytes of text, or begins like JSON, which clients would parse.
        """
        reason = reason or REASONS.get(code, "")
        if not reason or len(reason.encode()) > _LONGEST_REASON or reason[0] in '{["' or reason[0].isdigit():
            raise ValueError("A disconnect reason is 1 to 123 bytes of plain text that is not JSON")
        super().__init__(int(code), reason)
        self.code = int(code)
        self.reason = reason
        self.why = why
        self.accuses = code in ACCUSING if accuses is None else accuses
        """Whether the client caused the end: by its data, by its rate, or by not reading."""

    def __str__(self) -> str:
        return f"{self.code} {self.reason}"

    def explained(self) -> "Disconnect":
        """The same end, with `why` as its reason, cut to the bytes that a close frame has room for."""
        why = self.why
        if why and (why[0] in '{["' or why[0].isdigit()):
            # Clients would read such a reason as JSON, so `Disconnect` refuses it.
            why = f"why: {why}"
        return Disconnect(self.code, why.encode()[:_LONGEST_REASON].decode(errors="ignore") or self.reason)

    @property
    def reconnects(self) -> bool:
        """Whether clients reconnect after this code."""
        return not (3500 <= self.code <= 3999 or 4500 <= self.code <= 4999)


class Unsubscribed(HotclubError):
    """The end of one subscription by the server. After codes from 2500 on the client subscribes again."""

    def __init__(self, code: int = Unsubscribe.SERVER, reason: str = "") -> None:
        """`reason` replaces the reason of the code. A code that is not in `Unsubscribe` has that of `SERVER`."""
        reason = reason or REASONS.get(code, REASONS[Unsubscribe.SERVER])
        super().__init__(int(code), reason)
        self.code = int(code)
        self.reason = reason


class UnrecoverablePosition(HotclubError):
    """A position is of another epoch than the log. `epoch` is the position's, `current` the log's."""

    def __init__(self, epoch: str, current: str) -> None:
        super().__init__(epoch, current)
        self.epoch = epoch
        self.current = current


class IdempotencyConflict(HotclubError):
    """An idempotency key came twice with different payloads. The first payload stands.

    Send a new key with every new message. Send the same key only to repeat the same message.
    """

    def __init__(self, channel: str, key: str) -> None:
        super().__init__(channel, key)
        self.channel = channel
        self.key = key

    def __str__(self) -> str:
        return f"channel {self.channel!r}: idempotency key {self.key!r} was used for another payload"
