"""The SQL of durable channels that appends and reads. Synchronous; called in pool threads or by the user.

Rules of this file:

- `UPDATE … SET top = top + 1 … RETURNING` takes an offset, and its row lock lasts until the transaction ends. The next
  publisher gets its offset after that, so offsets commit in their order, and entries below a visible one are visible.
- The kept entries are the newest ones, without holes. Every bound is therefore an offset, the floor above which entries
  are kept, even if it was computed from a time: an entry has expired only when all entries below it have.
- An entry is never older than the entry below it, whatever the clocks of the publishers say.
- Each append changes the stream's stamp at random, and the entry keeps the stamps before and after it. So entries form
  a chain, and two logs with the same stamp at an offset are the same log up to there.
- Reading applies the retention by itself and does not rely on the pruning.
- Reading writes nothing. A channel without a log has the top 0 and the epoch that its first publication will have.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple

import msgspec
from django.db import models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone
from msgspec import Raw

from hotclub.durable.ledger import clock_of, current_era, cutoff, cutoff_values, moment, plant, shown, unwritten
from hotclub.engine.broker.base import HistoryQuery, Message, Retention, is_newer
from hotclub.engine.errors import HotclubError, IdempotencyConflict, UnrecoverablePosition
from hotclub.engine.model import EMPTY, ClientInfo, HistoryPage, Position, Publication
from hotclub.runtime.tables import connection_for, entries, quoted, stream_versions, streams
from hotclub.runtime.transactions import in_transaction

_KEY_LENGTH: Final = 255
_GREATEST: Final = {"sqlite": "MAX", "postgresql": "GREATEST"}
"""The function that finds the greatest of its arguments."""
_NO_END: Final = 2**63 - 1
_STAMP_BITS: Final = 62
_ROWS_AT_ONCE: Final = 500
_COLUMNS: Final = ("offset", "data", "tags", "publisher", "created", "previous", "stamp")
_TAGS: Final = msgspec.json.Decoder(dict[str, str])
_PUBLISHER: Final = msgspec.json.Decoder(ClientInfo)


class BrokenStream(HotclubError):
    """The two tables contradict each other: an entry has an offset above its stream's top.

    Somebody changed rows by hand, or restored one of the tables from a backup. Delete the stream's row and run
    `manage.py hotclub_rotate_epochs`: the channel starts again, and all subscribers learn that they cannot recover.
    """

    def __init__(self, channel: str, offset: int) -> None:
        """`offset` is where the next entry belongs, 0 if the stream's row cannot be created."""
        super().__init__(channel, offset)
        self.channel = channel
        self.offset = offset

    def __str__(self) -> str:
        return f"channel {self.channel!r}: an entry with offset {self.offset} exists above the top; delete the stream"


class Row(NamedTuple):
    """A publication, the stamps of its stream before and after it, and the primary key of its entry, 0 if unknown."""

    publication: Publication
    previous: int
    stamp: int
    entry: int = 0


class Top(NamedTuple):
    """The newest position of a log, the stamp of the log there, and the era of its epoch."""

    position: Position
    stamp: int
    era: str = ""


# ---------------------------------------------------------------------------------------------------------- appending


def append(channel: str, message: Message, retention: Retention) -> tuple[Position, Row, bool]:  # noqa: ARG001
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
        AutocommitIsOff: the project's code has turned autocommit off.
    """
    connection = _connection()
    data = _text("payload", bytes(message.data))
    if len(message.idempotency_key) > _KEY_LENGTH or "\0" in message.idempotency_key:
        raise ValueError(f"An idempotency key has at most {_KEY_LENGTH} characters, none of them NUL")
    if in_transaction(connection.alias):
        return _append(connection, channel, message, data)
    with transaction.atomic(using=connection.alias):
        return _append(connection, channel, message, data)


def _append(connection: BaseDatabaseWrapper, channel: str, message: Message, data: str) -> tuple[Position, Row, bool]:
    place = _take_offset(connection, channel)
    if message.version and not _advance(place.stream, channel, message):
        _return_offset(place)
        kept = Publication(data=message.data, offset=place.offset - 1)
        return Position(place.epoch, kept.offset), Row(kept, place.previous, place.previous), True
    written = _insert(connection, place, message, data)
    if written is not None:
        entry, created = written
        publication = Publication(
            data=message.data,
            info=message.info,
            offset=place.offset,
            tags=message.tags,
            time=_milliseconds(created),
            epoch=_named(place.epoch, place.offset),
        )
        return Position(place.epoch, place.offset), Row(publication, place.previous, place.stamp, entry), False
    _return_offset(place)
    row = _first_with_key(place.stream, message.idempotency_key, channel, place.offset)
    if bytes(row.publication.data) != bytes(message.data):
        raise IdempotencyConflict(channel, message.idempotency_key)
    return Position(place.epoch, row.publication.offset), row, True


class _Place(NamedTuple):
    """Where the next entry belongs. `epoch` is the one that clients see."""

    stream: int
    epoch: str
    offset: int
    previous: int
    stamp: int


def _return_offset(place: _Place) -> None:
    streams().filter(pk=place.stream).update(top=models.F("top") - 1, stamp=place.previous)


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


def _take_offset(connection: BaseDatabaseWrapper, channel: str) -> _Place:
    table, step = quoted(connection, "Stream"), secrets.randbits(_STAMP_BITS)
    sql = (
        f"UPDATE {table} SET top = top + 1, emptied = NULL, stamp = (stamp + %s) %% {2**_STAMP_BITS} "  # noqa: S608
        f"WHERE channel = %s RETURNING id, epoch, top, stamp, {current_era(connection)}"
    )
    for _attempt in range(2):
        with connection.cursor() as cursor:
            cursor.execute(sql, [step, channel])
            # SQLite finishes the statement only when its rows have been read to the end.
            rows: list[tuple[int, str, int, int, str]] = cursor.fetchall()
        if rows:
            stream, epoch, top, stamp, current = rows[0]
            return _Place(stream, shown(epoch, current), top, (stamp - step) % 2**_STAMP_BITS, stamp)
        _create_stream(connection, channel)
    raise BrokenStream(channel, 0)


def _insert(connection: BaseDatabaseWrapper, place: _Place, message: Message, data: str) -> tuple[int, datetime] | None:
    """Write the entry, and return its key and time. None: a used offset or idempotency key prevented it."""
    values: list[int | str] = [
        place.stream,
        place.offset,
        data,
        message.idempotency_key,
        msgspec.json.encode(message.tags).decode() if message.tags else "",
        msgspec.json.encode(message.info).decode() if message.info else "",
        place.previous,
        place.stamp,
    ]
    clock = [connection.ops.adapt_datetimefield_value(timezone.now())] if connection.vendor == "sqlite" else []
    with connection.cursor() as cursor:
        cursor.execute(_insertion(connection.vendor), [*values, *clock, place.stream, place.offset - 1])
        found = cursor.fetchall()
    return (found[0][0], moment(connection, found[0][1])) if found else None


@cache
def _insertion(vendor: str) -> str:  # noqa: ARG001 - the statement differs by the vendor of the connection
    """Return the statement that writes an entry. Its parameters are those of `_insert`."""
    connection = _connection()
    columns = ("stream_id", "offset", "data", "key", "tags", "publisher", "previous", "stamp")
    table, names = quoted(connection, "Entry"), ", ".join(map(connection.ops.quote_name, columns))
    former = f'SELECT former.created FROM {table} former WHERE former.stream_id = %s AND former."offset" = %s'  # noqa: S608
    return (
        f"INSERT INTO {table} ({names}, created) "  # noqa: S608
        f"VALUES ({', '.join(['%s'] * len(columns))}, {_created(connection, former)}) "
        "ON CONFLICT DO NOTHING RETURNING id, created"
    )


def _created(connection: BaseDatabaseWrapper, former: str) -> str:
    """Return the SQL expression of an entry's time: now, but not before the entry below it nor before the clock."""
    if connection.vendor == "sqlite":
        return f"max(%s, coalesce(({former}), ''), coalesce({clock_of(connection)}, ''))"
    return f"greatest(clock_timestamp(), ({former}), {clock_of(connection)})"


def _first_with_key(stream_id: int, key: str, channel: str, offset: int) -> Row:
    row = entries().filter(stream=stream_id, key=key).exclude(key="").values_list(*_COLUMNS).first()
    if row is None:
        raise BrokenStream(channel, offset)
    return _row(row)


def _create_stream(connection: BaseDatabaseWrapper, channel: str) -> None:
    plant()
    epoch = unwritten(connection, [channel])[1][channel]
    streams().bulk_create([streams().model(channel=channel, epoch=epoch)], ignore_conflicts=True)
    # Pruning may have deleted the former log since the epoch was read.
    now = unwritten(connection, [channel])[1][channel]
    if now != epoch:
        streams().filter(channel=channel, epoch=epoch, top=0).update(epoch=now)


def _connection() -> BaseDatabaseWrapper:
    return connection_for("Durable channels", ", or drop durable=True from the channels")


def _text(what: str, raw: bytes) -> str:
    if b"\0" in raw:
        raise ValueError(f"The {what} holds a raw NUL, which JSON text cannot")
    return raw.decode()


# ------------------------------------------------------------------------------------------------------------ reading


def read_top(channel: str) -> Top:
    """Return the top of the channel's log. Synchronous; one query."""
    return read_tops([channel])[channel]


def read_tops(channels: Sequence[str]) -> dict[str, Top]:
    """Return the tops of the channels by name. Synchronous; one query, and one for all channels without a log."""
    connection = _connection()
    # The era is computed once, and not for each row.
    sql = (
        f"WITH era AS (SELECT {current_era(connection)} AS name) "  # noqa: S608
        f"SELECT log.channel, log.epoch, log.top, log.stamp, era.name FROM era, {quoted(connection, 'Stream')} log "
        f"WHERE log.channel IN ({', '.join(['%s'] * len(channels))})"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, list(channels))
        rows: list[tuple[str, str, int, int, str]] = cursor.fetchall()
    found = {channel: Top(Position(shown(epoch, era), top), stamp, era) for channel, epoch, top, stamp, era in rows}
    missing = [channel for channel in channels if channel not in found]
    return found | (_without_log(connection, missing) if missing else {})


def _without_log(connection: BaseDatabaseWrapper, channels: Sequence[str]) -> dict[str, Top]:
    era, epochs = unwritten(connection, channels)
    return {channel: Top(Position(shown(epoch, era), 0), 0, era) for channel, epoch in epochs.items()}


def read_after(channel: str, offset: int, limit: int) -> tuple[Top, list[Row]]:
    """Return the top of the channel's log and up to `limit` publications above `offset`, oldest first. Synchronous."""
    connection = _connection()
    columns = ", ".join(f'entry."{column}"' for column in _COLUMNS)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT log.epoch, log.top, log.stamp, {current_era(connection)}, {columns}
            FROM {quoted(connection, "Stream")} log
            LEFT JOIN {quoted(connection, "Entry")} entry
            ON entry.stream_id = log.id AND entry."offset" > %s AND entry."offset" <= log.top
            WHERE log.channel = %s ORDER BY entry."offset" LIMIT %s
            """,  # noqa: S608
            [offset, channel, limit],
        )
        rows = cursor.fetchall()
    if not rows:
        return _without_log(connection, [channel])[channel], []
    epoch, top, stamp, current = rows[0][:4]
    position = Position(shown(epoch, current), top)
    kept = [
        _row((*row[4:8], moment(connection, row[8]), *row[9:]), position.epoch) for row in rows if row[4] is not None
    ]
    return Top(position, stamp, current), kept


def standing(written: Sequence[Row]) -> set[int]:
    """Return the stamps of those rows that the table holds, of rows that a transaction has written. Synchronous."""
    connection = _connection()
    found: set[int] = set()
    for start in range(0, len(written), _ROWS_AT_ONCE):
        keys = [row.entry for row in written[start : start + _ROWS_AT_ONCE]]
        # SQLite gives the key of a rolled-back row out again, so the stamp tells which row it is.
        places = ", ".join(["%s"] * len(keys))
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT stamp FROM {quoted(connection, 'Entry')} WHERE id IN ({places})", keys)  # noqa: S608
            found.update(stamp for (stamp,) in cursor.fetchall())
    return found


def read_history(channel: str, query: HistoryQuery, retention: Retention) -> HistoryPage:
    """Read the kept part of a log. Synchronous; one query for an existing log.

    Args:
        channel: the channel's name.
        query: the part to read.
        retention: how much of the log is kept.

    Raises:
        UnrecoverablePosition: `query.since` names another epoch.
        ImproperlyConfigured: the database is neither SQLite nor PostgreSQL.
        OperationalError: the server is a standby, or another error of the database.
    """
    nothing = query.limit == 0 or retention.size <= 0
    top, rows = (read_top(channel).position, []) if nothing else _read_kept(channel, query, retention)
    if query.since is not None and query.since.epoch not in ("", top.epoch):
        raise UnrecoverablePosition(query.since.epoch, top.epoch)
    return HistoryPage(tuple(_row(row, top.epoch).publication for row in rows), top)


def _read_kept(channel: str, query: HistoryQuery, retention: Retention) -> tuple[Position, list[tuple[Any, ...]]]:
    """Return the top of the log and the rows for the query. The join repeats the top in every row, or has it alone."""
    connection = _connection()
    since = query.since
    after = since.offset if since is not None and not query.reverse else 0
    before = since.offset if since is not None and query.reverse else _NO_END
    columns = ", ".join(f'entry."{column}"' for column in _COLUMNS)
    table, limit = quoted(connection, "Entry"), f"LIMIT {int(query.limit)}" if query.limit > 0 else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT log.epoch, log.top, {current_era(connection)}, {columns}
            FROM {quoted(connection, "Stream")} log
            LEFT JOIN {table} entry
            ON entry.stream_id = log.id AND entry."offset" <= log.top AND entry."offset" < %s
            AND entry."offset" > {_GREATEST[connection.vendor]}(%s, log.top - %s, COALESCE((
                SELECT young."offset" - 1 FROM {table} young
                WHERE young.stream_id = log.id AND young.created >= {cutoff(connection)}
                ORDER BY young."offset" LIMIT 1
            ), log.top))
            WHERE log.channel = %s ORDER BY entry."offset" {"DESC" if query.reverse else "ASC"} {limit}
            """,  # noqa: S608
            [before, after, retention.size, *cutoff_values(connection, retention.ttl), channel],
        )
        rows = cursor.fetchall()
    if not rows:
        return _without_log(connection, [channel])[channel].position, []
    kept = [(*row[3:7], moment(connection, row[7]), *row[8:]) for row in rows if row[3] is not None]
    return Position(shown(rows[0][0], rows[0][2]), rows[0][1]), kept


def _row(row: tuple[Any, ...], epoch: str = "") -> Row:
    offset, data, tags, publisher, created, previous, stamp = row
    publication = Publication(
        data=Raw(data.encode()) if data else EMPTY,
        info=_PUBLISHER.decode(publisher) if publisher else None,
        offset=offset,
        tags=_TAGS.decode(tags) if tags else {},
        time=_milliseconds(created),
        epoch=_named(epoch, offset),
    )
    return Row(publication, previous, stamp)


def _named(epoch: str, offset: int) -> str:
    """Return the epoch that a publication carries: the first publication of a log names it, the others have ""."""
    return epoch if offset == 1 else ""


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
