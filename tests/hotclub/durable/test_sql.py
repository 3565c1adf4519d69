"""Appending, reading and pruning, on every database that durable channels support."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from msgspec import Raw

from hotclub.durable import ledger, prune, sql
from hotclub.engine.broker.base import HistoryQuery, Message, Retention
from hotclub.engine.errors import IdempotencyConflict, UnrecoverablePosition
from hotclub.engine.model import ClientInfo, Position
from hotclub.models import Entry, Stream
from tests.support.stores import ALIAS, postgres_url, store

__all__ = ["postgres_url", "store"]

RETENTION = Retention(size=100, ttl=3600)
pytestmark = pytest.mark.usefixtures("store")


def append(channel: str = "room", data: bytes = b"1", key: str = "", **fields: Any) -> int:
    message = Message(data=Raw(data), idempotency_key=key, **fields)
    return sql.append(channel, message, RETENTION)[0].offset


def history(channel: str = "room", retention: Retention = RETENTION, **query: Any) -> list[int]:
    page = sql.read_history(channel, HistoryQuery(**{"limit": -1, **query}), retention)
    return [publication.offset for publication in page.publications]


def epoch(channel: str = "room") -> str:
    return sql.read_top(channel).position.epoch


def age(seconds: float, **which: Any) -> None:
    Entry.objects.using(ALIAS).filter(**which).update(created=timezone.now() - timedelta(seconds=seconds))


def in_thread(call: Callable[[], Any]) -> "Future[Any]":
    """Call it in a thread whose database connection is closed at the end."""

    def run() -> Any:
        try:
            return call()
        finally:
            connections[ALIAS].close()

    executor = ThreadPoolExecutor(1)
    try:
        return executor.submit(run)
    finally:
        executor.shutdown(wait=False)


# Appending


@pytest.mark.parametrize(
    "data",
    [
        b'{"z": 1, "a": [1.0, 1e2, 123456789012345678901234567890]}',
        rb'"\u0000\ud83d\ude00"',
        '{"text":"吉普赛爵士 🎸 \u2028 \u202e"}'.encode(),
        b'  "spaces around"  ',
        b'{"a":1,"a":2}',
    ],
)
def test_a_payload_comes_back_to_the_byte(data: bytes) -> None:
    info = ClientInfo(user="7", client="c", conn_info=Raw(b'{"b": 1, "a": 2}'))
    message = Message(data=Raw(data), tags={"zwei": "2", "eins": "\0"}, info=info)
    position, (publication, *_), duplicate = sql.append("room", message, RETENTION)
    page = sql.read_history("room", HistoryQuery(limit=1), RETENTION)
    (stored,) = page.publications
    assert bytes(stored.data) == data
    assert list(stored.tags.items()) == [("zwei", "2"), ("eins", "\0")]
    assert stored.info is not None
    assert (stored.info.user, bytes(stored.info.conn_info)) == ("7", b'{"b": 1, "a": 2}')
    assert (stored.offset, stored.time) == (publication.offset, publication.time)
    assert page.top == position
    assert not duplicate


def test_offsets_count_from_one_and_each_channel_for_itself() -> None:
    assert [append("a"), append("a"), append("b"), append("a")] == [1, 2, 1, 3]
    tops = {channel: top.position for channel, top in sql.read_tops(["a", "b", "c"]).items()}
    assert tops == {"a": Position(epoch("a"), 3), "b": Position(epoch("b"), 1), "c": Position(epoch("c"), 0)}


def test_every_stream_has_an_epoch_of_its_own() -> None:
    for number in range(20):
        append(f"room:{number}")
    epochs = {epoch(f"room:{number}") for number in range(20)}
    assert len(epochs) == 20
    assert "_" not in epochs


def test_a_repeated_key_gives_the_first_position_and_takes_no_offset() -> None:
    first = sql.append("room", Message(data=Raw(b"1"), idempotency_key="k"), RETENTION)
    append()
    again = sql.append("room", Message(data=Raw(b"1"), idempotency_key="k"), RETENTION)
    assert (first[2], again[2]) == (False, True)
    assert again[0] == first[0]
    assert (again[1].publication.offset, again[1].publication.time) == (1, first[1].publication.time)
    assert append() == 3


def test_the_same_key_means_another_message_in_another_channel() -> None:
    assert [append("a", key="k"), append("b", b"2", key="k")] == [1, 1]


def test_a_key_for_another_payload_is_refused_and_the_transaction_goes_on() -> None:
    append(data=b"1", key="k")
    with transaction.atomic(using=ALIAS):
        with pytest.raises(IdempotencyConflict) as raised:
            append(data=b"2", key="k")
        assert append(data=b"3") == 2
    assert (raised.value.channel, raised.value.key) == ("room", "k")
    assert history() == [1, 2]


@pytest.mark.parametrize(("data", "key"), [(b'"\0"', ""), (b'"\xff"', ""), (b"1", "k" * 256), (b"1", "\0")])
def test_what_the_tables_cannot_hold_is_refused_before_anything_is_written(data: bytes, key: str) -> None:
    with pytest.raises(ValueError):
        append(data=data, key=key)
    assert not Stream.objects.using(ALIAS).exists()


def test_another_database_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections[ALIAS], "vendor", "oracle")
    with pytest.raises(ImproperlyConfigured, match=r"SQLite or PostgreSQL.*HOTCLUB"):
        append()


# Transactions


def test_a_rollback_leaves_neither_entry_nor_offset() -> None:
    append()
    with transaction.atomic(using=ALIAS):
        assert append() == 2
        transaction.set_rollback(True, using=ALIAS)
    assert history() == [1]
    assert append() == 2


def test_a_savepoint_that_is_rolled_back_within_a_commit_leaves_no_hole() -> None:
    with transaction.atomic(using=ALIAS):
        append(data=b'"before"')
        with transaction.atomic(using=ALIAS):
            append(data=b'"within"')
            transaction.set_rollback(True, using=ALIAS)
        append(data=b'"after"')
    page = sql.read_history("room", HistoryQuery(limit=-1), RETENTION)
    assert [(item.offset, bytes(item.data)) for item in page.publications] == [(1, b'"before"'), (2, b'"after"')]


@pytest.mark.parametrize("rolls_back", [False, True])
def test_who_comes_second_waits_for_the_first_to_end(rolls_back: bool) -> None:
    append(data=b'"earlier"')
    taken, release = threading.Event(), threading.Event()

    def first() -> None:
        with transaction.atomic(using=ALIAS):
            append(data=b'"first"')
            taken.set()
            assert release.wait(10)
            transaction.set_rollback(rolls_back, using=ALIAS)

    one = in_thread(first)
    assert taken.wait(10)
    two = in_thread(lambda: append(data=b'"second"'))
    with pytest.raises(TimeoutError):
        two.result(0.2)
    assert history() == [1], "nothing shows before the first has committed"
    release.set()
    one.result(10)
    assert two.result(10) == (2 if rolls_back else 3)
    page = sql.read_history("room", HistoryQuery(limit=-1), RETENTION)
    kept = [b'"earlier"', b'"second"'] if rolls_back else [b'"earlier"', b'"first"', b'"second"']
    assert [bytes(publication.data) for publication in page.publications] == kept


def test_publishers_in_contention_leave_one_stream_without_holes() -> None:
    barrier = threading.Barrier(4)

    def publisher() -> list[int]:
        barrier.wait(10)
        return [append() for _ in range(10)]

    taken = [future.result(60) for future in [in_thread(publisher) for _ in range(4)]]
    assert sorted(offset for mine in taken for offset in mine) == list(range(1, 41))
    assert all(mine == sorted(mine) for mine in taken)
    assert history(retention=Retention(size=100, ttl=60)) == list(range(1, 41))


def test_the_same_key_from_two_threads_at_once_is_stored_once() -> None:
    barrier = threading.Barrier(4)

    def publisher() -> int:
        barrier.wait(10)
        return append(key="k")

    assert {future.result(60) for future in [in_thread(publisher) for _ in range(4)]} == {1}
    assert append() == 2


# Reading


@pytest.mark.parametrize("limit", [0, 10])
def test_reading_a_channel_without_log_writes_nothing(limit: int) -> None:
    page = sql.read_history("empty", HistoryQuery(limit=limit), RETENTION)
    assert (page.publications, page.top.offset) == ((), 0)
    assert sql.read_top("empty").position == page.top
    assert not Stream.objects.using(ALIAS).exists()


def test_the_first_publication_takes_over_the_epoch_of_a_channel_without_log() -> None:
    ledger.plant()
    before = epoch()
    assert (append(), epoch()) == (1, before)


@pytest.mark.parametrize("query", [{}, {"limit": 0}, {"since": Position("", 1)}, {"limit": 2, "reverse": True}])
def test_a_log_is_read_with_one_query(query: dict[str, Any]) -> None:
    for _ in range(3):
        append()
    age(7200, offset=1)
    with CaptureQueriesContext(connections[ALIAS]) as queries:
        history(**query)
    assert len(queries) == 1, [query["sql"] for query in queries]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"limit": 2}, [1, 2]),
        ({"limit": 0}, []),
        ({"reverse": True}, [5, 4, 3, 2, 1]),
        ({"reverse": True, "limit": 2}, [5, 4]),
        ({"since": 2}, [3, 4, 5]),
        ({"since": 2, "limit": 1}, [3]),
        ({"since": 4, "reverse": True}, [3, 2, 1]),
        ({"since": 9}, []),
        ({"since": 0, "reverse": True}, []),
    ],
)
def test_history_reads_the_asked_part(query: dict[str, Any], expected: list[int]) -> None:
    for _ in range(5):
        append()
    if "since" in query:
        query = {**query, "since": Position(epoch(), query["since"])}
    assert history(**query) == expected


def test_an_empty_epoch_means_any_and_a_foreign_one_is_refused() -> None:
    append()
    assert history(since=Position("", 0)) == [1]
    with pytest.raises(UnrecoverablePosition) as raised:
        history(since=Position("other", 0))
    assert (raised.value.epoch, raised.value.current) == ("other", epoch())


def test_retention_holds_before_anything_is_pruned() -> None:
    for _ in range(6):
        append()
    age(60, offset__lte=2)
    assert history(retention=Retention(size=100, ttl=30)) == [3, 4, 5, 6]
    assert history(retention=Retention(size=3, ttl=30)) == [4, 5, 6]
    assert history(retention=Retention(size=0, ttl=30)) == []


def test_one_row_of_a_clock_that_was_behind_expires_nothing_and_tears_no_hole() -> None:
    for _ in range(4):
        append()
    age(9999, offset=3)
    assert history(retention=Retention(size=100, ttl=30)) == [1, 2, 3, 4]
    prune.prune(0, 100, lambda _channel: Retention(size=100, ttl=30), timezone.now())
    assert kept() == [1, 2, 3, 4]


def test_rows_after_an_offset_are_read_in_order_up_to_the_limit() -> None:
    for _ in range(5):
        append()
    top, rows = sql.read_after("room", 1, 3)
    assert (top.position.offset, [row.publication.offset for row in rows]) == (5, [2, 3, 4])
    assert [row.previous for row in rows[1:]] == [row.stamp for row in rows[:-1]]
    assert sql.read_after("unknown", 0, 3) == (sql.read_top("unknown"), [])


# Pruning


def kept(channel: str = "room") -> list[int]:
    return list(Entry.objects.using(ALIAS).filter(stream__channel=channel).values_list("offset", flat=True))


def test_pruning_removes_by_size_and_by_age() -> None:
    for channel in ("size", "ttl", "gone"):
        for _ in range(6):
            append(channel)
    age(1000)
    age(650, offset__gt=3)
    rules = {"size": Retention(size=2, ttl=9999), "ttl": Retention(size=99, ttl=700)}
    assert prune.prune(0, 100, rules.get, timezone.now()) is None
    assert (kept("size"), kept("ttl"), kept("gone")) == ([5, 6], [4, 5, 6], [])


def test_pruning_leaves_what_a_retry_may_still_ask_for() -> None:
    for number in range(6):
        append(key=str(number))
    age(prune.KEY_LIFETIME + 1, offset__lte=2)
    prune.prune(0, 100, lambda _channel: Retention(size=1, ttl=9999), timezone.now())
    assert kept() == [3, 4, 5, 6]
    assert append(key="2") == 3


def test_the_position_survives_pruning() -> None:
    append()
    before = epoch()
    age(9999)
    prune.prune(0, 100, lambda _channel: None, timezone.now())
    assert kept() == []
    assert (append(), epoch()) == (2, before)


def test_pruning_goes_on_where_it_stopped_and_in_bounded_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune, "_DELETE_ROWS", 2)
    for channel in ("a", "b", "c"):
        for _ in range(5):
            append(channel)
    age(9999)
    after: int | None = 0
    passes = 0
    while after is not None:
        after = prune.prune(after, 2, lambda _channel: None, timezone.now())
        passes += 1
    assert passes == 2
    assert not Entry.objects.using(ALIAS).exists()
    assert set(Stream.objects.using(ALIAS).values_list("top", "pruned")) == {(5, 5)}


def test_a_stream_with_nothing_left_is_not_looked_at_again() -> None:
    append()
    age(9999)
    asked: list[str] = []

    def retention_of(channel: str) -> None:
        asked.append(channel)

    prune.prune(0, 100, retention_of, timezone.now())
    prune.prune(0, 100, retention_of, timezone.now())
    assert asked == ["room"]


def test_history_can_be_forgotten_at_once() -> None:
    append()
    append()
    prune.remove_entries("room")
    assert (history(), append()) == ([], 3)
