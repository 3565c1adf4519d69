"""The protocol's error, close and unsubscribe codes, by name (protocol §4).

The range of a close code tells a client whether to reconnect, so a client need not know the code: see
`Disconnect.reconnects`.
"""

from enum import IntEnum
from typing import Final


class Code(IntEnum):
    """Why a command was refused. 100-399 is reserved; applications use 400-1999."""

    INTERNAL_ERROR = 100
    UNAUTHORIZED = 101
    UNKNOWN_CHANNEL = 102
    PERMISSION_DENIED = 103
    METHOD_NOT_FOUND = 104
    ALREADY_SUBSCRIBED = 105
    LIMIT_EXCEEDED = 106
    BAD_REQUEST = 107
    NOT_AVAILABLE = 108
    TOKEN_EXPIRED = 109
    EXPIRED = 110
    TOO_MANY_REQUESTS = 111
    UNRECOVERABLE_POSITION = 112
    CONCURRENT_PAGINATION = 113


class Close(IntEnum):
    """Why a connection ended. After 3500-3999 and 4500-4999 clients stay away, after any other they reconnect.

    Applications use 4000-4999.
    """

    CONNECTION_CLOSED = 3000
    """The client is told nothing, so that the connection looks lost."""
    SHUTDOWN = 3001
    INTERNAL_ERROR = 3004
    CONNECTION_EXPIRED = 3005
    SUBSCRIPTION_EXPIRED = 3006
    SLOW = 3008
    WRITE_ERROR = 3009
    INSUFFICIENT_STATE = 3010
    FORCE_RECONNECT = 3011
    NO_PONG = 3012
    TOO_MANY_REQUESTS = 3013
    STATE_INVALIDATED = 3014
    INVALID_TOKEN = 3500
    BAD_REQUEST = 3501
    STALE = 3502
    FORCE_DISCONNECT = 3503
    CONNECTION_LIMIT = 3504
    CHANNEL_LIMIT = 3505
    INAPPROPRIATE_PROTOCOL = 3506
    PERMISSION_DENIED = 3507
    NOT_AVAILABLE = 3508
    TOO_MANY_ERRORS = 3509


class Unsubscribe(IntEnum):
    """Why a subscription ended. After codes from 2500 on the client subscribes again."""

    SERVER = 2000
    INSUFFICIENT_STATE = 2500
    SUBSCRIPTION_EXPIRED = 2501
    STATE_INVALIDATED = 2502


LINGERING: Final = frozenset(
    {
        Close.CONNECTION_CLOSED,
        Close.SHUTDOWN,
        Close.INTERNAL_ERROR,
        Close.SLOW,
        Close.WRITE_ERROR,
        Close.INSUFFICIENT_STATE,
        Close.NO_PONG,
    }
)
"""The ends after which the client is to be back in a moment. Its members linger, see `Limits.presence_grace`."""

MESSAGES: Final[dict[int, str]] = {
    Code.INTERNAL_ERROR: "internal server error",
    Code.UNAUTHORIZED: "unauthorized",
    Code.UNKNOWN_CHANNEL: "unknown channel",
    Code.PERMISSION_DENIED: "permission denied",
    Code.METHOD_NOT_FOUND: "method not found",
    Code.ALREADY_SUBSCRIBED: "already subscribed",
    Code.LIMIT_EXCEEDED: "limit exceeded",
    Code.BAD_REQUEST: "bad request",
    Code.NOT_AVAILABLE: "not available",
    Code.TOKEN_EXPIRED: "token expired",
    Code.EXPIRED: "expired",
    Code.TOO_MANY_REQUESTS: "too many requests",
    Code.UNRECOVERABLE_POSITION: "unrecoverable position",
    Code.CONCURRENT_PAGINATION: "concurrent pagination",
}
"""The message of each code, for refusals without a message of their own."""

TEMPORARY: Final = frozenset({Code.INTERNAL_ERROR, Code.TOO_MANY_REQUESTS, Code.CONCURRENT_PAGINATION})
"""The codes after which the same command may succeed later."""

REASONS: Final[dict[int, str]] = {
    Close.CONNECTION_CLOSED: "connection closed",
    Close.SHUTDOWN: "shutdown",
    Close.INTERNAL_ERROR: "internal server error",
    Close.CONNECTION_EXPIRED: "connection expired",
    Close.SUBSCRIPTION_EXPIRED: "subscription expired",
    Close.SLOW: "slow",
    Close.WRITE_ERROR: "write error",
    Close.INSUFFICIENT_STATE: "insufficient state",
    Close.FORCE_RECONNECT: "force reconnect",
    Close.NO_PONG: "no pong",
    Close.TOO_MANY_REQUESTS: "too many requests",
    Close.STATE_INVALIDATED: "state invalidated",
    Close.INVALID_TOKEN: "invalid token",
    Close.BAD_REQUEST: "bad request",
    Close.STALE: "stale",
    Close.FORCE_DISCONNECT: "force disconnect",
    Close.CONNECTION_LIMIT: "connection limit",
    Close.CHANNEL_LIMIT: "channel limit",
    Close.INAPPROPRIATE_PROTOCOL: "inappropriate protocol",
    Close.PERMISSION_DENIED: "permission denied",
    Close.NOT_AVAILABLE: "not available",
    Close.TOO_MANY_ERRORS: "too many errors",
    Unsubscribe.SERVER: "server unsubscribe",
    Unsubscribe.INSUFFICIENT_STATE: "insufficient state",
    Unsubscribe.SUBSCRIPTION_EXPIRED: "subscription expired",
    Unsubscribe.STATE_INVALIDATED: "state invalidated",
}
"""The reason of each close and unsubscribe code, for ends without a reason of their own."""

MESSAGE_TOO_BIG: Final = 1009
"""The close code of RFC 6455 for a message above the limit. Its other codes stand in `serving/websocket`."""

ACCUSING: Final = frozenset(
    {
        MESSAGE_TOO_BIG,
        Close.SLOW,
        Close.TOO_MANY_REQUESTS,
        Close.INVALID_TOKEN,
        Close.BAD_REQUEST,
        Close.STALE,
        Close.CONNECTION_LIMIT,
        Close.CHANNEL_LIMIT,
        Close.NOT_AVAILABLE,
        Close.TOO_MANY_ERRORS,
    }
)
"""The close codes of ends that the client caused: by its data, by its rate, or by not reading."""
