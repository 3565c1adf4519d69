"""The states of a connection, in one table (protocol §1.5).

A pair that the table does not have is something that a peer may not do; it ends the connection with 3501. Pure: no
clock and no I/O here.
"""

from enum import Enum, auto
from typing import Final

from hotclub.engine.codes import Close
from hotclub.engine.errors import Disconnect


class State(Enum):
    """The states of a connection."""

    NEW = auto()
    """Open; its first command must be connect."""
    CONNECTING = auto()
    """The application decides on the connect command."""
    CONNECTED = auto()
    """The connect command was answered with a result."""
    REFUSED = auto()
    """The connect command was answered with an error: nothing more is taken from this peer."""
    CLOSED = auto()
    """The connection has ended, from either side."""


class Event(Enum):
    """What changes the state of a connection."""

    CONNECT = auto()
    """A connect command."""
    COMMAND = auto()
    """Any other command."""
    GRANTED = auto()
    """The application has granted the connection."""
    DENIED = auto()
    """The application has refused the connection."""
    CLOSE = auto()
    """Either side has ended the connection."""


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
