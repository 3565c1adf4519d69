"""The durable broker keeps the contract of all brokers, on every database."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from django.db import connections, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from msgspec import Raw

from hotclub.durable import ledger
from hotclub.durable.broker import DatabaseBroker
from hotclub.engine.broker.base import DurableBroker, Message, PublicationHandler
from hotclub.engine.errors import IdempotencyConflict
from hotclub.models import Entry
from hotclub.runtime.pool import HookPool
from hotclub.testing.contracts import BrokerContract
from hotclub.testing.contracts.broker import KEEP, Bench
from tests.support.stores import ALIAS, postgres_url, store

__all__ = ["postgres_url", "store"]


class DatabaseMaker:
    def __init__(self) -> None:
        self.pool = HookPool(4)

    async def make(self, handler: PublicationHandler) -> DurableBroker:
        # The first subscription of a site does this.
        await self.pool.run(ledger.plant)
        self.broker = DatabaseBroker(handler, run=self.pool.run, retention_of=lambda _channel: KEEP)
        return self.broker

    async def pass_time(self, seconds: float) -> None:
        age = timedelta(seconds=seconds)
        await self.pool.run(lambda: Entry.objects.using(ALIAS).update(created=F("created") - age))


@pytest.fixture
async def maker(store: str) -> AsyncIterator[DatabaseMaker]:
    maker = DatabaseMaker()
    yield maker
    await maker.broker.stop()
    await maker.pool.close()


class TestContract(BrokerContract):
    """The contract publishes with `publish`, which is `append` in a transaction of its own."""

    @pytest.fixture
    def maker(self, maker: DatabaseMaker) -> DatabaseMaker:
        return maker


def _append(broker: DurableBroker, *values: int, fail: bool = False) -> None:
    """Append in one transaction, as a view does, and roll it back to `fail`."""
    with transaction.atomic(using=ALIAS):
        for value in values:
            broker.append("ch", Message(data=Raw(str(value).encode())), KEEP)
        transaction.set_rollback(fail, using=ALIAS)


async def test_what_a_transaction_appends_is_handed_over_after_its_commit_alone(maker: DatabaseMaker) -> None:
    bench = Bench(maker)
    bench.broker = broker = await maker.make(bench.take)
    await broker.subscribe("ch")
    await maker.pool.run(_append, broker, 1, fail=True)
    await maker.pool.run(_append, broker, 2, 3)
    assert [(item.offset, bytes(item.data)) for _, item, _ in await bench.seen()] == [(1, b"2"), (2, b"3")]


async def test_a_key_that_conflicts_leaves_the_transaction_good(maker: DatabaseMaker) -> None:
    bench = Bench(maker)
    bench.broker = broker = await maker.make(bench.take)
    await bench.publish("1", key="k")

    def conflict() -> None:
        with transaction.atomic(using=ALIAS):
            with pytest.raises(IdempotencyConflict):
                broker.append("ch", Message(data=Raw(b"2"), idempotency_key="k"), KEEP)
            broker.append("ch", Message(data=Raw(b"3")), KEEP)

    await maker.pool.run(conflict)
    assert await bench.offsets() == [1, 2]


SAVEPOINTS = ["savepoint_rollback", "ROLLBACK TO"]


@pytest.mark.parametrize("how", SAVEPOINTS)
async def test_a_publication_of_a_savepoint_that_the_project_rolls_back_is_not_handed_over(
    maker: DatabaseMaker, how: str
) -> None:
    """The publication that takes its offset is, and one read serves a whole transaction."""
    bench = Bench(maker)
    bench.broker = broker = await maker.make(bench.take)
    await broker.subscribe("ch")
    reads: list[int] = []

    def work() -> None:
        connection = connections[ALIAS]
        with transaction.atomic(using=ALIAS), connection.cursor() as cursor:
            _append_now(broker, 1)
            savepoint = str(connection.savepoint())
            cursor.execute("SAVEPOINT mine")
            _append_now(broker, 2, 3)
            if how == "ROLLBACK TO":
                cursor.execute("ROLLBACK TO mine")
            else:
                connection.savepoint_rollback(savepoint)
            _append_now(broker, 4)
            captured = CaptureQueriesContext(connection)
            captured.__enter__()
        captured.__exit__(None, None, None)
        reads.append(sum(query["sql"].startswith("SELECT") for query in captured))

    await maker.pool.run(work)
    assert [(item.offset, bytes(item.data)) for _, item, _ in await bench.seen()] == [(1, b"1"), (2, b"4")]
    assert reads == [1]


def _append_now(broker: DurableBroker, *values: int) -> None:
    for value in values:
        broker.append("ch", Message(data=Raw(str(value).encode())), KEEP)
