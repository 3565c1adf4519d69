"""Recovery: whole or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from hotclub.engine.errors import Disconnect
from hotclub.engine.model import Position, Publication
from hotclub.engine.recovery import Recovery, Verdict, check_position, merge, recover

EPOCH = "e"


def publications(*offsets: int) -> tuple[Publication, ...]:
    return tuple(Publication(data=Raw(b"%d" % offset), offset=offset) for offset in offsets)


@given(top=st.integers(0, 30), size=st.integers(1, 30), asked=st.integers(-3, 35), limit=st.integers(1, 30))
def test_a_replay_is_whole_or_is_not_reported(top: int, size: int, asked: int, limit: int) -> None:
    kept = range(max(1, top - size + 1), top + 1)
    read = publications(*[offset for offset in kept if offset > asked][:limit])
    outcome = recover(Position(EPOCH, asked), Position(EPOCH, top), read)
    missed = list(range(asked + 1, top + 1))
    possible = 0 <= asked <= top and set(missed) <= set(kept) and len(missed) <= limit
    assert outcome.recovered is possible
    assert [publication.offset for publication in outcome.publications] == (missed if possible else [])


@pytest.mark.parametrize("epoch", ["other", ""])
@pytest.mark.parametrize(("offset", "read"), [(1, (2,)), (2, ()), (9, ())])
def test_a_position_of_another_log_or_of_no_log_is_never_recovered(
    epoch: str, offset: int, read: tuple[int, ...]
) -> None:
    assert recover(Position(epoch, offset), Position(EPOCH, 2), publications(*read)) == Recovery(recovered=False)


def test_the_beginning_without_an_epoch_is_recovered_while_the_whole_log_is_kept() -> None:
    beginning = Position("", 0)
    assert recover(beginning, Position(EPOCH, 2), publications(1, 2)).recovered
    assert recover(beginning, Position(EPOCH, 0), ()).recovered
    assert not recover(beginning, Position(EPOCH, 2), publications(2)).recovered
    assert not recover(Position("other", 0), Position(EPOCH, 2), publications(1, 2)).recovered


def test_a_position_beyond_the_top_is_not_recovered() -> None:
    assert not recover(Position(EPOCH, 9), Position(EPOCH, 2), ()).recovered


def test_merge_sorts_and_drops_what_came_twice() -> None:
    merged = merge(publications(4, 5), publications(5, 6, 7), 3)
    assert [publication.offset for publication in merged] == [4, 5, 6, 7]
    assert merge(publications(4), (), 4) == ()


@pytest.mark.parametrize(("replayed", "buffered", "after"), [((4,), (6,), 3), ((), (5,), 3), ((5,), (), 3)])
def test_merge_ends_the_connection_over_a_hole(
    replayed: tuple[int, ...], buffered: tuple[int, ...], after: int
) -> None:
    with pytest.raises(Disconnect) as end:
        merge(publications(*replayed), publications(*buffered), after)
    assert end.value.code == 3010


@pytest.mark.parametrize(
    ("epoch", "offset", "verdict"),
    [
        (EPOCH, 6, Verdict.SEND),
        (EPOCH, 5, Verdict.SKIP),
        (EPOCH, 1, Verdict.SKIP),
        (EPOCH, 7, Verdict.GAP),
        ("other", 6, Verdict.GAP),
        ("other", 1, Verdict.GAP),
    ],
)
def test_a_live_publication_is_held_against_the_last_one(epoch: str, offset: int, verdict: Verdict) -> None:
    assert check_position(Position(EPOCH, 5), epoch, offset) is verdict


def test_an_empty_epoch_adopts_the_first_it_meets() -> None:
    assert check_position(Position("", 0), EPOCH, 1) is Verdict.SEND
