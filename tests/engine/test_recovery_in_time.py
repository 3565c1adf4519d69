"""Where what is kept ends in time, and what a client that comes back around then is told."""

import pytest
from msgspec import Raw

from hotclub.engine.broker.base import HistoryQuery, Message
from hotclub.engine.broker.memory import MemoryBroker
from hotclub.engine.model import Position
from hotclub.engine.port import ChannelSpec
from hotclub.engine.recovery import recover
from tests.support.app import CHANNELS


@pytest.mark.parametrize(
    ("elapsed", "asked", "recovered"),
    [
        (-1, 0, True),
        (0, 0, False),
        (1, 0, False),
        (-1, 1, True),
        (0, 1, True),
        (1, 1, True),
        (0, 2, True),
        (1, 2, True),
    ],
)
async def test_the_end_of_a_lifetime_is_exact(elapsed: int, asked: int, recovered: bool) -> None:
    """The first publication is as old as the retention lets it become, give or take a second; the second is newer."""
    now = 0.0
    spec: ChannelSpec = CHANNELS["log"]
    broker = MemoryBroker(lambda *_: None, clock=lambda: now)
    await broker.publish("ch", Message(data=Raw(b"1")), spec.retention)
    now = 10.0
    await broker.publish("ch", Message(data=Raw(b"2")), spec.retention)
    now = spec.retention.ttl + elapsed
    page = await broker.history("ch", HistoryQuery(limit=300, since=Position("", asked)), spec.retention)
    outcome = recover(Position(page.top.epoch, asked), page.top, page.publications)
    assert outcome.recovered is recovered
    assert [item.offset for item in outcome.publications] == (list(range(asked + 1, 3)) if recovered else [])
