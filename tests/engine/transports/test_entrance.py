"""The entrance: who waits in it, who gives way, how many may wait, and when the others come back."""

import contextlib
from typing import Any

import pytest

from hotclub.engine.errors import Disconnect
from hotclub.engine.transports.entrance import LONGEST_RETRY, PATIENCE, Crowded, Entrance, Place


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Waiting:
    """Stands in for a session."""

    def __init__(self) -> None:
        self.ended: list[Disconnect] = []
        self.on_answered: Any = None

    def close(self, reason: Disconnect) -> None:
        self.ended.append(reason)


def entrance(clock: Clock, most: int) -> Entrance:
    return Entrance(most, clock=clock, spread=lambda: 1.0)


def occupied(where: Entrance, address: str, count: int) -> list[tuple[Place, Any]]:
    """So many transports of an address that got a place, and the sessions of them."""
    found = []
    for _ in range(count):
        place, session = where.enter(address), Waiting()
        place.take(session)  # type: ignore[arg-type]
        found.append((place, session))
    return found


def test_three_greedy_addresses_do_not_keep_a_fourth_out(clock: Clock) -> None:
    where = entrance(clock, 12)
    for number in range(3):
        for _ in range(12):
            try:
                occupied(where, f"10.0.0.{number}", 1)
            except Crowded:
                break
    assert len(where) == 12
    occupied(where, "10.0.0.9", 3)
    with pytest.raises(Crowded):
        where.enter("10.0.0.9")
    assert len(where) == 12


def test_whoever_gives_way_is_told_when_to_come_back(clock: Clock) -> None:
    where = entrance(clock, 2)
    (_, first), (_, newest) = occupied(where, "10.0.0.1", 2)
    occupied(where, "10.0.0.2", 1)
    assert first.ended == []
    (reason,) = newest.ended
    assert (reason.code, reason.reconnects) == (3013, True)
    assert reason.reason == "too many connections are waiting, retry after 1 s"


def test_a_place_that_is_given_away_before_its_session_exists_ends_the_session(clock: Clock) -> None:
    where, session = entrance(clock, 2), Waiting()
    occupied(where, "10.0.0.1", 1)
    place = where.enter("10.0.0.1")
    occupied(where, "10.0.0.2", 1)
    place.take(session)  # type: ignore[arg-type]
    assert [reason.code for reason in session.ended] == [3013]


def test_an_ipv6_customer_is_one_address(clock: Clock) -> None:
    where = entrance(clock, 4)
    for number in range(4):
        occupied(where, f"2001:db8::{number + 1}", 1)
    with pytest.raises(Crowded):
        where.enter("2001:db8::99")
    occupied(where, "2001:db8:0:1::1", 1)


def test_an_answer_and_an_end_give_one_place_back(clock: Clock) -> None:
    where = entrance(clock, 2)
    (place, session), _ = occupied(where, "10.0.0.1", 2)
    session.on_answered()
    place.leave()
    session.on_answered()
    assert len(where) == 1


def answer(where: Entrance, clock: Clock, waiting: list[tuple[Place, Any]], count: int, *, each: float) -> None:
    """Answer so many transports in turn, each in so many seconds, while others come as soon as there is a place."""
    for _ in range(count):
        with contextlib.suppress(Crowded):
            while True:
                waiting += occupied(where, "10.0.0.1", 1)
        clock.now += each
        waiting.pop(0)[0].answered()


def test_a_slow_node_lets_fewer_wait_and_a_fast_one_more(clock: Clock) -> None:
    where, waiting = entrance(clock, 2_000), list[tuple[Place, Any]]()
    assert where.open == 2_000
    answer(where, clock, waiting, 5_000, each=0.01)
    assert 0.7 * PATIENCE < where.open * 0.01 < 1.5 * PATIENCE, "those who wait are answered in time"
    answer(where, clock, waiting, 400, each=0.0005)
    assert where.open == 2_000


def test_silent_transports_do_not_close_the_entrance(clock: Clock) -> None:
    """They say nothing about the speed of the node: whoever is answered is answered at once."""
    where = entrance(clock, 100)
    occupied(where, "10.0.0.1", 100)
    for number in range(500):
        clock.now += 1
        (place, _), *_ = occupied(where, f"10.0.1.{number % 250}", 1)
        place.answered()
        occupied(where, "10.0.0.1", 1)
    assert where.open == 100


def test_refused_clients_come_back_at_the_rate_at_which_they_are_served(clock: Clock) -> None:
    where = entrance(clock, 2)
    occupied(where, "10.0.0.1", 2)
    waits = [where.time_to_return() for _ in range(5_000)]
    assert {waits.count(second) for second in range(2, 5)} <= {999, 1_000, 1_001}
    assert waits == sorted(waits)
    assert max(where.time_to_return() for _ in range(100_000)) == LONGEST_RETRY
