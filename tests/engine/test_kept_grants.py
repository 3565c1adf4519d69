"""What is kept of connections that are gone: for their user and login, for a while, until it is taken away."""

import pytest

from hotclub.engine.kept_grants import TTL, Departed, Given
from hotclub.engine.port import SubscribeGrant
from hotclub.engine.target import Target

GRANT = SubscribeGrant()


def kept(*, most: int = 100) -> Departed:
    """Two channels of one user, one of them in two logins, and one of another."""
    departed = Departed(most=most)
    for user, login, client, channel in (
        ("1", "a", "c1", "news"),
        ("1", "a", "c1", "chat"),
        ("1", "b", "c2", "news"),
        ("2", "", "c3", "news"),
        ("", "", "c4", "news"),
    ):
        departed.remember(user, login, client, channel, Given.at(0.0, GRANT), 0.0)
    return departed


ALL = {("1", "a", "news"), ("1", "a", "chat"), ("1", "b", "news"), ("2", "", "news")}


def left(departed: Departed, now: float = 1.0) -> set[tuple[str, str, str]]:
    return {key for key in {*ALL, ("", "", "news")} if departed.recall(*key, now) is not None}


def test_it_is_kept_for_a_while_and_never_for_the_anonymous() -> None:
    assert left(kept()) == ALL
    assert left(kept(), TTL) == set()


@pytest.mark.parametrize(
    ("target", "channel", "gone"),
    [
        (Target(user_id="1"), "news", {("1", "a", "news"), ("1", "b", "news")}),
        (Target(user_id="1"), "", {("1", "a", "news"), ("1", "a", "chat"), ("1", "b", "news")}),
        (Target(user_id="1", login_id="a"), "", {("1", "a", "news"), ("1", "a", "chat")}),
        (Target(login_id="b"), "news", {("1", "b", "news")}),
        (Target(client_id="c3"), "", {("2", "", "news")}),
        (Target(user_id="3"), "", set()),
        (Target(), "", ALL),
    ],
)
def test_what_the_server_ends_is_forgotten(target: Target, channel: str, gone: set[tuple[str, str, str]]) -> None:
    departed = kept()
    departed.forget(target, channel)
    assert left(departed) == ALL - gone


def test_a_grant_has_no_more_time_than_was_left_of_it() -> None:
    departed = Departed()
    departed.remember("1", "", "c", "news", Given.at(0.0, SubscribeGrant(ttl=60)), 20.0)
    found = departed.recall("1", "", "news", 30.5)
    assert found is not None
    assert found.ttl == 30
    assert departed.recall("1", "", "news", 60.0) is None


def test_of_too_many_the_oldest_are_forgotten() -> None:
    assert left(kept(most=2)) == {("1", "b", "news"), ("2", "", "news")}
