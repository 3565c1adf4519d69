"""The connection's state table."""

import pytest

from hotclub.engine.errors import Disconnect
from hotclub.engine.protocol.connection import TRANSITIONS, Event, State, advance


def test_the_ordinary_life() -> None:
    state = State.NEW
    for event in (Event.CONNECT, Event.GRANTED, Event.COMMAND, Event.COMMAND, Event.CLOSE):
        state = advance(state, event)
    assert state is State.CLOSED


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_everything_the_table_does_not_name_is_a_bad_request(state: State, event: Event) -> None:
    if (state, event) in TRANSITIONS:
        assert advance(state, event) is TRANSITIONS[state, event]
        return
    with pytest.raises(Disconnect) as end:
        advance(state, event)
    assert end.value.code == 3501


def test_a_second_connect_and_a_command_after_a_refusal_are_not_in_the_table() -> None:
    assert (State.CONNECTED, Event.CONNECT) not in TRANSITIONS
    assert (State.REFUSED, Event.COMMAND) not in TRANSITIONS
    assert (State.NEW, Event.COMMAND) not in TRANSITIONS
