"""A server process: its node, its threads, and what other processes ask of it."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from msgspec import Raw

import hotclub
from hotclub.channels.registry import Declarations, Registry
from hotclub.conf.config import Config
from hotclub.engine.broker.base import HistoryQuery, Retention
from hotclub.orders import table
from hotclub.orders.messages import Publish
from hotclub.orders.send import send
from hotclub.runtime.node import current_node
from hotclub.serving.service import Service

pytestmark = pytest.mark.django_db(transaction=True)


class Log(hotclub.Channel):
    pattern = "log:<int:number>"
    history = hotclub.History(size=7, ttl=timedelta(seconds=90), durable=True)


class Ticker(hotclub.Channel):
    pattern = "ticker"
    history = hotclub.History(size=5, ttl=timedelta(hours=1))


def service() -> Service:
    return Service(Config(relay_interval=0.02), Registry(Declarations((Log, Ticker)), Config()))


async def tops(node: Any, count: int) -> list[bytes]:
    """The ticker's publications, once there are that many."""
    async with asyncio.timeout(5):
        while True:
            page = await node.history("ticker", HistoryQuery(limit=-1))
            if page.top.offset >= count:
                return [bytes(item.data) for item in page.publications]
            await asyncio.sleep(0.01)


async def test_a_service_is_the_process_s_node_while_it_runs() -> None:
    made = service()
    assert current_node() is None

    await made.start()
    await made.start()
    assert current_node() is made.node
    await made.stop()

    assert current_node() is None


async def test_two_services_fit_in_one_process() -> None:
    first, second = service(), service()
    await first.start()
    await second.start()

    await first.stop()

    assert current_node() is second.node
    await second.stop()


async def test_what_another_process_publishes_arrives_in_order_and_what_it_cannot_is_dropped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = service()
    await made.start()

    def publish() -> None:
        for number in range(20):
            send(Publish("ticker" if number != 5 else "nowhere", Raw(str(number).encode())))

    await sync_to_async(publish)()

    assert await tops(made.node, 19) == [b"15", b"16", b"17", b"18", b"19"]
    assert "'nowhere' was dropped" in caplog.text
    await made.stop()


async def test_an_order_of_its_own_is_not_performed_twice() -> None:
    made = service()
    await made.start()

    await sync_to_async(table.send)(Publish("ticker", Raw(b"1")), made.node.id)
    await sync_to_async(table.send)(Publish("ticker", Raw(b"2")), "another")

    assert await tops(made.node, 1) == [b"2"]
    await made.stop()


async def test_a_failing_look_at_the_sessions_does_not_end_the_looking(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = Service(Config(login_check=0.01), Registry(Declarations(), Config()))
    looks: asyncio.Queue[None] = asyncio.Queue()

    async def fail(_clients: object) -> None:
        looks.put_nowait(None)
        raise RuntimeError("no database")

    monkeypatch.setattr(made, "check_sessions", fail)
    await made.start()

    async with asyncio.timeout(5):
        await looks.get()
        await looks.get()

    assert "Sessions could not be checked" in caplog.text
    await made.stop()


def test_retention_is_known_of_durable_channels_only() -> None:
    made = service()

    assert made._retention_of("log:1") == Retention(size=7, ttl=90.0)
    assert made._retention_of("ticker") is None
    assert made._retention_of("nowhere") is None
