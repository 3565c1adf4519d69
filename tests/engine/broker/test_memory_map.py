"""The map broker of one process: the contract of all map brokers, its cursors, and what it forgets."""

import pytest
from msgspec import Raw

from hotclub.engine.broker.base import IDEMPOTENCY_TTL, PublicationHandler
from hotclub.engine.broker.maps import MapBroker, MapMessage, MapOutcome, MapQuery, MapRetention
from hotclub.engine.broker.memory_map import MemoryMapBroker
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.testing.contracts import MapBrokerContract
from hotclub.testing.contracts.map_bench import EPHEMERAL, PERSISTENT
from tests.support.clock import Clock, MakerByClock


class MemoryMaker(MakerByClock):
    async def make(self, handler: PublicationHandler) -> MapBroker:
        return MemoryMapBroker(handler, clock=self.clock)


class TestContract(MapBrokerContract):
    @pytest.fixture
    def maker(self) -> MemoryMaker:
        return MemoryMaker(Clock(1_000.0))


class Store:
    """A broker to which nobody is subscribed, and its clock."""

    def __init__(self) -> None:
        self.clock = Clock(1_000.0)
        self.broker = MemoryMapBroker(lambda *_: None, clock=self.clock)

    async def set(self, value: str, retention: MapRetention = PERSISTENT, key: str = "") -> MapOutcome:
        message = MapMessage(key="a", data=Raw(value.encode()), idempotency_key=key)
        return await self.broker.change("ch", message, retention)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.mark.parametrize("cursor", ["x", "\x00", "1e9\x00a", "9" * 5_000 + "\x00a"])
async def test_a_foreign_cursor_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(Refused) as refused:
        await store.broker.read("ch", MapQuery(cursor=cursor), PERSISTENT)
    assert refused.value.code == Code.BAD_REQUEST


async def test_an_idempotency_key_is_forgotten_in_time(store: Store) -> None:
    await store.set("1", key="k")
    store.clock.now += IDEMPOTENCY_TTL
    assert (await store.set("2", key="k")).suppressed is None


async def test_a_key_whose_time_is_over_does_not_wait_for_the_sweep(store: Store) -> None:
    await store.set("1", EPHEMERAL)
    store.clock.now += EPHEMERAL.key_ttl
    assert (await store.broker.stats("ch")).num_keys == 0
    await store.set("1", EPHEMERAL)
    store.clock.now += EPHEMERAL.key_ttl
    assert (await store.broker.read("ch", MapQuery(), EPHEMERAL)).entries == ()


async def test_sweeping_gives_back_an_ephemeral_map_without_keys(store: Store) -> None:
    await store.set("1", EPHEMERAL)
    store.broker.sweep()
    assert store.broker._maps
    store.clock.now += EPHEMERAL.key_ttl
    store.broker.sweep()
    assert not store.broker._maps


async def test_the_position_of_a_persistent_map_outlives_its_entries(store: Store) -> None:
    before = (await store.set("1")).position
    await store.broker.change("ch", MapMessage(key="a", removed=True), PERSISTENT)
    store.clock.now += 3_600
    store.broker.sweep()
    after = (await store.set("1")).position
    assert (after.epoch, after.offset) == (before.epoch, 3)
