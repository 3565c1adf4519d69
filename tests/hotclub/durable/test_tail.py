"""Whatever becomes of the signals, every publication comes out once and in the order of the log."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotclub.durable.sql import Row, Top
from hotclub.durable.tail import WAITING, Tail
from hotclub.engine.model import Position, Publication

EPOCH = "abcd"


def row(offset: int, log: int = 0) -> Row:
    """A publication of the log `log`, whose stamp at an offset is `log` + 10 × the offset."""
    return Row(Publication(offset=offset), log + 10 * (offset - 1), log + 10 * offset)


def top(offset: int, epoch: str = EPOCH, log: int = 0) -> Top:
    return Top(Position(epoch, offset), log + 10 * offset)


def opened(offset: int = 0) -> Tail:
    tail = Tail()
    tail.open(top(offset))
    return tail


def seen(tail: Tail) -> tuple[int, int]:
    return tail.seen, tail.stamp


def offsets(publications: list[Publication]) -> list[int]:
    return [publication.offset for publication in publications]


def fill(tail: Tail, newest: int, *, limit: int = 100, epoch: str = EPOCH, pruned: int = 0, log: int = 0) -> list[int]:
    """Read a table that holds everything above `pruned` up to `newest`."""
    asked = tail.begin()
    rows = [row(offset, log) for offset in range(max(asked, pruned) + 1, newest + 1)][:limit]
    return offsets(tail.fill(asked, top(newest, epoch, log), rows, complete=len(rows) < limit))


def test_the_next_publication_is_delivered_at_once() -> None:
    tail = opened(4)
    assert offsets(tail.offer(EPOCH, row(5))) == [5]
    assert not tail.behind


def test_a_publication_seen_before_is_ignored() -> None:
    tail = opened(4)
    assert tail.offer(EPOCH, row(4)) == []
    assert not tail.behind


def test_a_later_publication_waits_for_the_one_before_it() -> None:
    tail = opened()
    assert tail.offer(EPOCH, row(2)) == []
    assert tail.behind
    assert offsets(tail.offer(EPOCH, row(1))) == [1, 2]
    assert not tail.behind


def test_a_gap_is_filled_from_the_table_and_joined_with_what_waited() -> None:
    tail = opened()
    tail.offer(EPOCH, row(4))
    assert fill(tail, newest=3) == [1, 2, 3, 4]
    assert not tail.behind


def test_a_long_gap_takes_several_reads() -> None:
    tail = opened()
    tail.notice((0, 10 * 0), top(5))
    assert fill(tail, newest=5, limit=2) == [1, 2]
    assert tail.behind
    assert fill(tail, newest=5, limit=2) == [3, 4]
    assert fill(tail, newest=5, limit=2) == [5]
    assert not tail.behind


def test_a_signal_during_a_read_is_not_delivered_twice() -> None:
    tail = opened()
    tail.offer(EPOCH, row(3))
    asked = tail.begin()
    assert offsets(tail.offer(EPOCH, row(1))) == [1]
    rows = [row(offset) for offset in (1, 2, 3)]
    assert offsets(tail.fill(asked, top(3), rows, complete=True)) == [2, 3]


def test_publications_that_were_pruned_before_they_were_read_leave_a_hole() -> None:
    tail = opened()
    tail.notice((0, 10 * 0), top(9))
    assert fill(tail, newest=9, pruned=7) == [8, 9]
    assert not tail.behind


def test_a_log_whose_missing_part_is_pruned_entirely_goes_on_after_it() -> None:
    tail = opened()
    tail.notice((0, 10 * 0), top(9))
    assert fill(tail, newest=9, pruned=9) == []
    assert offsets(tail.offer(EPOCH, row(10))) == [10]


def test_a_signal_before_the_opening_is_looked_up_in_the_table() -> None:
    tail = Tail()
    assert tail.offer(EPOCH, row(6)) == []
    before = tail.behind
    tail.open(top(5))
    assert (before, tail.behind) == (False, True)
    assert fill(tail, newest=6) == [6]
    assert not tail.behind


def test_a_new_epoch_shows_with_its_newest_row() -> None:
    tail = opened(40)
    assert tail.offer("other", row(2)) == []
    assert tail.behind
    assert fill(tail, newest=2, epoch="other") == []
    assert tail.epoch == "other"
    assert fill(tail, newest=2, epoch="other") == [2]
    assert not tail.behind


def test_a_channel_whose_log_was_deleted_has_none_and_then_another_one() -> None:
    tail = opened(40)
    none = Top(Position("other", 0), 0)
    tail.notice(seen(tail), none)
    assert tail.behind
    assert tail.fill(tail.begin(), none, [], complete=True) == []
    assert tail.mark == ("other", 0, 0)
    assert offsets(tail.offer("other", row(1))) == [1]
    assert not tail.broken


@pytest.mark.parametrize("newest", [7, 40])
def test_another_log_of_the_same_epoch_is_told_by_its_top(newest: int) -> None:
    """With 7 the log is behind what was delivered, with 40 its newest publication is another one."""
    tail = opened(40)
    tail.notice(seen(tail), top(newest, log=1))
    assert tail.broken
    assert tail.offer(EPOCH, row(41)) == []


def test_another_log_of_the_same_epoch_is_told_by_its_rows() -> None:
    tail = opened(40)
    tail.notice(seen(tail), top(43, log=1))
    before = tail.broken
    assert fill(tail, newest=43, log=1) == []
    assert (before, tail.broken, tail.seen) == (False, True, 40)


def test_a_signal_of_another_log_is_looked_up_and_not_delivered() -> None:
    tail = opened(40)
    assert tail.offer(EPOCH, row(41, log=1)) == []
    assert tail.behind
    assert fill(tail, newest=41) == [41]


def test_a_broken_log_is_followed_when_it_has_another_epoch() -> None:
    tail = opened(40)
    tail.notice(seen(tail), top(7, log=1))
    tail.doubt()
    assert fill(tail, newest=7, epoch="other", log=1) == []
    assert not tail.broken
    assert fill(tail, newest=7, epoch="other", log=1) == [7]
    assert offsets(tail.offer("other", row(8, log=1))) == [8]


def test_a_doubt_during_a_read_asks_for_another_one() -> None:
    tail = opened(5)
    tail.doubt()
    asked = tail.begin()
    tail.doubt()
    tail.fill(asked, top(5), [], complete=True)
    tail.give_up()
    assert tail.behind


def test_an_older_top_than_what_was_delivered_meanwhile_is_no_set_back() -> None:
    tail = opened(5)
    tail.offer(EPOCH, row(6))
    tail.notice((5, 10 * 5), top(5))
    assert not tail.behind


def test_what_waits_is_bounded_and_the_rest_is_read_later() -> None:
    tail = opened()
    for offset in range(2, WAITING + 10):
        tail.offer(EPOCH, row(offset))
    assert len(tail.offer(EPOCH, row(1))) == WAITING + 1
    assert tail.behind
    assert fill(tail, newest=WAITING + 9, limit=2 * WAITING) == list(range(WAITING + 2, WAITING + 10))


def test_a_signal_for_what_the_table_does_not_hold_is_forgotten() -> None:
    tail = opened()
    tail.offer(EPOCH, row(5))
    before = tail.mark
    assert fill(tail, newest=0) == []
    assert tail.mark == before
    tail.give_up()
    assert not tail.behind


@given(
    count=st.integers(1, 30),
    order=st.randoms(use_true_random=False),
    kept=st.sets(st.integers(1, 30)),
    reads=st.lists(st.integers(1, 60), max_size=5),
)
def test_any_order_of_signals_with_any_losses_gives_the_log(
    count: int, order: object, kept: set[int], reads: list[int]
) -> None:
    signals = [offset for offset in range(1, count + 1) if offset in kept] * 2
    order.shuffle(signals)  # type: ignore[attr-defined]
    tail = opened()
    delivered: list[int] = []
    for number, offset in enumerate(signals):
        delivered += offsets(tail.offer(EPOCH, row(offset)))
        if number in reads:
            delivered += fill(tail, newest=count, limit=3)
    tail.notice(seen(tail), top(count))
    while tail.behind:
        delivered += fill(tail, newest=count, limit=3)
    assert delivered == list(range(1, count + 1))
