"""A transaction of Hotclub's own that lost against another one is made again."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import OperationalError, connections, transaction
from msgspec import Raw

from hotclub.actions.publish import broadcast
from hotclub.channels.base import Channel, History
from hotclub.durable import retrying, sql
from hotclub.durable.retrying import retried
from hotclub.engine.broker.base import HistoryQuery, Message, Retention
from tests.hotclub.conftest import Declare
from tests.support.stores import ALIAS, postgres_url, store

__all__ = ["postgres_url", "store"]


RETENTION = Retention(size=10, ttl=3600)


class Lost(Exception):
    sqlstate = "40P01"


def failing(times: int, cause: BaseException | None = None) -> Any:
    calls: list[int] = []

    def work() -> int:
        calls.append(1)
        if len(calls) <= times:
            raise OperationalError("deadlock detected") from cause
        return len(calls)

    return work


def test_a_conflict_is_tried_again_and_any_other_error_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "_PAUSE", 0.0)
    assert retried(failing(2, Lost())) == 3
    with pytest.raises(OperationalError):
        retried(failing(9, Lost()))
    with pytest.raises(OperationalError):
        retried(failing(1, ValidationError("other")))


class Room(Channel):
    pattern = "room:<slug:name>"
    history = History(size=10, ttl=timedelta(hours=1), durable=True)


def append(channel: str, data: bytes = b'"other"') -> None:
    sql.append(channel, Message(data=Raw(data)), RETENTION)


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_a_broadcast_survives_a_transaction_that_takes_its_channels_in_the_other_order(
    store: str, declare: Declare
) -> None:
    """The other transaction is patient, so PostgreSQL ends the broadcast's, which is then made anew."""
    declare(Room)
    append("room:a")
    append("room:b")
    taken, waiting = threading.Event(), threading.Event()

    def other() -> None:
        with transaction.atomic(using=ALIAS):
            with connections[ALIAS].cursor() as cursor:
                cursor.execute("SET LOCAL deadlock_timeout = '20s'")
            append("room:b")
            taken.set()
            # The broadcast holds the first channel when it waits for the second one.
            assert waiting.wait(10)
            append("room:a")
        connections[ALIAS].close()

    with ThreadPoolExecutor(2) as executor:
        first = executor.submit(other)
        assert taken.wait(10)
        second = executor.submit(_closing, lambda: broadcast(["room:b", "room:a"], "mine"))
        _until_somebody_waits()
        waiting.set()
        first.result(30)
        second.result(30)
    for channel in ("room:a", "room:b"):
        page = sql.read_history(channel, HistoryQuery(limit=-1), RETENTION)
        assert [bytes(item.data) for item in page.publications] == [b'"other"', b'"other"', b'"mine"']


def _closing(work: Callable[[], object]) -> None:
    work()
    connections[ALIAS].close()


def _until_somebody_waits() -> None:
    with connections[ALIAS].cursor() as cursor:
        waits = 0
        while not waits:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            waits = cursor.fetchone()[0]
