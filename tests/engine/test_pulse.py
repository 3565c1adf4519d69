"""Pings at a fixed rate, deadlines for the answer."""

from hotclub.engine.pulse import Pulse


def pulse() -> Pulse[str]:
    return Pulse(interval=10.0, timeout=3.0)


def test_the_first_ping_comes_between_half_an_interval_and_a_whole_one() -> None:
    beat = pulse()
    beat.add("early", 0.0, 0.0)
    beat.add("late", 0.0, 1.0)
    assert beat.tick(4.9) == ([], [])
    assert beat.tick(5.0) == (["early"], [])
    beat.pong("early")
    assert beat.tick(10.0) == (["late"], [])


def test_an_unanswered_ping_is_overdue_and_an_answered_one_is_not() -> None:
    beat = pulse()
    for peer in ("silent", "alive"):
        beat.add(peer, 0.0, 0.0)
    due, _ = beat.tick(5.0)
    assert set(due) == {"silent", "alive"}
    assert beat.pong("alive")
    assert not beat.pong("alive")
    assert beat.tick(7.9) == ([], [])
    assert beat.tick(8.0) == ([], ["silent"])


def test_pings_go_on_at_the_interval() -> None:
    beat = pulse()
    beat.add("a", 0.0, 0.0)
    times = []
    for step in range(400):
        due, _ = beat.tick(step / 10)
        if due:
            times.append(step / 10)
            beat.pong("a")
    assert times == [5.0, 15.0, 25.0, 35.0]


def test_a_peer_that_left_is_neither_pinged_nor_overdue() -> None:
    beat = pulse()
    beat.add("a", 0.0, 0.0)
    beat.tick(5.0)
    beat.remove("a")
    beat.remove("a")
    assert beat.tick(100.0) == ([], [])
    beat.add("a", 100.0, 0.0)
    assert beat.tick(105.0) == (["a"], [])
    assert len(beat) == 1


def test_a_pong_without_a_ping_is_ignored() -> None:
    beat = pulse()
    assert not beat.pong("nobody")
    assert beat.tick(1.0) == ([], [])


def test_a_peer_that_cannot_answer_is_pinged_twice_as_often_for_ever() -> None:
    beat = pulse()
    beat.add("listener", 0.0, 0.0, answers=False)
    pinged = []
    for step in range(1_000):
        due, overdue = beat.tick(step / 10)
        pinged += due
        assert overdue == []
    assert len(pinged) == 20
    beat.remove("listener")
    assert beat.tick(1_000.0) == ([], [])


def test_a_peer_that_comes_back_keeps_no_old_appointment() -> None:
    beat = pulse()
    beat.add("a", 0.0, 0.0)
    beat.remove("a")
    beat.add("a", 4.0, 1.0, answers=False)
    assert beat.tick(5.0) == ([], [])
    assert beat.tick(14.0) == (["a"], [])
    assert len(beat) == 1


def test_peers_that_left_take_no_place_in_the_heap() -> None:
    beat = pulse()
    beat.add("stays", 0.0, 0.0)
    for number in range(20_000):
        beat.add(f"peer {number}", 0.0, 1.0)
        beat.remove(f"peer {number}")
    assert len(beat._due) < 100
    assert beat.tick(5.0) == (["stays"], [])


def test_a_tick_takes_no_more_peers_than_it_may_and_the_next_one_takes_the_rest() -> None:
    beat = pulse()
    for number in range(25):
        beat.add(str(number), 0.0, 0.0)
    sizes = [len(beat.tick(5.0, 10)[0]) for _ in range(4)]
    assert sizes == [10, 10, 5, 0]
    assert [len(beat.tick(8.0, 10)[1]) for _ in range(4)] == [10, 10, 5, 0]
