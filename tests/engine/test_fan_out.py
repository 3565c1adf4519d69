"""A publication reaches a few readers at once and very many in turns, in order, and none that was not meant."""

from itertools import count
from typing import Final

import pytest
from msgspec import Raw

from hotclub.engine import fan_out
from hotclub.engine.model import Publication
from tests.engine.support import Club, MemoryClient

CROWD: Final = 20
CHANNEL: Final = "plain:a"


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every turn is over after four readers."""
    clock = count(0.0)
    monkeypatch.setattr(fan_out, "_SOME", 4)
    monkeypatch.setattr("hotclub.engine.turns.perf_counter", lambda: next(clock))


async def reader(club: Club, user: str = "") -> MemoryClient:
    client = await club.connect(user)
    assert "subscribe" in await client.call(subscribe={"channel": CHANNEL})
    return client


def data(client: MemoryClient) -> list[int]:
    """What has been pushed so far."""
    return [push["data"] for push in client.pushes("pub")]


def publish(club: Club, number: int) -> None:
    club.node.hub.deliver(CHANNEL, Publication(data=Raw(b"%d" % number)), "")


@pytest.mark.usefixtures("slow")
async def test_publications_to_very_many_readers_stay_in_order() -> None:
    club = Club()
    readers = [await reader(club) for _ in range(CROWD)]
    for number in range(3):
        publish(club, number)
    assert [bool(client.session.outbox._frames) for client in readers] == [True] * 4 + [False] * (CROWD - 4)
    await club.node.channels.settle()
    publish(club, 3)
    await club.node.channels.settle()
    for client in readers:
        await client.flushed()
        assert data(client) == [0, 1, 2, 3]


@pytest.mark.usefixtures("slow")
async def test_only_those_who_were_there_and_are_still_there_get_what_waits() -> None:
    club = Club()
    readers = [await reader(club) for _ in range(CROWD)]
    publish(club, 0)
    publish(club, 1)
    last = readers[-1]
    place = last.session.subscribers[CHANNEL]
    last.session.leave(place)
    again = last.session.enter(place.resolved)
    again.buffer = None
    publish(club, 2)
    await club.node.channels.settle()
    await last.flushed()
    assert data(last) == [2]
    await readers[0].flushed()
    assert data(readers[0]) == [0, 1, 2]


@pytest.mark.usefixtures("slow")
async def test_a_flood_of_publications_to_very_many_readers_waits_no_longer_than_it_may(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fan_out, "_MOST_WAITING", 3)
    club = Club()
    readers = [await reader(club) for _ in range(CROWD)]
    for number in range(10):
        publish(club, number)
    assert len(club.node.hub._fan_outs._waiting[CHANNEL]) == 3
    await club.node.channels.settle()
    assert not club.node.hub._fan_outs._waiting
    for client in readers:
        await client.flushed()
        assert data(client) == [*range(10)]


@pytest.mark.usefixtures("slow")
async def test_a_turn_ends_with_a_difference_that_took_long() -> None:
    """Readers that hold different bases need a difference each."""
    club = Club()
    await club.node.start()
    readers = [await club.connect() for _ in range(3)]
    for number, client in enumerate(readers):
        await client.call(subscribe={"channel": "delta:a", "delta": "fossil"})
        place = client.session.subscribers["delta:a"]
        place.rebase(Publication(data=Raw(b'"%s"' % (b"%d" % number * 50)), offset=number + 1))
    hub = club.node.hub
    epoch, offset = readers[0].session.subscribers["delta:a"].epoch, readers[0].session.subscribers["delta:a"].offset
    hub.deliver("delta:a", Publication(data=Raw(b'"%s"' % (b"x" * 50)), offset=offset + 1), epoch)
    assert [bool(client.session.outbox._frames) for client in readers] == [True, True, False]
    await club.node.channels.settle()
    for client in readers:
        await client.flushed()
        assert len(client.pushes("pub")) == 1
    await club.node.stop()
