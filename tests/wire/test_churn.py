"""Subscribing, recovering and unsubscribing while others publish: nothing is lost, doubled, or sent to who has left."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from hotclub.engine.broker.base import HistoryQuery, Retention
from hotclub.engine.broker.memory import MemoryBroker
from hotclub.engine.limits import Limits
from hotclub.engine.model import HistoryPage
from tests.support.app import LossyBroker, Served, raw, serve
from tests.support.churn import Churner, churn
from tests.support.wire import WireClient

Connect = Callable[..., Awaitable[WireClient]]


class DistantBroker(MemoryBroker):
    """Answers as late as a store beyond a network does: what is published meanwhile overtakes the answer."""

    async def subscribe(self, channel: str) -> None:
        await asyncio.sleep(0.001)
        await super().subscribe(channel)

    async def history(self, channel: str, query: HistoryQuery, retention: Retention) -> HistoryPage:
        page = await super().history(channel, query, retention)
        await asyncio.sleep(0.003)
        return page


@pytest.fixture
async def served(write_path: str) -> AsyncIterator[Served]:
    async with serve(write_path=write_path, make_broker=DistantBroker) as server:
        yield server


def was_a_mixture(churners: list[Churner]) -> None:
    """Otherwise nothing was tried: some came live, and some by a replay."""
    assert min(sum(churner.live for churner in churners), sum(churner.recovered for churner in churners)) > 50


async def test_everybody_has_everything_once_whoever_comes_and_goes(served: Served, connect: Connect) -> None:
    clients = [await connect() for _ in range(8)]
    publisher = await connect()
    await publisher.subscribe("deep:a")

    async def by_a_client(number: int) -> None:
        await publisher.publish("deep:a", number)

    async def by_the_server(number: int) -> None:
        await served.node.publish("deep:a", raw(number))
        await asyncio.sleep(0.002)

    churners = await churn(clients, "deep:a", [by_a_client, by_the_server], rounds=25, each=200)
    was_a_mixture(churners)
    offsets = [publication["offset"] for publication in await publisher.publications("deep:a", churners[0].position[1])]
    assert offsets == list(range(1, churners[0].position[1] + 1))


async def test_nothing_is_left_of_who_came_and_went(served: Served, connect: Connect) -> None:
    clients = [await connect(f"user {number}") for number in range(8)]

    async def by_the_server(number: int) -> None:
        await served.node.publish("open:a", raw(number))
        await asyncio.sleep(0.05)

    await churn(clients, "open:a", [by_the_server], rounds=5, each=1)
    for client in clients:
        await client.call("unsubscribe", channel="open:a")
        client.abort()
    await served.application.until(lambda: len(served.application.ended) == len(clients))
    assert served.node.info().num_subscriptions == 0
    assert served.node.hub.channels() == []


async def test_whatever_is_lost_on_the_way_is_told_and_recovered(write_path: str) -> None:
    """Also the last one, which nothing follows: the position check finds it."""
    limits, count = Limits(position_check=0.4), 200
    async with serve(write_path=write_path, make_broker=LossyBroker, limits=limits) as served:
        clients = [await WireClient.connected(served.port) for _ in range(6)]
        churners = [Churner(client, "deep:a") for client in clients]
        async with asyncio.TaskGroup() as group:
            for churner in churners:
                group.create_task(churner.keep_up(count))
            for number in range(1, count + 1):
                lost = number % 17 == 0 or number == count
                await served.node.publish("deep:a", LossyBroker.LOST if lost else raw(number))
                await asyncio.sleep(0.001)
        assert min(churner.told for churner in churners) > 3
        assert {churner.position[1] for churner in churners} == {count}
        for client in clients:
            client.abort()
