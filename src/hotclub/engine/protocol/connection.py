"""The states of a connection, in one table (protocol §1.5).

Only what the peer does can meet a missing entry; it then ends the connection with 3501. No clock and no I/O here.
"""

from enum import Enum, auto
from typing import Final

from hotclub.engine.codes import Close
from hotclub.engine.errors import Disconnect


class State(Enum):
    """Where a connection is in its life."""

    NEW = auto()
    """Open; its first command must be connect."""
    CONNECTING = auto()
    """The application is deciding."""
    CONNECTED = auto()
    REFUSED = auto()
    """Connect was answered with an error: nothing more is taken from this peer."""
    CLOSED = auto()


class Event(Enum):
    """What moves it on."""

    CONNECT = auto()
    COMMAND = auto()
    """Any command but connect."""
    GRANTED = auto()
    DENIED = auto()
    CLOSE = auto()


TRANSITIONS: Final[dict[tuple[State, Event], State]] = {
    (State.NEW, Event.CONNECT): State.CONNECTING,
    (State.CONNECTING, Event.GRANTED): State.CONNECTED,
    (State.CONNECTING, Event.DENIED): State.REFUSED,
    (State.CONNECTED, Event.COMMAND): State.CONNECTED,
    **{(state, Event.CLOSE): State.CLOSED for state in State},
}


_WHY: Final = {
    Event.CONNECT: "a second connect command",
    Event.COMMAND: "a command on a connection that is not connected",
}
"""What the peer did wrong, by the event that no state has room for."""


def advance(state: State, event: Event) -> State:
    """The state after the event.

    Raises:
        Disconnect: `BAD_REQUEST`, the peer did what this state does not allow.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise Disconnect(Close.BAD_REQUEST, why=_WHY.get(event, "")) from None
