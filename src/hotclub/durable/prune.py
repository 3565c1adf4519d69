"""Deletes from the tables of durable channels what is no longer kept. Synchronous; called in pool threads.

Ages are judged by a node's time, see `durable/ledger.py`. A log without publications keeps its row for `EMPTY_LIFETIME`
longer, so that a client that comes back learns that it has missed nothing.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from django.db import connections, transaction
from django.db.models import F, OuterRef, QuerySet, Subquery

from hotclub.durable.ledger import live_anew
from hotclub.engine.broker.base import Retention
from hotclub.runtime.tables import database, entries, quoted, stream_versions, streams

if TYPE_CHECKING:
    from hotclub.models import Stream

KEY_LIFETIME: Final = 600.0
"""Seconds for which pruning spares an entry, so that a retry with the same idempotency key finds it. The time may run
twice as fast as it should, so an entry stays for 300 s at least."""
EMPTY_LIFETIME: Final = 86_400.0
"""Seconds for which a log without publications keeps its row."""

_DELETE_ROWS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of one stream's log. Entries up to the offset `pruned` were deleted; `top` is the newest offset."""

    stream_id: int
    channel: str
    top: int
    pruned: int


def remove_entries(channel: str) -> None:
    """Delete every publication of the channel. The channel's position stays. Synchronous."""
    for bounds in _bounds(streams().filter(channel=channel)):
        _remove(bounds, bounds.top)


def prune(after: int, count: int, retention_of: Callable[[str], Retention | None], now: datetime) -> int | None:
    """Delete expired entries in the next `count` streams after the stream `after`. Synchronous.

    Entries younger than `KEY_LIFETIME` stay, although no history shows them. Each batch of deletions is a transaction.

    Args:
        after: the primary key of a stream, 0 to begin.
        count: the most streams to look at. Streams without entries do not count.
        retention_of: returns how much of a channel is kept; None keeps nothing.
        now: the node's time.

    Returns:
        The primary key of the stream to continue after, or None when no streams are left.
    """
    later = streams().filter(pk__gt=after, top__gt=F("pruned")).order_by("pk")
    found = _bounds(later[:count])
    wanted = {bounds.stream_id: retention_of(bounds.channel) or Retention() for bounds in found}
    aged = _young(wanted, now - timedelta(seconds=KEY_LIFETIME))
    young: dict[int, int | None] = {}
    for ttl in {retention.ttl for retention in wanted.values()}:
        kept = [pk for pk, retention in wanted.items() if retention.ttl == ttl]
        young |= _young(kept, now - timedelta(seconds=ttl))
    for bounds in found:
        expired = max(bounds.top - wanted[bounds.stream_id].size, _below(young, bounds))
        _remove(bounds, min(expired, _below(aged, bounds)))
    return found[-1].stream_id if len(found) == count else None


def _below(young: dict[int, int | None], bounds: Bounds) -> int:
    """Return the offset up to which all entries have expired."""
    first = young.get(bounds.stream_id)
    return bounds.top if first is None else first - 1


def _young(stream_ids: Iterable[int], cutoff: datetime) -> dict[int, int | None]:
    """Return the first offset of each stream whose entry is not older than the cutoff, None where all are older."""
    mine = entries().filter(stream=OuterRef("pk"), offset__gt=OuterRef("pruned"), created__gte=cutoff)
    first = Subquery(mine.order_by("offset").values("offset")[:1])
    return dict(streams().filter(pk__in=list(stream_ids)).order_by().annotate(young=first).values_list("pk", "young"))


def _bounds(rows: "QuerySet[Stream]") -> list[Bounds]:
    return [Bounds(*row) for row in rows.values_list("pk", "channel", "top", "pruned")]


def _remove(bounds: Bounds, floor: int) -> None:
    """Delete the entries up to `floor`, then note the floor in the stream's row.

    The two steps are no transaction, because it could deadlock: it would hold entries that an appender waits for, and
    wait for the stream's row that the appender holds.
    """
    pruned = bounds.pruned
    while pruned < floor:
        upper = min(floor, pruned + _DELETE_ROWS)
        entries().filter(stream=bounds.stream_id, offset__gt=pruned, offset__lte=upper).delete()
        streams().filter(pk=bounds.stream_id, pruned__lt=upper).update(pruned=upper)
        pruned = upper


def forget_empty(after: int, count: int, spared: Collection[str], now: datetime) -> int | None:
    """Delete rows of logs that have had no publication for `EMPTY_LIFETIME`, up to `count` of them. Synchronous.

    The next publication of such a channel begins another log, with an epoch of its own.

    Args:
        after: the primary key of a stream, 0 to begin.
        count: the most rows to look at.
        spared: the channels whose rows stay, because they have subscribers here.
        now: the node's time.

    Returns:
        The primary key of the stream to continue after, or None when no streams are left.
    """
    empty = streams().filter(pruned__gte=F("top"))
    empty.filter(emptied=None).update(emptied=now)
    over = empty.filter(pk__gt=after, emptied__lt=now - timedelta(seconds=EMPTY_LIFETIME))
    found = list(over.order_by("pk").values_list("pk", "channel")[:count])
    for pk, channel in found:
        if channel not in spared:
            _forget(pk, channel)
    return found[-1][0] if len(found) == count else None


def _forget(stream_id: int, channel: str) -> None:
    connection = connections[database()]
    # A publisher may have appended meanwhile, so the condition stands in the statement that locks the row.
    statement = f"DELETE FROM {quoted(connection, 'Stream')} WHERE id = %s AND pruned >= top AND emptied IS NOT NULL"  # noqa: S608
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute(statement, [stream_id])
        if cursor.rowcount:
            stream_versions().filter(channel=channel).delete()
            live_anew(channel)
