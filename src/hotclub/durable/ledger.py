"""What all logs of durable channels share: the era that their epochs belong to, and the time by which ages are judged.

Clients see an epoch that is made of the stream's own epoch and of the *era*. The era changes whenever the database may
not be the one that the former positions were given out by:

- PostgreSQL: the timeline, which a promotion and a point-in-time restore change and a restart does not; the identifier
  of the cluster; the numbers of the database and of the table, which a restored dump does not keep.
- Every database: the *rotation*, a random text. A node writes a new one when a log contradicts what the node has
  delivered (`tail.py`) or when the clock below went back. `manage.py hotclub_rotate_epochs` writes one after a restore.

A channel without a log has an epoch, too, which its first publication takes over. It is made of the ledger's *seed* and
of the *lives* of a part of all channels. The lives change when pruning deletes a log of that part, so the next log of
the same channel has another epoch.

The *clock* is the newest time at which a node judged ages. It never goes back. It runs at most twice as fast as the
monotonic clock of the node, so a wall clock that jumps ahead cannot make everything expire at once. Between two nodes
on one machine, the machine's time since its boot tells how far the clock went on. After a boot, and on another machine,
a node believes the database's time.
"""

import hashlib
import secrets
import time
import zlib
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from django.db import NotSupportedError, OperationalError, ProgrammingError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from hotclub.runtime.tables import connection_for, ledger, quoted

TICK: Final = 5.0
"""Seconds between two ticks of a node's clock."""
LEAD: Final = 4 * TICK
"""Seconds by which a reader's time may be ahead of the clock in the ledger."""

_FASTEST: Final = 2.0
"""How many seconds the clock may go on in one second."""
_ROTATION: Final = "rotation"
_CLOCK: Final = "clock"
_BOOT: Final = "boot"
_SEED: Final = "seed"
_LIVES: Final = "lives"
_PARTS: Final = 4096
_STANDBY: Final = "standby"
_EPOCH_BYTES: Final = 8

_TIMELINE: Final = "left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)"
_CLUSTER: Final = "(SELECT system_identifier::text FROM pg_control_system())"
_TABLE: Final = """
    (SELECT oid::text FROM pg_database WHERE datname = current_database())
    || '/' || 'hotclub_stream'::regclass::oid::text
"""
_PLACES: Final = (
    f"{_TIMELINE} || '/' || {_CLUSTER} || '/' || {_TABLE}",
    f"{_TIMELINE} || '/' || {_TABLE}",
    _TABLE,
)
"""What names the database, from the whole to what every server of the kind tells."""


def current_era(connection: BaseDatabaseWrapper) -> str:
    """Return the SQL expression of the era, a text."""
    rotation = f"coalesce((SELECT value FROM {quoted(connection, 'Ledger')} WHERE key = '{_ROTATION}'), '')"  # noqa: S608
    return rotation if connection.vendor == "sqlite" else f"{rotation} || ' ' || ({_place(connection.alias)})"


@cache
def _place(alias: str) -> str:
    """Return the SQL expression that names a PostgreSQL database, of the parts that this server tells this role.

    Raises:
        DatabaseError: nothing was learned, because the caller's transaction is broken or the server is away.
    """
    *finer, coarse = (f"CASE WHEN pg_is_in_recovery() THEN '{_STANDBY}' ELSE {place} END" for place in _PLACES)
    for expression in finer:
        with suppress(ProgrammingError, NotSupportedError), transaction.atomic(using=alias):
            with connections[alias].cursor() as cursor:
                cursor.execute(f"SELECT {expression}")
            return expression
    return coarse


def shown(epoch: str, era: str) -> str:
    """Return the epoch that clients see.

    Args:
        epoch: the epoch in the stream's row.
        era: the era.

    Raises:
        OperationalError: the server is a standby, whose logs may still be another server's.
    """
    if era.endswith(_STANDBY):
        raise OperationalError("The database is a standby of another server, so its durable channels are not served")
    if not era.strip():
        return epoch
    return _epoch(epoch, era)


def _epoch(*parts: str) -> str:
    # The epoch is hexadecimal, because protocol implementations use "_" for "no epoch".
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=_EPOCH_BYTES).hexdigest()


def unwritten(connection: BaseDatabaseWrapper, channels: Iterable[str]) -> tuple[str, dict[str, str]]:
    """Return the era, and the epochs that the first publications of these channels will have. One query."""
    lives = {channel: _lives_of(channel) for channel in channels}
    keys = {_SEED, *lives.values()}
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT era.name, key, value FROM (SELECT {current_era(connection)} AS name) era "  # noqa: S608
            f"LEFT JOIN {quoted(connection, 'Ledger')} ON key IN ({', '.join(['%s'] * len(keys))})",
            list(keys),
        )
        rows: list[tuple[str, str | None, str]] = cursor.fetchall()
    values = {key: value for _, key, value in rows}
    seed = values.get(_SEED, "")
    return rows[0][0], {channel: _epoch(seed, values.get(key, ""), channel) for channel, key in lives.items()}


def _lives_of(channel: str) -> str:
    return f"{_LIVES}:{zlib.crc32(channel.encode()) % _PARTS:03x}"


def plant() -> None:
    """Give the ledger its seed, if it has none. Synchronous."""
    if not ledger().filter(key=_SEED).exists():
        row = ledger().model(key=_SEED, value=secrets.token_hex(_EPOCH_BYTES))
        ledger().bulk_create([row], ignore_conflicts=True)


def live_anew(channel: str) -> None:
    """Give the next log of a channel another epoch than the log that is being deleted. Synchronous."""
    _write(_lives_of(channel), secrets.token_hex(_EPOCH_BYTES))


def rotate(era: str) -> None:
    """Give every log a new epoch, unless that has happened since the era was `era`. Synchronous."""
    known, fresh = era.partition(" ")[0], secrets.token_hex(_EPOCH_BYTES)
    if known:
        ledger().filter(key=_ROTATION, value=known).update(value=fresh)
    else:
        ledger().bulk_create([ledger().model(key=_ROTATION, value=fresh)], ignore_conflicts=True)


def rotate_now() -> None:
    """Give every log a new epoch. Synchronous."""
    rotate(ledger().filter(key=_ROTATION).values_list("value", flat=True).first() or "")


class Time(NamedTuple):
    """What a tick found: `now`, the node's time; `clock`, the clock of the ledger; `back`, whether it went back.

    A clock that went back by more than `LEAD` is that of an older copy of the database.
    """

    now: datetime
    clock: datetime
    back: bool


def tick(last: Time | None, elapsed: float) -> Time:
    """Let a node's time go on, and the clock of the ledger with it. Synchronous.

    Args:
        last: what the tick before returned, None for the first one.
        elapsed: the seconds since the tick before, by the monotonic clock.
    """
    connection = connection_for("Durable channels")
    actual, stored = _read_clock(connection)
    if last is None:
        now = _first(actual, stored)
    else:
        now = max(last.now, min(actual, last.now + timedelta(seconds=elapsed * _FASTEST)))
    clock = now if stored is None else max(now, stored)
    if stored is None:
        _write(_CLOCK, _text(connection, clock))
    elif clock > stored:
        _advance(connection, clock)
    name, since = _boot()
    if name:
        _write(_BOOT, f"{name}{since:.3f}")
    return Time(now, clock, back=last is not None and (stored is None or last.clock - stored > timedelta(seconds=LEAD)))


def _first(actual: datetime, stored: datetime | None) -> datetime:
    """Return the time at which a node begins."""
    if stored is None:
        return actual
    name, since = _boot()
    former = ledger().filter(key=_BOOT).values_list("value", flat=True).first() or ""
    if name and former.startswith(name):
        return stored + timedelta(seconds=max(0.0, since - float(former.removeprefix(name))))
    return max(actual, stored)


def _boot() -> tuple[str, float]:
    """Return the name of the machine's present run, "" where the system has none, and the seconds since its start."""
    with suppress(OSError, AttributeError):
        name = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{name} ", time.clock_gettime(time.CLOCK_BOOTTIME)
    return "", 0.0


def _read_clock(connection: BaseDatabaseWrapper) -> tuple[datetime, datetime | None]:
    """Return the time of the database, and the clock of the ledger."""
    stored = ledger().filter(key=_CLOCK).values_list("value", flat=True).first()
    if connection.vendor == "sqlite":
        actual = timezone.now()
    else:
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            actual = cursor.fetchone()[0]
    return actual, None if stored is None else moment(connection, stored)


def _write(key: str, value: str) -> None:
    ledger().update_or_create(key=key, defaults={"value": value})


def _advance(connection: BaseDatabaseWrapper, clock: datetime) -> None:
    kind = "text" if connection.vendor == "sqlite" else "timestamptz"
    table, value = quoted(connection, "Ledger"), _text(connection, clock)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET value = %s WHERE key = '{_CLOCK}' AND cast(value AS {kind}) < cast(%s AS {kind})",  # noqa: S608
            [value, value],
        )


def moment(connection: BaseDatabaseWrapper, value: datetime | str) -> datetime:
    """Return a time of the driver or of the ledger with its time zone. SQLite's times lack it: it is the connection's.

    Raises:
        ValueError: the text is no time.
    """
    found = parse_datetime(value) if isinstance(value, str) else value
    if found is None:
        raise ValueError(f"{value!r} is not a time")
    return found.replace(tzinfo=connection.timezone) if found.tzinfo is None else found


def _text(connection: BaseDatabaseWrapper, value: datetime) -> str:
    return str(connection.ops.adapt_datetimefield_value(value))


def clock_of(connection: BaseDatabaseWrapper) -> str:
    """Return the SQL expression of the clock, a time as the table of entries has them; NULL before the first tick."""
    value = f"(SELECT value FROM {quoted(connection, 'Ledger')} WHERE key = '{_CLOCK}')"  # noqa: S608
    return value if connection.vendor == "sqlite" else f"{value}::timestamptz"


def cutoff(connection: BaseDatabaseWrapper) -> str:
    """Return the SQL expression of the time before which a publication has expired, with two parameters.

    The parameters are those of `cutoff_values`. A reader's time is the database's, and at most `LEAD` seconds ahead of
    the clock.
    """
    clock = clock_of(connection)
    if connection.vendor == "sqlite":
        limit = f"strftime('%%Y-%%m-%%d %%H:%%M:%%f', {clock}, '+{LEAD:g} seconds')"
        return f"strftime('%%Y-%%m-%%d %%H:%%M:%%f', min(%s, coalesce({limit}, '9999')), %s)"
    return f"least(%s::timestamptz, clock_timestamp(), {clock} + interval '{LEAD:g} seconds') + %s::interval"


def cutoff_values(connection: BaseDatabaseWrapper, ttl: float) -> list[str | None]:
    """Return the parameters of `cutoff` for publications that are kept for `ttl` seconds."""
    now = _text(connection, timezone.now()) if connection.vendor == "sqlite" else None
    return [now, f"{-ttl:f} seconds"]
