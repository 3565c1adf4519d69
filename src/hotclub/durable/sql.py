"""Every SQL statement of durable channels: append, read, prune. Synchronous; called in pool threads or by the user.

Rules of this file:

- `UPDATE … SET top = top + 1 … RETURNING` takes an offset, and its row lock lasts until the transaction ends. The next
  publisher gets its offset after that, so offsets commit in their order, and entries below a visible one are visible.
- The kept entries are the newest ones, without holes. Every bound is therefore an offset, the floor above which entries
  are kept, even if it was computed from a time.
- Reading applies the retention by itself and does not rely on the pruning.
"""

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec
from django.db import models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Max
from django.utils import timezone
from msgspec import Raw

from hotclub.engine.broker.base import HistoryQuery, Message, Retention, is_newer
from hotclub.engine.errors import HotclubError, IdempotencyConflict, UnrecoverablePosition
from hotclub.engine.model import EMPTY, ClientInfo, HistoryPage, Position, Publication

if TYPE_CHECKING:
    from hotclub.models import Stream
from hotclub.runtime.tables import connection_for, entries, stream_versions, streams

KEY_LIFETIME: Final = 300.0
"""Seconds for which pruning spares an entry, so that a retry with the same idempotency key finds it."""

_KEY_LENGTH: Final = 255
_GREATEST: Final = {"sqlite": "MAX", "postgresql": "GREATEST"}
"""The function that finds the greatest of its arguments."""
_NO_END: Final = 2**63 - 1
_DELETE_ROWS: Final = 1_000
_COLUMNS: Final = ("offset", "data", "tags", "publisher", "created")
_TAGS: Final = msgspec.json.Decoder(dict[str, str])
_PUBLISHER: Final = msgspec.json.Decoder(ClientInfo)


class BrokenStream(HotclubError):
    """The two tables contradict each other: an entry has an offset above its stream's top.

    Somebody changed rows by hand, or restored one of the tables from a backup. Delete the stream's row: the channel
    starts again with a new epoch, and its subscribers learn that they cannot recover.
    """

    def __init__(self, channel: str, offset: int) -> None:
        """`offset` is where the next entry belongs, 0 if the stream's row cannot be created."""
        super().__init__(channel, offset)
        self.channel = channel
        self.offset = offset

    def __str__(self) -> str:
        return f"channel {self.channel!r}: an entry with offset {self.offset} exists above the top; delete the stream"


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of one stream's log. Entries up to the offset `pruned` were deleted; `top` is the newest offset."""

    stream_id: int
    channel: str
    top: int
    pruned: int


# ---------------------------------------------------------------------------------------------------------- appending


def append(channel: str, message: Message, retention: Retention) -> tuple[Position, Publication, bool]:  # noqa: ARG001
    """Write a publication in the caller's transaction, or in one of its own when there is none. Synchronous.

    The channel's other publishers wait until that transaction ends, so publish late in it.

    Args:
        channel: the channel's name.
        message: the publication.
        retention: unused here: reading and pruning apply it.

    Returns:
        The position, the publication as subscribers get it, and whether the message was a duplicate that was not
        written. For a repeated idempotency key, position and publication are those of the first message. For a version
        that is not newer, the position is the top.

    Raises:
        IdempotencyConflict: the key was used for another payload. The transaction remains usable.
        ValueError: the payload is not UTF-8 text without NUL, or the key is too long or holds NUL.
        BrokenStream: the tables contradict each other.
        NotMigrated: a table is missing.
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
    """Store the message's version and return True, or return False when the stored version is as new.

    The stream's row lock keeps other publishers out. A repeated idempotency key returns True: the key finds its entry.
    """
    same_key = entries().filter(stream=stream_id, key=message.idempotency_key)
    if message.idempotency_key and same_key.exists():
        return True
    rows = stream_versions()
    known = rows.filter(channel=channel).values_list("epoch", "version").first()
    if known is not None and not is_newer(message.version_epoch, message.version, *known):
        return False
    newest = {"epoch": message.version_epoch, "version": message.version}
    if known is None:
        rows.create(channel=channel, **newest)
    else:
        rows.filter(channel=channel).update(**newest)
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
    """Write the entry, and return whether it was written. A used offset or idempotency key prevents it."""
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
    # The epoch is hexadecimal, because protocol implementations use "_" for "no epoch".
    stream = streams().model(channel=channel, epoch=secrets.token_hex(4))
    streams().bulk_create([stream], ignore_conflicts=True)


def _table(connection: BaseDatabaseWrapper, rows: "models.QuerySet[Any]") -> str:
    return connection.ops.quote_name(rows.model._meta.db_table)  # noqa: SLF001 - documented for everybody's use


def _connection() -> BaseDatabaseWrapper:
    return connection_for("Durable channels", ", or drop durable=True from the channels")


def _text(what: str, raw: bytes) -> str:
    if b"\0" in raw:
        raise ValueError(f"The {what} holds a raw NUL, which JSON text cannot")
    return raw.decode()


# ------------------------------------------------------------------------------------------------------------ reading


def open_stream(channel: str) -> Position:
    """Return the top of the channel's log, and create the log when there is none. Synchronous.

    Raises:
        BrokenStream: the log can be neither found nor created.
    """
    for _attempt in range(2):
        found = streams().filter(channel=channel).values_list("epoch", "top").first()
        if found is not None:
            return Position(*found)
        _create_stream(channel)
    raise BrokenStream(channel, 0)


def read_tops(channels: Sequence[str]) -> dict[str, Position]:
    """Return the tops of the channels by name, without the channels that have no log. Synchronous; one query."""
    rows = streams().filter(channel__in=channels).values_list("channel", "epoch", "top")
    return {channel: Position(epoch, top) for channel, epoch, top in rows}


def read_after(channel: str, offset: int, limit: int) -> tuple[Position, list[Publication]]:
    """Return the top of the channel's log and up to `limit` publications above `offset`, oldest first. Synchronous.

    A channel without a log has the top 0 and the epoch "".
    """
    found = streams().filter(channel=channel).values_list("pk", "epoch", "top").first()
    if found is None:
        return Position("", 0), []
    stream_id, epoch, top = found
    rows = entries().filter(stream=stream_id, offset__gt=offset, offset__lte=top)
    return Position(epoch, top), [
        _publication(row, epoch) for row in rows.order_by("offset").values_list(*_COLUMNS)[:limit]
    ]


def read_history(channel: str, query: HistoryQuery, retention: Retention) -> HistoryPage:
    """Read the kept part of a log, and create the log when there is none. Synchronous; one query for an existing log.

    Args:
        channel: the channel's name.
        query: the part to read.
        retention: how much of the log is kept.

    Raises:
        UnrecoverablePosition: `query.since` names another epoch.
        ImproperlyConfigured: the database is neither SQLite nor PostgreSQL.
    """
    nothing = query.limit == 0 or retention.size <= 0
    top, rows = (open_stream(channel), []) if nothing else _read_kept(channel, query, retention)
    if query.since is not None and query.since.epoch not in ("", top.epoch):
        raise UnrecoverablePosition(query.since.epoch, top.epoch)
    return HistoryPage(tuple(_publication(row, top.epoch) for row in rows), top)


def _read_kept(channel: str, query: HistoryQuery, retention: Retention) -> tuple[Position, list[tuple[Any, ...]]]:
    """Return the top of the log and the rows for the query. The join repeats the top in every row, or has it alone."""
    connection = _connection()
    since = query.since
    after = since.offset if since is not None and not query.reverse else 0
    before = since.offset if since is not None and query.reverse else _NO_END
    cutoff = connection.ops.adapt_datetimefield_value(timezone.now() - timedelta(seconds=retention.ttl))
    with connection.cursor() as cursor:
        limit = f"LIMIT {int(query.limit)}" if query.limit > 0 else ""
        order = "DESC" if query.reverse else "ASC"
        # Clocks may go back, so every publication below an expired one counts as expired.
        cursor.execute(
            f"""
            SELECT log.epoch, log.top, entry."offset", entry.data, entry.tags, entry.publisher, entry.created
            FROM {_table(connection, streams())} log
            LEFT JOIN {_table(connection, entries())} entry
            ON entry.stream_id = log.id AND entry."offset" <= log.top AND entry."offset" < %s
            AND entry."offset" > {_GREATEST[connection.vendor]}(%s, log.top - %s, COALESCE((
                SELECT MAX(old."offset") FROM {_table(connection, entries())} old
                WHERE old.stream_id = log.id AND old.created < %s
            ), 0))
            WHERE log.channel = %s ORDER BY entry."offset" {order} {limit}
            """,  # noqa: S608
            [before, after, retention.size, cutoff, channel],
        )
        rows = cursor.fetchall()
    if not rows:
        return open_stream(channel), []
    kept = [(*row[2:6], _moment(connection, row[6])) for row in rows if row[2] is not None]
    return Position(rows[0][0], rows[0][1]), kept


def _moment(connection: BaseDatabaseWrapper, value: datetime) -> datetime:
    """Return a time of the driver with its time zone. SQLite's times lack the zone, which is the connection's."""
    return value.replace(tzinfo=connection.timezone) if value.tzinfo is None else value


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
    """Return the epoch that a publication carries: the first publication of a log names it, the others have ""."""
    return epoch if offset == 1 else ""


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


# ------------------------------------------------------------------------------------------------------------ pruning


def remove_entries(channel: str) -> None:
    """Delete every publication of the channel. The channel's position stays. Synchronous."""
    for bounds in _bounds(streams().filter(channel=channel)):
        _remove(bounds, bounds.top)


def prune(after: int, count: int, retention_of: Callable[[str], Retention | None]) -> int | None:
    """Delete expired entries in the next `count` streams after the stream `after`. Synchronous.

    Entries younger than `KEY_LIFETIME` stay, although no history shows them. Each batch of deletions is a transaction.

    Args:
        after: the primary key of a stream, 0 to begin.
        count: the most streams to look at. Streams without entries do not count.
        retention_of: returns how much of a channel is kept; None keeps nothing.

    Returns:
        The primary key of the stream to continue after, or None when no streams are left.
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
