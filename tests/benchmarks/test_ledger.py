from benchmarks.ledger import Ledger


def ledger_of(*sequences: int, start: int = 0) -> Ledger:
    ledger = Ledger(start)
    for sequence in sequences:
        ledger.take(sequence, 1)
    return ledger


def test_everything_in_order_is_no_loss() -> None:
    ledger = ledger_of(0, 1, 2, 3)
    assert (ledger.received, ledger.lost(4), ledger.duplicates, ledger.reordered) == (4, 0, 0, 0)


def test_a_run_counts_like_its_members() -> None:
    ledger = Ledger(5)
    ledger.take(5, 3)
    assert (ledger.received, ledger.lost(8), ledger.lost(10)) == (3, 0, 2)


def test_a_gap_is_a_loss() -> None:
    assert ledger_of(0, 1, 4).lost(5) == 2


def test_a_missing_end_is_a_loss() -> None:
    assert ledger_of(0, 1).lost(4) == 2


def test_what_was_published_before_the_connection_is_none() -> None:
    assert ledger_of(7, 8, start=7).lost(9) == 0


def test_a_late_one_is_out_of_order_but_not_lost() -> None:
    ledger = ledger_of(0, 2, 1, 3)
    assert (ledger.lost(4), ledger.reordered, ledger.duplicates) == (0, 1, 0)


def test_a_second_one_is_a_duplicate_and_does_not_hide_a_loss() -> None:
    ledger = ledger_of(0, 1, 1, 3)
    assert (ledger.received, ledger.lost(4), ledger.duplicates) == (3, 1, 1)


def test_a_run_that_overlaps_is_taken_apart() -> None:
    ledger = ledger_of(0, 1)
    ledger.take(1, 3)
    assert (ledger.received, ledger.lost(4), ledger.duplicates) == (4, 0, 1)
