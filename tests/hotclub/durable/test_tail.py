"""Whatever becomes of the signals, every publication comes out once and in the order of the log."""

from hypothesis import given
from hypothesis import strategies as st

from hotclub.durable.tail import WAITING, Tail
from hotclub.engine.model import Position, Publication

EPOCH = "abcd"


def publication(offset: int) -> Publication:
    return Publication(offset=offset)


def opened(offset: int = 0) -> Tail:
    tail = Tail()
    tail.open(Position(EPOCH, offset))
    return tail


def offsets(publications: list[Publication]) -> list[int]:
    return [publication.offset for publication in publications]


def fill(tail: Tail, top: int, *, limit: int = 100, epoch: str = EPOCH, pruned: int = 0) -> list[int]:
    """Read a table that holds everything above `pruned` up to `top`."""
    rows = [publication(offset) for offset in range(max(tail.seen, pruned) + 1, top + 1)][:limit]
    return offsets(tail.fill(tail.seen, Position(epoch, top), rows, complete=len(rows) < limit))


def test_the_next_publication_is_delivered_at_once() -> None:
    tail = opened(4)
    assert offsets(tail.offer(EPOCH, publication(5))) == [5]
    assert not tail.behind


def test_a_publication_seen_before_is_ignored() -> None:
    tail = opened(4)
    assert tail.offer(EPOCH, publication(4)) == []
    assert not tail.behind


def test_a_later_publication_waits_for_the_one_before_it() -> None:
    tail = opened()
    assert tail.offer(EPOCH, publication(2)) == []
    assert tail.behind
    assert offsets(tail.offer(EPOCH, publication(1))) == [1, 2]
    assert not tail.behind


def test_a_gap_is_filled_from_the_table_and_joined_with_what_waited() -> None:
    tail = opened()
    tail.offer(EPOCH, publication(4))
    assert fill(tail, top=3) == [1, 2, 3, 4]
    assert not tail.behind


def test_a_long_gap_takes_several_reads() -> None:
    tail = opened()
    tail.notice(0, Position(EPOCH, 5))
    assert fill(tail, top=5, limit=2) == [1, 2]
    assert tail.behind
    assert fill(tail, top=5, limit=2) == [3, 4]
    assert fill(tail, top=5, limit=2) == [5]
    assert not tail.behind


def test_a_signal_during_a_read_is_not_delivered_twice() -> None:
    tail = opened()
    tail.offer(EPOCH, publication(3))
    asked = tail.seen
    assert offsets(tail.offer(EPOCH, publication(1))) == [1]
    rows = [publication(offset) for offset in (1, 2, 3)]
    assert offsets(tail.fill(asked, Position(EPOCH, 3), rows, complete=True)) == [2, 3]


def test_publications_that_were_pruned_before_they_were_read_leave_a_hole() -> None:
    tail = opened()
    tail.notice(0, Position(EPOCH, 9))
    assert fill(tail, top=9, pruned=7) == [8, 9]
    assert not tail.behind


def test_a_log_whose_missing_part_is_pruned_entirely_goes_on_after_it() -> None:
    tail = opened()
    tail.notice(0, Position(EPOCH, 9))
    assert fill(tail, top=9, pruned=9) == []
    assert offsets(tail.offer(EPOCH, publication(10))) == [10]


def test_a_signal_before_the_opening_is_looked_up_in_the_table() -> None:
    tail = Tail()
    assert tail.offer(EPOCH, publication(6)) == []
    before = tail.behind
    tail.open(Position(EPOCH, 5))
    assert (before, tail.behind) == (False, True)
    assert fill(tail, top=6) == [6]
    assert not tail.behind


def test_a_new_epoch_shows_with_its_newest_publication() -> None:
    tail = opened(40)
    assert tail.offer("other", publication(2)) == []
    assert tail.behind
    assert fill(tail, top=2, epoch="other") == []
    assert tail.epoch == "other"
    assert fill(tail, top=2, epoch="other") == [2]
    assert not tail.behind


def test_a_new_epoch_without_publications_is_not_chased() -> None:
    tail = opened(40)
    tail.notice(40, Position("other", 0))
    assert not tail.behind


def test_a_log_that_was_set_back_is_followed_from_its_new_top() -> None:
    tail = opened(40)
    tail.notice(40, Position(EPOCH, 7))
    assert tail.behind
    assert fill(tail, top=7, pruned=7) == []
    assert fill(tail, top=7) == [7]
    assert offsets(tail.offer(EPOCH, publication(8))) == [8]


def test_an_older_top_than_what_was_delivered_meanwhile_is_no_set_back() -> None:
    tail = opened(5)
    tail.offer(EPOCH, publication(6))
    tail.notice(5, Position(EPOCH, 5))
    assert not tail.behind


def test_what_waits_is_bounded_and_the_rest_is_read_later() -> None:
    tail = opened()
    for offset in range(2, WAITING + 10):
        tail.offer(EPOCH, publication(offset))
    assert len(tail.offer(EPOCH, publication(1))) == WAITING + 1
    assert tail.behind
    assert fill(tail, top=WAITING + 9, limit=2 * WAITING) == list(range(WAITING + 2, WAITING + 10))


def test_a_signal_for_what_the_table_does_not_hold_is_forgotten() -> None:
    tail = opened()
    tail.offer(EPOCH, publication(5))
    before = tail.mark
    assert fill(tail, top=0) == []
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
        delivered += offsets(tail.offer(EPOCH, publication(offset)))
        if number in reads:
            delivered += fill(tail, top=count, limit=3)
    tail.notice(tail.seen, Position(EPOCH, count))
    while tail.behind:
        delivered += fill(tail, top=count, limit=3)
    assert delivered == list(range(1, count + 1))
