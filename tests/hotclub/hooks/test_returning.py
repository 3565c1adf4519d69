"""Recovery of durable channels over the wire: exact at every boundary, and whole while others publish."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db.models import F

import hotclub
from hotclub.durable import sql
from hotclub.engine.broker.base import Message, Retention
from hotclub.engine.protocol.payload import encode_payload
from hotclub.models import Entry
from tests.hotclub.conftest import Site
from tests.support.churn import churn
from tests.support.returning import BY_THE_SERVER, TRANSPORTS, Outcome, come_back, whole
from tests.support.wire import WireClient

pytestmark = pytest.mark.django_db(transaction=True)

Serve = Callable[..., Awaitable[Site]]
KEPT = 2
LIFETIME = 300


class Short(hotclub.Channel):
    pattern = "short:<str:name>"
    history = hotclub.History(size=KEPT, ttl=timedelta(seconds=LIFETIME), durable=True)

    async def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return True


class Deep(Short):
    pattern = "deep:<str:name>"
    history = hotclub.History(size=10_000, ttl=timedelta(hours=1), durable=True)


@pytest.fixture(autouse=True)
def _site(declare: Callable[..., None], hotclub_settings: Callable[..., None]) -> None:
    declare(Short, Deep)
    hotclub_settings(ALLOW_ANONYMOUS=True)


async def grown(channel: str, published: int) -> str:
    """Publish so many, and return the channel's epoch."""
    for number in range(published):
        await hotclub.apublish(channel, number)
    return (await hotclub.ahistory(channel, limit=0)).top.epoch


@sync_to_async
def grow_old(channel: str, seconds: float) -> None:
    age = timedelta(seconds=seconds)
    Entry.objects.filter(stream__channel=channel).update(created=F("created") - age)


@pytest.mark.parametrize("transport", [*TRANSPORTS, *BY_THE_SERVER])
async def test_the_size_of_the_log_is_exact(serve: Serve, transport: str) -> None:
    port = (await serve()).port
    for published in (0, 1, KEPT, KEPT + 1, KEPT + 2):
        epoch = await grown(f"short:{published}", published)
        for offset in range(published + 2):
            told = await come_back(port, transport, f"short:{published}", epoch, offset)
            assert told == whole(offset, published, KEPT), (published, offset)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_lifetime_of_the_log_is_exact(serve: Serve, transport: str) -> None:
    """The first publication is a second short of its life, or beyond it; the second is younger."""
    port = (await serve()).port
    for elapsed, kept in ((-1, 2), (1, 1)):
        channel = f"short:{elapsed + 1}"
        await grown(channel, 1)
        await grow_old(channel, LIFETIME + elapsed - 0.1)
        epoch = await grown(channel, 1)
        for offset in range(4):
            told = await come_back(port, transport, channel, epoch, offset)
            assert told == whole(offset, 2, kept), (elapsed, offset)


@pytest.mark.parametrize("transport", [*TRANSPORTS, *BY_THE_SERVER])
async def test_the_epoch_of_another_log_recovers_nothing(serve: Serve, transport: str) -> None:
    port = (await serve()).port
    other = await grown("short:other", 1)
    await grown("short:this", 1)
    for epoch in (other, "_"):
        for offset in (0, 1, 2):
            told = await come_back(port, transport, "short:this", epoch, offset)
            assert told == Outcome(recovered=False), (epoch, offset)


async def test_everybody_has_everything_once_whoever_comes_and_goes(serve: Serve) -> None:
    """Published here, and by the rows of another process: those come later than the log has them."""
    port = (await serve()).port

    async def here(number: int) -> Any:
        return await hotclub.apublish("deep:a", number)

    @sync_to_async
    def elsewhere(number: int) -> Any:
        return sql.append("deep:a", Message(data=encode_payload(number)), Retention(size=10_000, ttl=3600))

    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(await WireClient.connected(port)) for _ in range(6)]
        churners = await churn(clients, "deep:a", [here, elsewhere], rounds=12, each=60)
    assert min(sum(churner.live for churner in churners), sum(churner.recovered for churner in churners)) > 20
