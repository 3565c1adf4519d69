"""Every SQL statement of orders: insert, read, prune. Synchronous; called in pool threads or by the user.

On PostgreSQL no statement waits for a row lock of an open transaction, so rows appear in the order of commits and not
of ids. A reader therefore remembers a `Mark`: the state of the table at its last look.

- On PostgreSQL the mark is the snapshot of the reading statement. A row is new when the snapshot does not show the
  row's transaction, so the reader finds a row however late its transaction commits.
- SQLite has one writer at a time, so ids follow the commits, and the mark is the highest id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BigIntegerField, Func

from hotclub.orders.messages import Order, encode_order
from hotclub.runtime.tables import connection_for, orders


class CurrentTransaction(Func):
    """PostgreSQL's number of the current transaction. The server never gives out a number twice."""

    template = "pg_current_xact_id()::text::bigint"
    output_field = BigIntegerField()


@dataclass(frozen=True, slots=True)
class Mark:
    """The state of the table at one moment.

    `place` names the running server and the table's file (PostgreSQL), and is "" on SQLite. `seen` says which rows were
    there: a snapshot on PostgreSQL, the highest id on SQLite. `now` is the database's clock in seconds since 1970. On
    SQLite     it is 0: the ids show missing rows, and the clock is that of the process, which may jump.
    """

    place: str
    seen: str
    now: float


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table. `payload` is the order as JSON text, `origin` a node's id or ""."""

    id: int
    origin: str
    payload: str


@dataclass(frozen=True, slots=True)
class Page:
    """The result of one read: the mark, the new rows by id, and whether rows were `lost` before they could be read."""

    mark: Mark
    rows: list[Row]
    lost: bool


def send(order: Order, origin: str) -> int:
    """Insert the order in the caller's transaction, or at once when there is none; see `Sender.send`.

    Raises:
        ImproperlyConfigured: the database is neither SQLite nor PostgreSQL.
        NotMigrated: the table is missing.
        DatabaseError: the order could not be inserted.
    """
    connection = _connection()
    numbered = {"transaction_id": CurrentTransaction()} if connection.vendor == "postgresql" else {}
    return orders().create(payload=encode_order(order), origin=origin, **numbered).pk


def committed(sent: Sequence[tuple[int, Order]]) -> list[tuple[int, Order]]:
    """Return the orders whose rows exist, without those of savepoints that were rolled back; see `Sender.committed`."""
    try:
        found = orders().filter(pk__in=[number for number, _ in sent]).values_list("pk", "payload")
        rows = dict(found)
    except DatabaseError:
        # The rows are probably there, and this process performs the orders now or never.
        return list(sent)
    # SQLite gives the id of a rolled-back row out again, so the payloads are compared, too.
    return [one for one in sent if rows.get(one[0]) == encode_order(one[1])]


def read(since: Mark | None, after: int, limit: int) -> Page:
    """Read up to `limit` rows that appeared since the mark and have an id above `after`. One statement.

    Without a mark the page has no rows, only the mark to go on from.

    Raises:
        ImproperlyConfigured: the database is neither SQLite nor PostgreSQL.
        DatabaseError: the database could not be read.
    """
    connection = _connection()
    is_sqlite = connection.vendor == "sqlite"
    place, seen = ("", "0" if is_sqlite else "1:1:") if since is None else (since.place, since.seen)
    values: dict[str, str | int] = {
        "place": place,
        "seen": seen,
        "after": after,
        "limit": limit if since is not None else 0,
    }
    with connection.cursor() as cursor:
        cursor.execute(_READ_SQLITE if is_sqlite else _READ_POSTGRESQL, values)
        found: list[tuple[str, str, float, int | None, str, str]] = cursor.fetchall()
    mark = Mark(found[0][0], found[0][1], float(found[0][2]))
    rows = [Row(pk, origin, payload) for *_, pk, origin, payload in found if pk is not None]
    lost = since is not None and (mark.place != since.place or _is_lost(connection, since, mark, after, rows, limit))
    return Page(mark, rows, lost)


def _is_lost(connection: BaseDatabaseWrapper, since: Mark, mark: Mark, after: int, rows: list[Row], limit: int) -> bool:
    """Whether the table is older than the mark, or rows were deleted before they were read."""
    if connection.vendor == "postgresql":
        return _end(mark) < _end(since)
    first = max(int(since.seen), after) + 1
    expected = range(first, min(int(mark.seen) + 1, first + limit))
    return int(mark.seen) < int(since.seen) or [row.id for row in rows] != list(expected)


def _end(mark: Mark) -> int:
    """The number of the next transaction at the time of the mark (PostgreSQL)."""
    return int(mark.seen.split(":")[1])


def prune(seen: Mark, limit: int) -> int:
    """Delete up to `limit` of the rows that the mark shows, and return the number of deleted rows.

    On PostgreSQL also rows whose transaction number is still to come are deleted: a backup of another server brought
    them.

    Raises:
        ImproperlyConfigured: the database is neither SQLite nor PostgreSQL.
        DatabaseError: the rows could not be deleted.
    """
    connection = _connection()
    statement = _PRUNE_SQLITE if connection.vendor == "sqlite" else _PRUNE_POSTGRESQL
    with connection.cursor() as cursor:
        cursor.execute(statement, {"seen": seen.seen, "limit": limit})
        count: int = cursor.rowcount
    return count


def _connection() -> BaseDatabaseWrapper:
    return connection_for("Orders between processes")


_READ_SQLITE: Final = """
WITH state AS (
    SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'hotclub_order'), 0) AS top
)
SELECT '', cast(top AS text), 0, id, origin, payload
FROM state LEFT JOIN (
    SELECT id, origin, payload FROM hotclub_order
    WHERE id > cast(%(seen)s AS integer) AND id > %(after)s
    ORDER BY id LIMIT %(limit)s
) AS news ON 1
ORDER BY id
"""

_READ_POSTGRESQL: Final = """
WITH state AS (
    SELECT pg_postmaster_start_time()::text || ' ' || pg_relation_filenode('hotclub_order')::text AS place,
        pg_current_snapshot() AS snapshot, extract(epoch FROM statement_timestamp()) AS now
)
SELECT place, snapshot::text, now, id, origin, payload
FROM state LEFT JOIN (
    SELECT id, origin, payload FROM hotclub_order
    WHERE id > %(after)s
    AND transaction_id >= pg_snapshot_xmin(%(seen)s::pg_snapshot)::text::bigint
    AND transaction_id < pg_snapshot_xmax(pg_current_snapshot())::text::bigint
    AND NOT pg_visible_in_snapshot(transaction_id::text::xid8, %(seen)s::pg_snapshot)
    ORDER BY id LIMIT %(limit)s
) AS news ON place = %(place)s
ORDER BY id
"""

_PRUNE_SQLITE: Final = """
DELETE FROM hotclub_order WHERE id IN (
    SELECT id FROM hotclub_order WHERE id <= cast(%(seen)s AS integer) ORDER BY id LIMIT %(limit)s
)
"""

_PRUNE_POSTGRESQL: Final = """
DELETE FROM hotclub_order WHERE id IN (
    SELECT id FROM hotclub_order
    WHERE pg_visible_in_snapshot(transaction_id::text::xid8, %(seen)s::pg_snapshot)
    OR transaction_id >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint
    ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
"""
