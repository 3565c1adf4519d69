"""Every SQL statement of orders: insert, read, prune. Synchronous; called in pool threads or by the user.

No statement waits for a lock of anybody's open transaction, and rows appear in the order of commits, not of ids. So a
reader does not walk along the ids; it remembers a `Mark`: what the database showed at its last look. SQLite has one
writer, so that there the highest id says it all. On PostgreSQL a mark is the snapshot of the statement, and a row is
new when that snapshot could not see the row's transaction: nothing is missed however late a transaction commits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BigIntegerField, Func

from hotclub.orders.messages import Order, encode_order
from hotclub.runtime.tables import database, orders

_VENDORS: Final = ("sqlite", "postgresql")


class CurrentTransaction(Func):
    """PostgreSQL's number of the transaction around the statement; never the same again in this database."""

    template = "pg_current_xact_id()::text::bigint"
    output_field = BigIntegerField()


@dataclass(frozen=True, slots=True)
class Mark:
    """What the database showed at one moment.

    `place` names the table as it physically is, `seen` the rows in it (PostgreSQL: a snapshot; SQLite: the highest id),
    `now` is the database's clock in seconds.
    """

    place: str
    seen: str
    now: float


@dataclass(frozen=True, slots=True)
class Row:
    """One order as it stands in the table."""

    id: int
    origin: str
    payload: str


@dataclass(frozen=True, slots=True)
class Page:
    """What one look has found: the new rows by id, where the table stood, and whether rows are missing."""

    mark: Mark
    rows: list[Row]
    lost: bool


def send(order: Order, origin: str) -> Callable[[], bool]:
    """Insert the order in the caller's transaction, or at once when there is none; see `Sender.send`.

    Raises:
        ImproperlyConfigured: the database is neither SQLite nor PostgreSQL.
        DatabaseError: the order could not be inserted.
    """
    connection = _connection()
    numbered = {"transaction_id": CurrentTransaction()} if connection.vendor == "postgresql" else {}
    row = orders().create(payload=encode_order(order), origin=origin, **numbered)
    # Django forgets what was to be done after the commit when `atomic()` rolls a savepoint back, but not when the
    # project's own code does.
    certain = not connection.in_atomic_block or not connection.savepoint_state
    return lambda: certain or _is_there(row.pk)


def _is_there(row: int) -> bool:
    try:
        return orders().filter(pk=row).exists()
    except DatabaseError:
        # Committed in all likelihood; and nobody else will do it for this process.
        return True


def read(since: Mark | None, after: int, limit: int) -> Page:
    """Up to `limit` rows above the id `after` that came since the mark, in one statement; none without a mark."""
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
    """Whether the table contradicts the mark: it went back, or rows went before they were read."""
    if connection.vendor == "postgresql":
        return _end(mark) < _end(since)
    first = max(int(since.seen), after) + 1
    expected = range(first, min(int(mark.seen) + 1, first + limit))
    return int(mark.seen) < int(since.seen) or [row.id for row in rows] != list(expected)


def _end(mark: Mark) -> int:
    """The number that the next transaction would have had."""
    return int(mark.seen.split(":")[1])


def prune(seen: Mark, limit: int) -> int:
    """Delete up to `limit` of the rows that the mark shows, and return how many there were.

    On PostgreSQL rows that another server has numbered go too: they were restored from its backup.
    """
    connection = _connection()
    statement = _PRUNE_SQLITE if connection.vendor == "sqlite" else _PRUNE_POSTGRESQL
    with connection.cursor() as cursor:
        cursor.execute(statement, {"seen": seen.seen, "limit": limit})
        count: int = cursor.rowcount
    return count


def _connection() -> BaseDatabaseWrapper:
    connection = connections[database()]
    if connection.vendor not in _VENDORS:
        raise ImproperlyConfigured(
            f"Orders between processes need SQLite or PostgreSQL; the database {connection.alias!r} is "
            f'{connection.vendor}. Name another one in HOTCLUB["DATABASE"].'
        )
    return connection


_READ_SQLITE: Final = """
WITH state AS (
    SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'hotclub_order'), 0) AS top
)
SELECT '', cast(top AS text), (julianday('now') - 2440587.5) * 86400, id, origin, payload
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
