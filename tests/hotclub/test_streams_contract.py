"""The durable broker keeps the contract of all brokers, on every database."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from django.db.models import F

from hotclub.durable.broker import DatabaseBroker
from hotclub.engine.broker.base import Broker, PublicationHandler
from hotclub.models import Entry
from hotclub.runtime.pool import HookPool
from hotclub.testing.contracts import KEEP, BrokerContract
from tests.support.stores import ALIAS, postgres_url, store

__all__ = ["postgres_url", "store"]


class DatabaseMaker:
    def __init__(self) -> None:
        self.pool = HookPool(4)

    async def make(self, handler: PublicationHandler) -> Broker:
        self.broker = DatabaseBroker(handler, run=self.pool.run, retention_of=lambda _channel: KEEP)
        return self.broker

    async def pass_time(self, seconds: float) -> None:
        age = timedelta(seconds=seconds)
        await self.pool.run(lambda: Entry.objects.using(ALIAS).update(created=F("created") - age))


class TestContract(BrokerContract):
    @pytest.fixture
    async def maker(self, store: str) -> AsyncIterator[DatabaseMaker]:
        maker = DatabaseMaker()
        yield maker
        await maker.broker.stop()
        await maker.pool.close()
