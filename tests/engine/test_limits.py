"""The token bucket."""

from hotclub.engine.limits import TokenBucket


def test_a_burst_is_forgiven_and_then_the_rate_holds() -> None:
    bucket = TokenBucket(rate=10.0, burst=5, now=0.0)
    assert [bucket.take(0.0) for _ in range(6)] == [True] * 5 + [False]
    assert bucket.take(0.1)
    assert not bucket.take(0.1)


def test_a_pause_fills_it_no_higher_than_the_burst() -> None:
    bucket = TokenBucket(rate=10.0, burst=3, now=0.0)
    assert [bucket.take(1_000.0) for _ in range(4)] == [True, True, True, False]
