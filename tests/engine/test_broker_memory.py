"""The broker of a single process."""

import pytest
from msgspec import Raw

from hotclub.engine.broker.base import HistoryQuery, Message, Retention
from hotclub.engine.broker.memory import IDEMPOTENCY_TTL, META_TTL, MemoryBroker
from hotclub.engine.errors import IdempotencyConflict, UnrecoverablePosition
from hotclub.engine.model import Position, Publication

KEEP = Retention(size=3, ttl=60.0)
ALL = HistoryQuery(limit=-1)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Setup:
    def __init__(self) -> None:
        self.clock = Clock()
        self.seen: list[tuple[str, Publication, str]] = []
        self.broker = MemoryBroker(lambda *delivery: self.seen.append(delivery), clock=self.clock)

    async def publish(self, text: str, key: str = "", retention: Retention = KEEP) -> Position:
        return await self.broker.publish("ch", Message(data=Raw(text.encode()), idempotency_key=key), retention)

    async def offsets(self, query: HistoryQuery = ALL) -> list[int]:
        page = await self.broker.history("ch", query, KEEP)
        return [publication.offset for publication in page.publications]


@pytest.fixture
def setup() -> Setup:
    return Setup()


async def test_offsets_count_from_one_and_reach_the_handler_in_order(setup: Setup) -> None:
    await setup.broker.subscribe("ch")
    positions = [await setup.publish(str(number)) for number in range(3)]
    assert [position.offset for position in positions] == [1, 2, 3]
    assert len({position.epoch for position in positions}) == 1
    assert [(publication.offset, bytes(publication.data)) for _, publication, _ in setup.seen] == [
        (1, b"0"),
        (2, b"1"),
        (3, b"2"),
    ]
    assert {epoch for _, _, epoch in setup.seen} == {positions[0].epoch}


async def test_only_subscribed_channels_are_handed_over(setup: Setup) -> None:
    await setup.publish("1")
    await setup.broker.subscribe("ch")
    await setup.publish("2")
    await setup.broker.unsubscribe("ch")
    await setup.publish("3")
    assert [publication.offset for _, publication, _ in setup.seen] == [2]


async def test_a_channel_without_history_has_no_positions(setup: Setup) -> None:
    await setup.broker.subscribe("ch")
    assert await setup.publish("1", retention=Retention()) == Position("", 0)
    assert setup.seen[0][1].offset == 0


async def test_size_and_ttl_trim_the_log_and_the_position_stays(setup: Setup) -> None:
    for number in range(5):
        await setup.publish(str(number))
        setup.clock.now += 1
    assert await setup.offsets() == [3, 4, 5]
    setup.clock.now = 62.5
    assert await setup.offsets() == [4, 5]
    setup.clock.now = 1_000.0
    page = await setup.broker.history("ch", ALL, KEEP)
    assert page.publications == ()
    assert page.top.offset == 5
    assert (await setup.publish("6")).offset == 6


@pytest.mark.parametrize(
    ("query", "offsets"),
    [
        (HistoryQuery(), []),
        (HistoryQuery(limit=2), [1, 2]),
        (HistoryQuery(limit=-1, reverse=True), [3, 2, 1]),
        (HistoryQuery(limit=-1, since=Position("", 1)), [2, 3]),
        (HistoryQuery(limit=1, since=Position("", 1)), [2]),
        (HistoryQuery(limit=-1, since=Position("", 3), reverse=True), [2, 1]),
        (HistoryQuery(limit=-1, since=Position("", 9)), []),
    ],
)
async def test_history_reads_what_is_asked(setup: Setup, query: HistoryQuery, offsets: list[int]) -> None:
    for number in range(3):
        await setup.publish(str(number))
    assert await setup.offsets(query) == offsets


async def test_a_channel_that_nobody_used_gets_a_log(setup: Setup) -> None:
    page = await setup.broker.history("ch", HistoryQuery(), KEEP)
    assert page.top.offset == 0
    assert page.top.epoch
    assert (await setup.publish("1")).epoch == page.top.epoch


async def test_another_epoch_is_refused(setup: Setup) -> None:
    with pytest.raises(UnrecoverablePosition) as error:
        await setup.offsets(HistoryQuery(limit=1, since=Position("other", 0)))
    assert error.value.epoch == "other"


async def test_a_repeated_key_stores_one_message(setup: Setup) -> None:
    await setup.broker.subscribe("ch")
    first = await setup.publish("1", key="k")
    await setup.publish("2")
    assert await setup.publish("1", key="k") == first
    assert len(setup.seen) == 2
    with pytest.raises(IdempotencyConflict):
        await setup.publish("other", key="k")


async def test_a_key_is_forgotten_in_time(setup: Setup) -> None:
    await setup.publish("1", key="k")
    setup.clock.now = IDEMPOTENCY_TTL
    assert (await setup.publish("1", key="k")).offset == 2


async def test_removed_history_leaves_the_position(setup: Setup) -> None:
    await setup.publish("1")
    await setup.broker.remove_history("ch")
    page = await setup.broker.history("ch", ALL, KEEP)
    assert (page.publications, page.top.offset) == ((), 1)


async def test_a_log_long_unused_is_forgotten_and_comes_back_as_another(setup: Setup) -> None:
    before = await setup.publish("1")
    setup.clock.now = META_TTL - 1
    setup.broker.sweep()
    assert (await setup.publish("1")).epoch == before.epoch
    setup.clock.now = 2 * META_TTL
    setup.broker.sweep()
    after = await setup.publish("1")
    assert (after.offset, after.epoch != before.epoch) == (1, True)
