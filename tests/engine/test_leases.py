"""Leases expire unless renewed."""

from hotclub.engine.leases import Leases


def test_an_entry_is_gone_when_its_lease_has_run_out() -> None:
    leases: Leases[str, int] = Leases(10.0)
    leases.touch("a", 1, 0.0)
    leases.touch("b", 2, 5.0)
    assert leases.expire(10.0) == [("a", 1)]
    assert list(leases.items()) == [("b", 2)]


def test_renewal_keeps_it_and_replaces_the_value() -> None:
    leases: Leases[str, int] = Leases(10.0)
    leases.touch("a", 1, 0.0)
    leases.touch("b", 2, 1.0)
    leases.touch("a", 3, 9.0)
    leases.expire(11.0)
    assert leases.get("a") == 3
    assert leases.get("b") is None
    assert len(leases) == 1


def test_drop_tells_whether_there_was_one() -> None:
    leases: Leases[str, int] = Leases(10.0)
    leases.touch("a", 1, 0.0)
    assert leases.drop("a")
    assert not leases.drop("a")
