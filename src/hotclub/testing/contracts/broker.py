"""The contract of brokers."""

import asyncio
from collections.abc import Awaitable
from typing import Final, Protocol

import pytest
from msgspec import Raw

from hotclub.engine.broker.base import Broker, HistoryQuery, Message, PublicationHandler, Retention
from hotclub.engine.errors import IdempotencyConflict, UnrecoverablePosition
from hotclub.engine.model import Position
from hotclub.testing.contracts.deliveries import Deliveries, Delivery

KEEP: Final = Retention(size=3, ttl=60.0)
"""What the channels of the contract keep."""
ALL: Final = HistoryQuery(limit=-1)


class BrokerMaker(Protocol):
    """Makes the broker under test, and lets its time pass."""

    def make(self, handler: PublicationHandler) -> Awaitable[Broker]:
        """A broker without publications that is ready for use. Called once per test."""
        ...

    def pass_time(self, seconds: float) -> Awaitable[None]:
        """Make everything that the broker keeps older by so many seconds, without waiting."""
        ...


class Bench:
    """The broker under test, and the publications that it has handed to its handler."""

    def __init__(self, maker: BrokerMaker) -> None:
        self._deliveries = Deliveries()
        self.take = self._deliveries.take
        self.pass_time = maker.pass_time
        self.broker: Broker

    async def publish(self, text: str, *, key: str = "", channel: str = "ch", retention: Retention = KEEP) -> Position:
        """Publish JSON text, with an idempotency key or without one. Returns its position."""
        return await self.broker.publish(channel, Message(data=Raw(text.encode()), idempotency_key=key), retention)

    async def offsets(self, query: HistoryQuery = ALL) -> list[int]:
        """The offsets of the publications that the history of the channel `ch` holds."""
        page = await self.broker.history("ch", query, KEEP)
        return [publication.offset for publication in page.publications]

    async def seen(self) -> list[Delivery]:
        """The publications handed over since the last call, each with its channel and epoch.

        A publication in a channel of its own marks their end.
        """
        await self.broker.subscribe("mark")
        await self.publish("null", channel="mark")
        return await self._deliveries.before("mark")


class BrokerContract:
    """The promises of `Broker`, one test each. Subclasses give the fixture `maker`."""

    @pytest.fixture
    async def bench(self, maker: BrokerMaker) -> Bench:
        """The broker under test."""
        made = Bench(maker)
        made.broker = await maker.make(made.take)
        return made

    async def test_offsets_count_from_one_and_reach_the_handler_in_order(self, bench: Bench) -> None:
        await bench.broker.subscribe("ch")
        positions = [await bench.publish(str(number)) for number in range(3)]
        assert [position.offset for position in positions] == [1, 2, 3]
        assert len({position.epoch for position in positions}) == 1
        seen = await bench.seen()
        assert [(item.offset, bytes(item.data)) for _, item, _ in seen] == [(1, b"0"), (2, b"1"), (3, b"2")]
        assert {epoch for _, _, epoch in seen} == {positions[0].epoch}

    async def test_the_first_publication_of_a_log_names_its_epoch(self, bench: Bench) -> None:
        """And no other does, neither when it is handed over nor when it is read (protocol §2.9)."""
        await bench.broker.subscribe("ch")
        top = await bench.publish("1")
        await bench.publish("2")
        page = await bench.broker.history("ch", ALL, KEEP)
        handed_over = [publication for _, publication, _ in await bench.seen()]
        for publications in (handed_over, page.publications):
            assert [publication.epoch for publication in publications] == [top.epoch, ""]

    async def test_tags_and_time_come_with_the_data(self, bench: Bench) -> None:
        await bench.broker.subscribe("ch")
        await bench.broker.publish("ch", Message(data=Raw(b"1"), tags={"lang": "zh"}), KEEP)
        ((_, delivered, _),) = await bench.seen()
        (kept,) = (await bench.broker.history("ch", ALL, KEEP)).publications
        assert delivered.tags == kept.tags == {"lang": "zh"}
        assert delivered.time == kept.time > 0

    async def test_a_version_that_is_not_newer_is_dropped(self, bench: Bench) -> None:
        """Versions of different epochs do not compare, and "" compares with any; 0 is no version."""
        await bench.broker.subscribe("ch")
        published = [("", 2), ("", 1), ("", 2), ("", 0), ("", 3), ("a", 1), ("a", 1), ("", 1), ("b", 1), ("a", 1)]
        positions = [
            await bench.broker.publish("ch", Message(data=Raw(b"1"), version=version, version_epoch=epoch), KEEP)
            for epoch, version in published
        ]
        assert [position.offset for position in positions] == [1, 1, 1, 2, 3, 4, 4, 4, 5, 6]
        assert len({position.epoch for position in positions}) == 1
        assert [item.offset for _, item, _ in await bench.seen()] == [1, 2, 3, 4, 5, 6]

    async def test_a_repeated_key_counts_before_its_version(self, bench: Bench) -> None:
        message = Message(data=Raw(b"1"), version=5, idempotency_key="k")
        first = await bench.broker.publish("ch", message, KEEP)
        await bench.broker.publish("ch", Message(data=Raw(b"2"), version=6), KEEP)
        assert await bench.broker.publish("ch", message, KEEP) == first
        assert await bench.offsets() == [1, 2]

    async def test_only_subscribed_channels_are_handed_over(self, bench: Bench) -> None:
        await bench.publish("1")
        await bench.broker.subscribe("ch")
        await bench.publish("2")
        await bench.publish("1", channel="other")
        assert [(name, item.offset) for name, item, _ in await bench.seen()] == [("ch", 2)]
        await bench.broker.unsubscribe("ch")
        await bench.broker.unsubscribe("ch")
        await bench.publish("3")
        assert await bench.seen() == []

    async def test_a_channel_is_handed_over_once_however_often_it_is_subscribed(self, bench: Bench) -> None:
        await bench.broker.subscribe("ch")
        await bench.broker.subscribe("ch")
        await bench.publish("1")
        assert len(await bench.seen()) == 1

    async def test_size_trims_the_log_and_the_position_stays(self, bench: Bench) -> None:
        for number in range(5):
            await bench.publish(str(number))
        page = await bench.broker.history("ch", ALL, KEEP)
        assert [publication.offset for publication in page.publications] == [3, 4, 5]
        assert page.top.offset == 5

    async def test_ttl_trims_the_log_and_the_position_stays(self, bench: Bench) -> None:
        first = await bench.publish("1")
        await bench.pass_time(59)
        await bench.publish("2")
        assert await bench.offsets() == [1, 2]
        await bench.pass_time(2)
        assert await bench.offsets() == [2]
        await bench.pass_time(100)
        page = await bench.broker.history("ch", ALL, KEEP)
        assert (page.publications, page.top) == ((), Position(first.epoch, 2))
        assert await bench.publish("3") == Position(first.epoch, 3)

    @pytest.mark.parametrize(
        ("query", "offsets"),
        [
            (HistoryQuery(), []),
            (HistoryQuery(limit=2), [1, 2]),
            (HistoryQuery(limit=-1, reverse=True), [3, 2, 1]),
            (HistoryQuery(limit=2, reverse=True), [3, 2]),
            (HistoryQuery(limit=-1, since=Position("", 1)), [2, 3]),
            (HistoryQuery(limit=1, since=Position("", 1)), [2]),
            (HistoryQuery(limit=-1, since=Position("", 3), reverse=True), [2, 1]),
            (HistoryQuery(limit=-1, since=Position("", 9)), []),
        ],
    )
    async def test_history_reads_what_is_asked(self, bench: Bench, query: HistoryQuery, offsets: list[int]) -> None:
        for number in range(3):
            await bench.publish(str(number))
        assert await bench.offsets(query) == offsets

    async def test_a_channel_that_nobody_used_gets_a_log(self, bench: Bench) -> None:
        page = await bench.broker.history("ch", HistoryQuery(), KEEP)
        assert page.top.offset == 0
        assert page.top.epoch
        assert (await bench.publish("1")).epoch == page.top.epoch

    async def test_channels_have_logs_of_their_own(self, bench: Bench) -> None:
        first, other = await bench.publish("1"), await bench.publish("1", channel="other")
        assert (first.offset, other.offset) == (1, 1)
        assert first.epoch != other.epoch

    async def test_another_epoch_is_refused(self, bench: Bench) -> None:
        top = await bench.publish("1")
        with pytest.raises(UnrecoverablePosition) as error:
            await bench.offsets(HistoryQuery(limit=1, since=Position("other", 0)))
        assert (error.value.epoch, error.value.current) == ("other", top.epoch)

    async def test_a_repeated_key_stores_one_message(self, bench: Bench) -> None:
        await bench.broker.subscribe("ch")
        first = await bench.publish("1", key="k")
        await bench.publish("2")
        assert await bench.publish("1", key="k") == first
        assert [item.offset for _, item, _ in await bench.seen()] == [1, 2]
        with pytest.raises(IdempotencyConflict):
            await bench.publish("3", key="k")
        assert await bench.offsets() == [1, 2]

    async def test_a_key_belongs_to_its_channel(self, bench: Bench) -> None:
        await bench.publish("1", key="k")
        assert (await bench.publish("2", key="k", channel="other")).offset == 1

    async def test_removed_history_leaves_the_position(self, bench: Bench) -> None:
        top = await bench.publish("1")
        await bench.broker.remove_history("ch")
        await bench.broker.remove_history("never used")
        page = await bench.broker.history("ch", ALL, KEEP)
        assert (page.publications, page.top) == ((), top)

    async def test_publishing_at_once_takes_every_offset_once(self, bench: Bench) -> None:
        await bench.broker.subscribe("ch")
        positions = await asyncio.gather(*(bench.publish(str(number)) for number in range(10)))
        assert sorted(position.offset for position in positions) == list(range(1, 11))
        assert [item.offset for _, item, _ in await bench.seen()] == list(range(1, 11))
