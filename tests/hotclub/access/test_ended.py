"""A revoked login stays revoked, whatever the clocks of the servers say."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from hotclub.access import ended
from hotclub.models import Revocation

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[timedelta]:
    """How far the clock of this server is ahead."""
    ahead = [timedelta()]
    now = timezone.now

    def told() -> datetime:
        return now() + ahead[0]

    monkeypatch.setattr(timezone, "now", told)
    return ahead


def test_a_clock_that_jumps_ahead_for_a_moment_frees_no_revoked_login(clock: list[timedelta]) -> None:
    ended.revoke_login("old")
    Revocation.objects.update(until=timezone.now() + timedelta(minutes=30))
    clock[0] = timedelta(hours=1)
    assert ended.is_revoked("old")
    ended.revoke_login("other")
    clock[0] = timedelta()

    assert ended.revoked_logins({"old", "other", "third"}) == {"old", "other"}


def test_a_clock_that_is_behind_revokes_for_long_enough(clock: list[timedelta]) -> None:
    clock[0] = timedelta(hours=-12)
    ended.revoke_login("old")
    clock[0] = ended.LONGEST
    ended.revoke_login("other")

    assert ended.is_revoked("old")


def test_a_revocation_that_ends_nothing_any_more_is_deleted(clock: list[timedelta]) -> None:
    ended.revoke_login("old")
    clock[0] = ended.LONGEST + 3 * ended.MARGIN
    ended.revoke_login("other")

    assert list(Revocation.objects.values_list("key", flat=True)) == ["sid:other"]
