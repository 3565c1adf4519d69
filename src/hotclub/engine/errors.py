"""Both error families, whole (protocol §4).

`CommandError` answers one command and the connection lives on; `Disconnect` ends the connection. The code alone tells
a client what to do, also one it does not know: see `Disconnect.reconnects` and `Unsubscribed.resubscribes`.
"""

from typing import Final


class HotclubError(Exception):
    """Base of everything that Hotclub raises."""


class CommandError(HotclubError):
    """The negative answer to one command.

    `code` 100–399 is reserved, applications use 400–1999. `temporary` asks the client to try again.
    """

    def __init__(self, code: int, message: str, *, temporary: bool = False) -> None:
        if not message:
            raise ValueError("CommandError needs a message: clients read it unconditionally")
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.temporary = temporary

    def __str__(self) -> str:
        return f"{self.code} {self.message}"


class Disconnect(HotclubError):
    """The end of a connection, with the reason that its client is shown.

    Codes 3500–3999 and 4500–4999 are final; after any other the client comes back. Applications use 4000–4999.
    """

    def __init__(self, code: int, reason: str) -> None:
        if not reason or len(reason.encode()) > 123 or reason[0] in '{["' or reason[0].isdigit():
            raise ValueError("A disconnect reason is 1 to 123 bytes of plain text that is not JSON")
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.code} {self.reason}"

    @property
    def reconnects(self) -> bool:
        """Whether a client that is told this comes back by itself."""
        return not (3500 <= self.code <= 3999 or 4500 <= self.code <= 4999)

    @property
    def accuses(self) -> bool:
        """Whether it is the client's own doing: what it sent, asked too often for, or did not read."""
        return self.code in _ACCUSING


class Unsubscribed(HotclubError):
    """The end of one subscription by the server's will. Codes from 2500 on make the client subscribe again."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    @property
    def resubscribes(self) -> bool:
        """Whether a client that is told this subscribes again by itself."""
        return self.code >= 2500


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


# An exception instance keeps the traceback of its last raise, so the tables hold makers and not instances.
_COMMAND_ERRORS: Final[dict[int, tuple[str, bool]]] = {
    100: ("internal server error", True),
    101: ("unauthorized", False),
    102: ("unknown channel", False),
    103: ("permission denied", False),
    104: ("method not found", False),
    105: ("already subscribed", False),
    106: ("limit exceeded", False),
    107: ("bad request", False),
    108: ("not available", False),
    109: ("token expired", False),
    110: ("expired", False),
    111: ("too many requests", True),
    112: ("unrecoverable position", False),
    113: ("concurrent pagination", True),
}
CONNECTION_CLOSED: Final = 3000
"""The end of a connection that its client is told nothing of, so that it looks lost (protocol §4.2)."""
_DISCONNECTS: Final[dict[int, str]] = {
    CONNECTION_CLOSED: "connection closed",
    3001: "shutdown",
    3004: "internal server error",
    3005: "connection expired",
    3006: "subscription expired",
    3008: "slow",
    3009: "write error",
    3010: "insufficient state",
    3011: "force reconnect",
    3012: "no pong",
    3013: "too many requests",
    3014: "state invalidated",
    3500: "invalid token",
    3501: "bad request",
    3502: "stale",
    3503: "force disconnect",
    3504: "connection limit",
    3505: "channel limit",
    3506: "inappropriate protocol",
    3507: "permission denied",
    3508: "not available",
    3509: "too many errors",
}
_ACCUSING: Final = frozenset({1009, 3008, 3013, 3500, 3501, 3502, 3504, 3505, 3508, 3509})
_UNSUBSCRIBED: Final[dict[int, str]] = {
    2000: "server unsubscribe",
    2500: "insufficient state",
    2501: "subscription expired",
    2502: "state invalidated",
}


def command_error(code: int, message: str = "") -> CommandError:
    """The table's error of that code, with the table's message unless another is given.

    Raises:
        KeyError: the code is not in the table.
    """
    default, temporary = _COMMAND_ERRORS[code]
    return CommandError(code, message or default, temporary=temporary)


def disconnect(code: int) -> Disconnect:
    """The table's disconnect of that code. Raises KeyError for a code that is not in the table."""
    return Disconnect(code, _DISCONNECTS[code])


def unsubscribed(code: int) -> Unsubscribed:
    """The table's unsubscribe of that code; one of the application's own has the reason of 2000."""
    return Unsubscribed(code, _UNSUBSCRIBED.get(code, _UNSUBSCRIBED[2000]))
