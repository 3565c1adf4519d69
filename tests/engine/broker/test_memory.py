"""The broker of a single process: the contract of all brokers, and what it does in time."""

import tracemalloc

import pytest
from msgspec import Raw

from hotclub.engine.broker import idle
from hotclub.engine.broker.answers import Answers, digest
from hotclub.engine.broker.base import IDEMPOTENCY_TTL, Broker, HistoryQuery, Message, PublicationHandler, Retention
from hotclub.engine.broker.memory import MemoryBroker
from hotclub.engine.broker.ring import META_TTL
from hotclub.engine.errors import IdempotencyConflict
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

    def sweep(self) -> None:
        """Sweep until nothing is left."""
        while self.broker.sweep():
            pass

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
    setup.sweep()
    assert (await setup.publish("1")).epoch == before.epoch
    setup.clock.now = 2 * META_TTL
    setup.sweep()
    after = await setup.publish("1")
    assert (after.offset, after.epoch != before.epoch) == (1, True)


async def test_a_log_that_nobody_published_in_takes_no_memory_and_keeps_its_epoch(setup: Setup) -> None:
    tops = []
    for _ in range(2):
        await setup.broker.subscribe("ch")
        tops.append((await setup.broker.history("ch", HistoryQuery(), KEEP)).top)
        await setup.broker.unsubscribe("ch")
        assert not setup.broker._logs
    assert tops[0] == tops[1] == (await setup.broker.history("ch", HistoryQuery(), KEEP)).top
    assert not setup.broker._logs
    assert (await setup.publish("1")).epoch == tops[0].epoch


async def test_the_positions_of_idle_logs_are_few_and_a_client_of_a_forgotten_one_is_told(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle, "MOST", 10)
    message = Message(data=Raw(b"1"))
    blank = (await setup.broker.history("blank", HistoryQuery(), KEEP)).top
    tops = [await setup.broker.publish(f"ch{number}", message, KEEP) for number in range(700)]
    setup.clock.now = KEEP.ttl
    setup.sweep()
    assert len(setup.broker._logs) == 10
    again = [(await setup.broker.history(f"ch{number}", HistoryQuery(), KEEP)).top for number in range(700)]
    assert sum(top == before for top, before in zip(again, tops, strict=True)) == 10
    assert all(top.epoch != before.epoch for top, before in zip(again, tops, strict=True) if top != before)
    assert (await setup.broker.history("blank", HistoryQuery(), KEEP)).top.epoch != blank.epoch


async def test_a_keyed_publication_is_remembered_by_digests(setup: Setup) -> None:
    text = '"' + "x" * 60_000 + '"'
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(100):
        await setup.publish(text, key=f"{number}" * 100, retention=Retention())
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 100 * 1_000
    with pytest.raises(IdempotencyConflict):
        await setup.publish(f" {text}", key="7" * 100, retention=Retention())


async def test_no_more_keys_are_remembered_than_there_is_room_for(setup: Setup) -> None:
    answers = Answers(most=10)
    for number in range(1_000):
        answers.keep("ch", str(number), b"", Position("", number), 0.0)
    assert len(answers) == 10
    assert answers.find("ch", "999", b"", 0.0) == Position("", 999)
    assert answers.find("ch", "1", b"", 0.0) is None


def test_a_digest_tells_parts_apart_that_are_the_same_in_one_piece() -> None:
    assert digest(b"ab", b"c") != digest(b"a", b"bc") != digest(b"abc")
