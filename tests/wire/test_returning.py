"""Recovery, from one before to one behind each boundary, over the wire in both forms of the protocol: logs, maps, cache
mode and the server's own subscriptions."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from hotclub.engine.broker.base import HistoryQuery
from hotclub.engine.broker.maps import MapMessage
from hotclub.engine.broker.memory import MemoryBroker
from hotclub.engine.broker.memory_map import MemoryMapBroker
from hotclub.engine.model import Position
from tests.engine.support import ClubApplication
from tests.support.app import Served, raw, serve
from tests.support.clock import Clock
from tests.support.returning import BY_THE_SERVER, TRANSPORTS, Outcome, come_back, whole

KEPT = 2
"""What the short log and the short map keep."""
LIFETIME = 300
MAP = {"type": 1, "phase": 1}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def served(clock: Clock) -> AsyncIterator[Served]:
    async with serve(
        ClubApplication(),
        make_broker=lambda handler: MemoryBroker(handler, clock=clock),
        make_maps=lambda handler: MemoryMapBroker(handler, clock=clock),
    ) as server:
        yield server


async def publish(served: Served, channel: str, count: int) -> None:
    for number in range(count):
        if "map" in channel:
            message = MapMessage(key=f"key {number % 3}", data=raw(number))
            await served.node.channels.maps.change(channel, message)
        else:
            await served.node.publish(channel, raw(number))


async def epoch_of(served: Served, channel: str) -> str:
    return (await served.node.history(channel, HistoryQuery())).top.epoch


async def grown(served: Served, channel: str, published: int) -> Position:
    """The channel with so many publications."""
    await publish(served, channel, published)
    return Position(await epoch_of(served, channel), published)


WAYS = [
    *(("short", transport, {}) for transport in (*TRANSPORTS, *BY_THE_SERVER)),
    *(("short-map", transport, MAP) for transport in TRANSPORTS),
]


@pytest.mark.parametrize(("kind", "transport", "fields"), WAYS)
async def test_the_size_of_the_log_is_exact(served: Served, kind: str, transport: str, fields: dict[str, Any]) -> None:
    for published in (0, 1, KEPT, KEPT + 1, KEPT + 2):
        channel = f"{kind}:{published}"
        top = await grown(served, channel, published)
        for offset in range(published + 2):
            told = await come_back(served.port, transport, channel, top.epoch, offset, **fields)
            assert told == whole(offset, published, KEPT), (published, offset)


@pytest.mark.parametrize(("kind", "transport", "fields"), WAYS)
async def test_the_lifetime_of_the_log_is_exact(
    served: Served, clock: Clock, kind: str, transport: str, fields: dict[str, Any]
) -> None:
    """The first publication is as old as it may become, give or take a second; the second is newer."""
    for elapsed, kept in ((-1, 2), (0, 1), (1, 1)):
        clock.now, channel = 0.0, f"{kind}:{elapsed}"
        await publish(served, channel, 1)
        clock.now = 10.0
        await publish(served, channel, 1)
        clock.now = float(LIFETIME + elapsed)
        epoch = await epoch_of(served, channel)
        for offset in range(4):
            told = await come_back(served.port, transport, channel, epoch, offset, **fields)
            assert told == whole(offset, 2, kept), (elapsed, offset)


@pytest.mark.parametrize(("kind", "transport", "fields"), WAYS)
async def test_the_epoch_of_another_log_recovers_nothing(
    served: Served, kind: str, transport: str, fields: dict[str, Any]
) -> None:
    other = await grown(served, f"{kind}:other", 1)
    await grown(served, f"{kind}:this", 1)
    for epoch in (other.epoch, "_", "no epoch at all"):
        for offset in (0, 1, 2):
            told = await come_back(served.port, transport, f"{kind}:this", epoch, offset, **fields)
            assert told == Outcome(recovered=False), (epoch, offset)


@pytest.mark.parametrize("transport", [*TRANSPORTS, *BY_THE_SERVER])
async def test_cache_mode_gives_the_newest_unless_the_client_has_it(served: Served, transport: str) -> None:
    for published in (0, 1, 2):
        channel = f"cache:{published}"
        top = await grown(served, channel, published)
        newest = (published,) if published else ()
        for offset in range(published + 2):
            told = await come_back(served.port, transport, channel, top.epoch, offset)
            if offset == published:
                assert told == Outcome(recovered=True), published
            else:
                assert told == Outcome(recovered=bool(published), offsets=newest), (published, offset)
        told = await come_back(served.port, transport, channel, "another", published)
        assert told == Outcome(recovered=bool(published), offsets=newest), published
