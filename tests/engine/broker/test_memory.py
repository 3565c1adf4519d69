"""The broker of a single process: the contract of all brokers, and what it does in time."""

import pytest
from msgspec import Raw

from hotclub.engine.broker.base import IDEMPOTENCY_TTL, Broker, Message, PublicationHandler, Retention
from hotclub.engine.broker.memory import MemoryBroker
from hotclub.engine.broker.ring import META_TTL
from hotclub.engine.model import Position, Publication
from hotclub.testing.contracts import BrokerContract
from hotclub.testing.contracts.broker import KEEP
from tests.support.clock import Clock, MakerByClock


class MemoryMaker(MakerByClock):
    async def make(self, handler: PublicationHandler) -> Broker:
        return MemoryBroker(handler, clock=self.clock)


class TestContract(BrokerContract):
    @pytest.fixture
    def maker(self) -> MemoryMaker:
        return MemoryMaker()


class Setup:
    def __init__(self) -> None:
        self.clock = Clock()
        self.seen: list[tuple[str, Publication, str]] = []
        self.broker = MemoryBroker(lambda *delivery: self.seen.append(delivery), clock=self.clock)

    async def publish(self, text: str, key: str = "", retention: Retention = KEEP) -> Position:
        return await self.broker.publish("ch", Message(data=Raw(text.encode()), idempotency_key=key), retention)


@pytest.fixture
def setup() -> Setup:
    return Setup()


async def test_a_channel_without_history_has_no_positions(setup: Setup) -> None:
    await setup.broker.subscribe("ch")
    assert await setup.publish("1", retention=Retention()) == Position("", 0)
    assert setup.seen[0][1].offset == 0


async def test_a_key_is_forgotten_in_time(setup: Setup) -> None:
    await setup.publish("1", key="k")
    setup.clock.now = IDEMPOTENCY_TTL
    assert (await setup.publish("1", key="k")).offset == 2


async def test_a_log_long_unused_is_forgotten_and_comes_back_as_another(setup: Setup) -> None:
    before = await setup.publish("1")
    setup.clock.now = META_TTL - 1
    setup.broker.sweep()
    assert (await setup.publish("1")).epoch == before.epoch
    setup.clock.now = 2 * META_TTL
    setup.broker.sweep()
    after = await setup.publish("1")
    assert (after.offset, after.epoch != before.epoch) == (1, True)
