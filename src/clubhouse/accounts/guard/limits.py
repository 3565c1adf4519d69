"""How often something may be tried: token buckets in the database, so that all processes share them.

A bucket is one row, `Allowance`: the moment at which the bucket is full again. A bucket without a row is full. This is
the generic cell rate algorithm, which needs neither a counter nor a list of times.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Final

from django.db import transaction
from django.db.models import F
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac

from clubhouse.accounts.guard.errors import TooManyAttempts
from clubhouse.accounts.models import Allowance

Rate = tuple[int, float]
"""The most tries at once, and the seconds in which all of them become available again, evenly."""

_NETWORK_BITS: Final = {4: 32, 6: 64}
"""The length of the prefix that one customer has, by the version of the address."""

_UNUSED: Final = timedelta(hours=1)
"""The time for which a bucket is full before its row goes. Who waits for a row that was just made must find it."""

_MOST_PRUNED: Final = 500
"""Rows that one try deletes, more than it can make."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """The tries of somebody at something."""

    key: str
    count: int
    seconds: float

    @property
    def interval(self) -> timedelta:
        """The time in which one try becomes available."""
        return timedelta(seconds=self.seconds / self.count)

    def full_after(self, full_at: datetime, now: datetime) -> datetime:
        """Return the moment at which the bucket is full again when one try is taken now.

        Args:
            full_at: the stored moment. A moment that no try can have made is from a clock that was wrong.
            now: the present moment.

        Raises:
            TooManyAttempts: no try is left.
        """
        whole = timedelta(seconds=self.seconds)
        later = min(max(full_at, now), now + whole) + self.interval
        if later > now + whole:
            raise TooManyAttempts((later - now - whole).total_seconds())
        return later


def bucket(rate: Rate | None, what: str, *who: str) -> list[Bucket]:
    """Return the bucket of `who` for `what` in a list, which is empty when there is no limit.

    The key is a keyed digest, so the table tells neither names nor addresses.
    """
    if rate is None:
        return []
    return [Bucket(salted_hmac(__name__, json.dumps([what, *who]), algorithm="sha256").hexdigest(), *rate)]


def take(buckets: Sequence[Bucket]) -> None:
    """Take one try of each bucket, or none of any.

    Raises:
        TooManyAttempts: a bucket is empty. A refused try changes nothing, so it never makes the wait longer.
    """
    now = timezone.now()
    # A flood of tries that are refused must not take the database's write lock each time.
    stored = dict(Allowance.objects.filter(key__in=[item.key for item in buckets]).values_list("key", "full_at"))
    for item in buckets:
        item.full_after(stored.get(item.key, now), now)
    with transaction.atomic():
        for item in buckets:
            row, _new = Allowance.objects.select_for_update().get_or_create(key=item.key, defaults={"full_at": now})
            row.full_at = item.full_after(row.full_at, now)
            row.save(update_fields=["full_at"])
    _prune(now)


def _prune(now: datetime) -> None:
    """Delete the rows of buckets that nobody uses. Nobody waits for a row from which somebody takes at this moment."""
    full = Allowance.objects.filter(full_at__lt=now - _UNUSED)
    if not full.exists():
        return
    with transaction.atomic():
        keys = list(full.select_for_update(skip_locked=True).values_list("key", flat=True)[:_MOST_PRUNED])
        Allowance.objects.filter(key__in=keys).delete()


def give_back(buckets: Sequence[Bucket]) -> None:
    """Give the taken tries back: they did not fail."""
    with transaction.atomic():
        for item in buckets:
            Allowance.objects.filter(key=item.key).update(full_at=F("full_at") - item.interval)


def address_of(request: HttpRequest | None) -> str:
    """Return the client's address, the /64 network for IPv6, or "" for a request without one.

    Hotclub has put the address in front of the trusted proxies into the request.
    """
    address = "" if request is None else request.META.get("REMOTE_ADDR", "")
    try:
        whole = ip_network(address.partition("%")[0])
    except ValueError:
        return address
    return str(whole.supernet(new_prefix=_NETWORK_BITS[whole.version]))
