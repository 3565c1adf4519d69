"""Memory that a client fills with names of its own choice is given back, whatever the client does with the names."""

import gc
import time
import tracemalloc
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import pytest
from msgspec import Raw

from hotclub.engine.broker import idle
from hotclub.engine.broker.base import HistoryQuery, Message
from hotclub.engine.broker.maps import MapMessage, MapQuery
from hotclub.engine.broker.memory import MemoryBroker
from hotclub.engine.broker.memory_map import MemoryMapBroker
from hotclub.engine.codes import Close
from hotclub.engine.errors import Disconnect
from hotclub.engine.node import Node
from hotclub.engine.port import SubscribeGrant
from hotclub.engine.presence.memory import MemoryPresence
from hotclub.engine.target import Target
from hotclub.engine.upkeep import Upkeep
from tests.engine.support import Club, MemoryClient
from tests.support.clock import Clock

NAMES: Final = 400
SLACK: Final = NAMES // 4
"""How many more elements may be left, for what the test itself and the loop do."""


class Churn:
    """A node whose time the test lets pass, and a client that uses every name once."""

    def __init__(self) -> None:
        self.club = Club()
        self.clock = Clock(time.monotonic())
        self.node = self.club.node = Node(
            self.club.application.bundle,
            make_broker=lambda handler: MemoryBroker(handler, clock=self.clock),
            make_maps=lambda handler: MemoryMapBroker(handler, clock=self.clock),
            presence=MemoryPresence(30.0, clock=self.clock),
        )
        self.node.channels.clock = self.node.channels.appearances._clock = self.clock
        self.upkeep = Upkeep(self.node.channels, self.node.pulse, clock=self.clock)

    def client(self) -> MemoryClient:
        client = self.club.client()
        client.session.clock = self.clock
        return client

    async def connect(self, user: str) -> MemoryClient:
        client = self.client()
        await client.call(connect={"data": {"user": user, "login": user}})
        return client

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and let the upkeep run to its end as often as it needs."""
        for _ in range(2):
            self.clock.now += seconds
            await self.work()

    async def work(self) -> None:
        """Let the upkeep run."""
        await self.node.channels.appearances.expire()
        for _, work in self.upkeep.work():
            await work()
        await self.node.channels.settle()

    async def rest(self) -> None:
        """Let everything expire, and forget what the test has noted."""
        await self.pass_time(1_000.0)
        application = self.club.application
        for noted in (application.asked, application.left, application.ended, application.seen, application.polls):
            noted.clear()
        gc.collect()


def elements() -> int:
    """How many elements all containers of this process have together.

    Not in bytes, because a dictionary keeps the room that it had when it was largest.
    """
    tracked = gc.get_objects()
    plain = {id(found): found for owner in tracked for found in gc.get_referents(owner) if type(found) is dict}
    others = (len(found) for found in tracked if type(found) in (list, set, deque, OrderedDict, Counter))
    return sum(map(len, plain.values())) + sum(others)


@pytest.fixture
async def churn(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Churn]:
    monkeypatch.setattr(idle, "MOST", 10)
    churn = Churn()
    yield churn
    await churn.node.stop()


Use = Callable[[Churn, MemoryClient, str], Awaitable[Any]]


async def subscribe(churn: Churn, client: MemoryClient, name: str) -> None:
    for kind in ("plain", "log", "here", "delta", "tagged", "compact", "cache"):
        channel = f"{kind}:{name}"
        await client.call(subscribe={"channel": channel})
        await client.call(unsubscribe={"channel": channel})


async def subscribe_to_keys(churn: Churn, client: MemoryClient, name: str) -> None:
    for kind, number in (("map", 1), ("kept-map", 1), ("ranked", 1), ("crowd", 1), ("poll", 4), ("users", 3)):
        channel = f"{kind}:{name}"
        await client.call(subscribe={"channel": channel, "type": number})
        await client.call(unsubscribe={"channel": channel})


async def publish(churn: Churn, client: MemoryClient, name: str) -> None:
    await client.call(publish={"channel": f"open:{name}", "data": {"n": name}})
    await client.call(publish={"channel": f"open-map:{name}", "key": name, "data": 1, "type": 1})
    await client.call(history={"channel": f"log:{name}", "limit": 10})
    await client.call(presence={"channel": f"here:{name}"})
    await client.call(presence_stats={"channel": f"here:{name}"})


async def publish_with_keys(churn: Churn, client: MemoryClient, name: str) -> None:
    channels = churn.node.channels
    for channel in (f"log:{name}", f"plain:{name}"):
        await channels.publish(channel, Message(data=Raw(b"1"), idempotency_key=name, version=1, version_epoch=name))
    channels.is_first(f"plain:{name}", name)
    change = MapMessage(key=name, data=Raw(b"1"), idempotency_key=name)
    for channel in (f"map:{name}", f"kept-map:{name}", "map:one"):
        await channels.maps.change(channel, change)
        await channels.maps.read(channel, MapQuery(limit=10))
    await channels.maps.change("kept-map:one", change)
    await channels.maps.clear(f"kept-map:{name}")
    await channels.maps.change("kept-map:one", MapMessage(key=name, removed=True))
    await channels.history(f"kept:{name}", HistoryQuery(limit=10))
    await channels.remove_history(f"log:{name}")


async def follow_keys(churn: Churn, client: MemoryClient, name: str) -> None:
    channel = f"poll:{name}"
    await client.call(subscribe={"channel": channel, "type": 4})
    batch = {"signature": "600", "items": [{"key": name}]}
    await client.call(sub_refresh={"channel": channel, "type": 1, "track": [batch]})
    await client.call(unsubscribe={"channel": channel})


async def come_and_go(churn: Churn, client: MemoryClient, name: str) -> None:
    guest = await churn.connect(name)
    await guest.call(subscribe={"channel": f"here:{name}"})
    await churn.node.subscribe(Target(user_id=name), f"log:{name}", SubscribeGrant())
    await guest.leave()
    guest = await churn.connect(name)
    await guest.call(subscribe={"channel": f"here:{name}"})
    churn.node.disconnect(Target(user_id=name), Disconnect(Close.FORCE_DISCONNECT))
    await guest.leave(goodbye=True)


USES: Final[list[Use]] = [subscribe, subscribe_to_keys, publish, publish_with_keys, follow_keys, come_and_go]


@pytest.mark.parametrize("use", USES)
async def test_names_leave_nothing_behind(churn: Churn, use: Use) -> None:
    client = await churn.connect("one")

    async def use_names(prefix: str, count: int) -> None:
        for number in range(count):
            churn.clock.now += 0.1
            await use(churn, client, f"{prefix}{number}")
            client.line.received.clear()
            client.line.frames.clear()

    await use_names("warm", 50)
    await churn.rest()
    before = elements()
    await use_names("name", NAMES)
    await churn.rest()
    assert elements() - before < SLACK


@pytest.mark.soak
async def test_ten_minutes_with_new_names_end_where_they_began(churn: Churn) -> None:
    client = await churn.connect("one")
    rounds = 0

    async def use_name() -> None:
        nonlocal rounds
        rounds += 1
        for use in USES:
            # A round is a second: the first thousand are more than the time for which anything is kept, and after that
            # no dictionary needs more room than it has.
            churn.clock.now += 1 / len(USES)
            await use(churn, client, f"name{rounds}")
        client.line.received.clear()
        client.line.frames.clear()
        if not rounds % 10:
            await churn.work()

    tracemalloc.start()
    for _ in range(1_000):
        await use_name()
    await churn.rest()
    before = tracemalloc.get_traced_memory()[0]
    end = time.monotonic() + 600
    while time.monotonic() < end:
        await use_name()
    await churn.rest()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert abs(after - before) < before * 0.05
