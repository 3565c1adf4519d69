"""Every SQL statement of durable channels: append, read, prune. Synchronous; called in pool threads or by the user.

Rules of this file:

- Offsets are taken by `UPDATE … SET top = top + 1 … RETURNING`, whose row lock lasts until the transaction ends. Who
  comes second therefore gets its offset after the first has committed or rolled back: offsets commit in their order,
  and a visible entry has no invisible one below it.
- What is kept is always the newest part of a log without holes, so bounds are offsets ("everything above the floor"),
  also when they were computed from times.
- Retention holds when reading, however long ago the pruning ran.
"""

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Max
from django.utils import timezone
from msgspec import Raw

from hotclub.engine.broker.base import HistoryQuery, Message, Retention, is_newer
from hotclub.engine.errors import HotclubError, IdempotencyConflict, UnrecoverablePosition
from hotclub.engine.model import EMPTY, ClientInfo, HistoryPage, Position, Publication

if TYPE_CHECKING:
    from hotclub.models import Entry, Stream
from hotclub.runtime.tables import database, entries, stream_versions, streams

KEY_LIFETIME: Final = 300.0
"""Seconds for which pruning leaves an entry alone, so that a retry with its idempotency key still finds it."""

_VENDORS: Final = ("sqlite", "postgresql")
_KEY_LENGTH: Final = 255
_DELETE_ROWS: Final = 1_000
_COLUMNS: Final = ("offset", "data", "tags", "publisher", "created")
_TAGS: Final = msgspec.json.Decoder(dict[str, str])
_PUBLISHER: Final = msgspec.json.Decoder(ClientInfo)


class BrokenStream(HotclubError):
    """The tables contradict themselves: an entry stands where its stream says that none can be.

    Rows were changed by hand, or one table of the two was restored from a backup. Deleting the stream's row cures it:
    the channel starts again with a new epoch, and its subscribers are told to load afresh.
    """

    def __init__(self, channel: str, offset: int) -> None:
        super().__init__(channel, offset)
        self.channel = channel
        self.offset = offset

    def __str__(self) -> str:
        return f"channel {self.channel!r}: an entry with offset {self.offset} exists above the top; delete the stream"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What pruning needs to know of one stream."""

    stream_id: int
    channel: str
    top: int
    pruned: int


# ---------------------------------------------------------------------------------------------------------- appending


def append(channel: str, message: Message, retention: Retention) -> tuple[Position, Publication, bool]:  # noqa: ARG001
    """Write a publication in the caller's transaction, or in one of its own when there is none.

    The channel's other publishers wait from here until that transaction ends; publish late in it. `retention` is
    applied when reading and pruning.

    Returns:
        The position, the publication as subscribers will see it, and whether nothing was written: this repeats an
        earlier idempotency key, whose position and publication are returned, or its version is not newer, and the
        position is the top.

    Raises:
        IdempotencyConflict: the key was used for another payload. The transaction remains usable.
        ValueError: the payload is not UTF-8 text without NUL, or the key is too long or holds NUL.
        ImproperlyConfigured: the database is neither SQLite nor PostgreSQL.
    """
    connection = _connection()
    data = _text("payload", bytes(message.data))
    if len(message.idempotency_key) > _KEY_LENGTH or "\0" in message.idempotency_key:
        raise ValueError(f"An idempotency key has at most {_KEY_LENGTH} characters, none of them NUL")
    if connection.in_atomic_block:
        return _append(connection, channel, message, data)
    with transaction.atomic(using=connection.alias):
        return _append(connection, channel, message, data)


def _append(
    connection: BaseDatabaseWrapper, channel: str, message: Message, data: str
) -> tuple[Position, Publication, bool]:
    stream_id, epoch, offset = _take_offset(connection, channel)
    if message.version and not _advance(stream_id, channel, message):
        _return_offset(stream_id)
        return Position(epoch, offset - 1), Publication(data=message.data, offset=offset - 1), True
    created = timezone.now()
    if _insert(connection, stream_id, offset, message, data, created):
        publication = Publication(
            data=message.data,
            info=message.info,
            offset=offset,
            tags=message.tags,
            time=_milliseconds(created),
            epoch=_named(epoch, offset),
        )
        return Position(epoch, offset), publication, False
    _return_offset(stream_id)
    publication = _first_with_key(stream_id, message.idempotency_key, channel, offset)
    if bytes(publication.data) != bytes(message.data):
        raise IdempotencyConflict(channel, message.idempotency_key)
    return Position(epoch, publication.offset), publication, True


def _return_offset(stream_id: int) -> None:
    streams().filter(pk=stream_id).update(top=models.F("top") - 1)


def _advance(stream_id: int, channel: str, message: Message) -> bool:
    """Take note of the message's version; False when one as new is there. The stream's row lock keeps others out.

    What was published before under the same idempotency key is left to that key.
    """
    same_key = entries().filter(stream=stream_id, key=message.idempotency_key)
    if message.idempotency_key and same_key.exists():
        return True
    rows = stream_versions()
    known = rows.filter(channel=channel).values_list("epoch", "version").first()
    if known is not None and not is_newer(message.version_epoch, message.version, *known):
        return False
    newest = {"epoch": message.version_epoch, "version": message.version}
    rows.update_or_create(channel=channel, defaults=newest)
    return True


def _take_offset(connection: BaseDatabaseWrapper, channel: str) -> tuple[int, str, int]:
    table = _table(connection, streams())
    sql = f"UPDATE {table} SET top = top + 1 WHERE channel = %s RETURNING id, epoch, top"  # noqa: S608
    for _attempt in range(2):
        with connection.cursor() as cursor:
            cursor.execute(sql, [channel])
            # SQLite finishes the statement only when its rows have been read to the end.
            rows: list[tuple[int, str, int]] = cursor.fetchall()
        if rows:
            return rows[0]
        _create_stream(channel)
    raise BrokenStream(channel, 0)


def _insert(
    connection: BaseDatabaseWrapper, stream_id: int, offset: int, message: Message, data: str, created: datetime
) -> bool:
    """Write the entry unless its idempotency key is taken."""
    row: dict[str, int | str | None] = {
        "stream_id": stream_id,
        "offset": offset,
        "data": data,
        "key": message.idempotency_key,
        "tags": msgspec.json.encode(message.tags).decode() if message.tags else "",
        "publisher": msgspec.json.encode(message.info).decode() if message.info else "",
        "created": connection.ops.adapt_datetimefield_value(created),
    }
    columns = ", ".join(map(connection.ops.quote_name, row))
    places = ", ".join(["%s"] * len(row))
    table = _table(connection, entries())
    sql = f"INSERT INTO {table} ({columns}) VALUES ({places}) ON CONFLICT DO NOTHING"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(sql, list(row.values()))
        inserted: int = cursor.rowcount
    return inserted == 1


def _first_with_key(stream_id: int, key: str, channel: str, offset: int) -> Publication:
    row = entries().filter(stream=stream_id, key=key).exclude(key="").values_list(*_COLUMNS).first()
    if row is None:
        raise BrokenStream(channel, offset)
    return _publication(row)


def _create_stream(channel: str) -> None:
    # An epoch never is "_": protocol implementations use that for "no epoch".
    stream = streams().model(channel=channel, epoch=secrets.token_hex(4))
    streams().bulk_create([stream], ignore_conflicts=True)


def _table(connection: BaseDatabaseWrapper, rows: "models.QuerySet[Any]") -> str:
    return connection.ops.quote_name(rows.model._meta.db_table)  # noqa: SLF001 - documented for everybody's use


def _connection() -> BaseDatabaseWrapper:
    connection = connections[database()]
    if connection.vendor not in _VENDORS:
        raise ImproperlyConfigured(
            f"Durable channels need SQLite or PostgreSQL; the database {connection.alias!r} is {connection.vendor}. "
            'Name another one in HOTCLUB["DATABASE"], or drop durable=True from the channels.'
        )
    return connection


def _text(what: str, raw: bytes) -> str:
    if b"\0" in raw:
        raise ValueError(f"The {what} holds a raw NUL, which JSON text cannot")
    return raw.decode()


# ------------------------------------------------------------------------------------------------------------ reading


def open_stream(channel: str) -> Position:
    """The top of the channel's log, which is created when there is none."""
    for _attempt in range(2):
        found = streams().filter(channel=channel).values_list("epoch", "top").first()
        if found is not None:
            return Position(*found)
        _create_stream(channel)
    raise BrokenStream(channel, 0)


def read_tops(channels: Sequence[str]) -> dict[str, Position]:
    """The tops of those channels that have a stream. One query."""
    rows = streams().filter(channel__in=channels).values_list("channel", "epoch", "top")
    return {channel: Position(epoch, top) for channel, epoch, top in rows}


def read_after(channel: str, offset: int, limit: int) -> tuple[Position, list[Publication]]:
    """The top of the channel's log and up to `limit` publications above `offset`, in order."""
    found = streams().filter(channel=channel).values_list("pk", "epoch", "top").first()
    if found is None:
        return Position("", 0), []
    stream_id, epoch, top = found
    rows = entries().filter(stream=stream_id, offset__gt=offset, offset__lte=top)
    return Position(epoch, top), [
        _publication(row, epoch) for row in rows.order_by("offset").values_list(*_COLUMNS)[:limit]
    ]


def read_history(channel: str, query: HistoryQuery, retention: Retention) -> HistoryPage:
    """Read the kept part of a log, creating an empty one where there is none.

    Raises:
        UnrecoverablePosition: `query.since` names another epoch.
    """
    top = open_stream(channel)
    if query.since is not None and query.since.epoch not in ("", top.epoch):
        raise UnrecoverablePosition(query.since.epoch, top.epoch)
    if query.limit == 0 or retention.size <= 0:
        return HistoryPage((), top)
    rows = entries().filter(stream__channel=channel, stream__epoch=top.epoch)
    floor = max(top.offset - retention.size, _expired(rows, retention.ttl))
    ceiling = top.offset
    if query.since is not None and query.reverse:
        ceiling = min(ceiling, query.since.offset - 1)
    elif query.since is not None:
        floor = max(floor, query.since.offset)
    kept = rows.filter(offset__gt=floor, offset__lte=ceiling).order_by("-offset" if query.reverse else "offset")
    chosen = kept.values_list(*_COLUMNS)[: None if query.limit < 0 else query.limit]
    return HistoryPage(tuple(_publication(row, top.epoch) for row in chosen), top)


def _expired(rows: "models.QuerySet[Entry]", ttl: float) -> int:
    """The newest offset that is older than `ttl` seconds; whatever is below it is gone too, whatever its time says."""
    cutoff = timezone.now() - timedelta(seconds=ttl)
    return rows.filter(created__lt=cutoff).aggregate(newest=Max("offset"))["newest"] or 0


def _publication(row: tuple[Any, ...], epoch: str = "") -> Publication:
    offset, data, tags, publisher, created = row
    return Publication(
        data=Raw(data.encode()) if data else EMPTY,
        info=_PUBLISHER.decode(publisher) if publisher else None,
        offset=offset,
        tags=_TAGS.decode(tags) if tags else {},
        time=_milliseconds(created),
        epoch=_named(epoch, offset),
    )


def _named(epoch: str, offset: int) -> str:
    """The epoch that a publication carries: only the first of a log names it."""
    return epoch if offset == 1 else ""


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


# ------------------------------------------------------------------------------------------------------------ pruning


def remove_entries(channel: str) -> None:
    """Forget every publication of the channel; its position stays."""
    for bounds in _bounds(streams().filter(channel=channel)):
        _remove(bounds, bounds.top)


def prune(after: int, count: int, retention_of: Callable[[str], Retention | None]) -> int | None:
    """Remove what `retention_of` says is not kept, in the next `count` streams with entries after stream `after`.

    A channel without retention keeps nothing. Entries younger than KEY_LIFETIME stay, although they are no longer
    shown. Deletes in bounded batches, each a transaction of its own.

    Returns:
        The stream to continue after, or None when there are no more.
    """
    later = streams().filter(pk__gt=after, top__gt=models.F("pruned")).order_by("pk")
    found = _bounds(later[:count])
    wanted = {bounds.stream_id: retention_of(bounds.channel) or Retention() for bounds in found}
    aged = _newest_before(wanted, KEY_LIFETIME)
    expired: dict[int, int] = {}
    for ttl in {retention.ttl for retention in wanted.values()}:
        expired |= _newest_before([pk for pk, kept in wanted.items() if kept.ttl == ttl], ttl)
    for bounds in found:
        floor = max(bounds.top - wanted[bounds.stream_id].size, expired.get(bounds.stream_id, 0))
        _remove(bounds, min(floor, aged.get(bounds.stream_id, 0)))
    return found[-1].stream_id if len(found) == count else None


def _bounds(rows: "models.QuerySet[Stream]") -> list[Bounds]:
    return [Bounds(*row) for row in rows.values_list("pk", "channel", "top", "pruned")]


def _newest_before(stream_ids: Iterable[int], seconds: float) -> dict[int, int]:
    cutoff = timezone.now() - timedelta(seconds=seconds)
    rows = entries().filter(stream__in=list(stream_ids), created__lt=cutoff)
    return dict(rows.order_by().values_list("stream").annotate(newest=Max("offset")))


def _remove(bounds: Bounds, floor: int) -> None:
    """Delete up to `floor`, then note it. Not in one transaction: that would hold rows an appender may wait for while
    waiting for the stream's row, which the appender holds."""
    pruned = bounds.pruned
    while pruned < floor:
        upper = min(floor, pruned + _DELETE_ROWS)
        entries().filter(stream=bounds.stream_id, offset__gt=pruned, offset__lte=upper).delete()
        streams().filter(pk=bounds.stream_id, pruned__lt=upper).update(pruned=upper)
        pruned = upper
