"""Nothing keeps the event loop for long, however many members, keys, channels or connections there are."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import pytest
from msgspec import Raw

from hotclub.engine.broker.base import HistoryQuery, Message, Retention
from hotclub.engine.broker.maps import MapMessage, MapQuery
from hotclub.engine.codes import Close
from hotclub.engine.errors import Disconnect, Unsubscribed
from hotclub.engine.limits import Limits
from hotclub.engine.model import ClientInfo, Position
from hotclub.engine.port import PolledItem
from hotclub.engine.protocol.connection import State
from hotclub.engine.subscriber import PollSubscriber, Tracked
from hotclub.engine.target import Target
from hotclub.engine.transports.base import conduct
from tests.engine.support import Club, MemoryClient
from tests.support.stalls import longest_turn

LONGEST: Final = 0.010
"""Seconds of CPU that one turn may take."""
TRIES: Final = 3
"""How often an operation may be tried: other processes empty the caches of this one, which costs it CPU time."""
CROWD: Final = 3_000
KEYS: Final = 20_000
NAMES: Final = 50_000
ROW: Final = Message(data=Raw(b'{"n":1}'))


class Stage:
    """A node without upkeep of its own, and connections whose reader throws everything away."""

    def __init__(self) -> None:
        self.club = Club(Limits(presence_grace=0.0))
        self.node = self.club.node
        self.tasks: list[asyncio.Task[None]] = []

    async def enter(self, channel: str, count: int = CROWD, *, appear: bool = True) -> None:
        """Connections of many users that are live in the channel, each with the task of its transport."""
        resolved = self.node.channels.resolve(channel)
        for number in range(count):
            client = self.club.client()
            session, gone = client.session, asyncio.Event()
            client.line.write = _nothing  # type: ignore[assignment]
            client.line.close = partial(_set, gone)  # type: ignore[method-assign]
            session.client.user_id, session.connected, session.state = str(number % 500), True, State.CONNECTED
            self.node.hub.peers.expect(session)
            self.node.hub.peers.add(session)
            session.start_pulse()
            self.tasks.append(asyncio.create_task(conduct(session, client.dispatcher, _until(gone))))
            place = session.enter(resolved)
            place.buffer = None
            if appear and resolved.spec.visible:
                await self.node.channels.appearances.appear(session.client, place)
        await self.node.channels.link(resolved)
        await self.settle()

    async def settle(self) -> None:
        await self.node.channels.settle()
        for _ in range(20):
            await asyncio.sleep(0)

    async def connect(self) -> MemoryClient:
        return await self.club.connect("reader")


def _nothing(_frames: object) -> None:
    """Throw the frames away."""


def _set(event: asyncio.Event, _reason: object) -> None:
    event.set()


async def _until(event: asyncio.Event) -> None:
    await event.wait()


Work = Callable[[], Awaitable[object]]


async def fan_out(stage: Stage) -> Work:
    await stage.enter("plain:a")
    return lambda: stage.node.channels.publish("plain:a", ROW)


async def fan_out_to_a_great_many(stage: Stage) -> Work:
    await stage.enter("plain:a", 1)
    resolved = stage.node.channels.resolve("plain:a")
    for _ in range(KEYS * 2):
        client = stage.club.client()
        client.line.write = _nothing  # type: ignore[assignment]
        client.session.enter(resolved).buffer = None

    async def work() -> None:
        for _ in range(2):
            await stage.node.channels.publish("plain:a", ROW)

    return work


async def follow(stage: Stage, keys: int, followers: int) -> None:
    """Connections that follow the same keys of a shared poll."""
    resolved, polls = stage.node.channels.resolve("poll-plain:a"), stage.node.channels.polls
    for _ in range(followers):
        client = stage.club.client()
        client.line.write = _nothing  # type: ignore[assignment]
        place = client.session.enter(resolved)
        place.buffer = None
        assert isinstance(place, PollSubscriber)
        for start in range(0, keys, 500):
            some = range(start, min(start + 500, keys))
            polls.track(place, {f"{key:06d}": Tracked(0, math.inf) for key in some})
        await asyncio.sleep(0)
    await stage.settle()


async def polled_by_very_many(stage: Stage) -> Work:
    await follow(stage, 1, KEYS)
    polls = stage.node.channels.polls

    async def work() -> None:
        polls.publish("poll-plain:a", PolledItem(key="000000", data=Raw(b"1")))
        await stage.settle()
        await polls._channels["poll-plain:a"].expire(0.0)
        polls.publish("poll-plain:a", PolledItem(key="000000", removed=True))

    return work


async def polled_with_very_many_keys(stage: Stage) -> Work:
    await follow(stage, KEYS, 2)
    polls = stage.node.channels.polls

    async def work() -> None:
        await polls.refresh("poll-plain:a")
        await polls._channels["poll-plain:a"].expire(0.0)

    return work


async def pings(stage: Stage) -> Work:
    await stage.enter("plain:a")
    node = stage.node
    node.pulse._due = [(0.0, number) for _, number in node.pulse._due]
    return node.upkeep.beat


async def disconnect(stage: Stage) -> Work:
    await stage.enter("here:a", CROWD // 6)

    async def work() -> None:
        stage.node.disconnect(Target(), Disconnect(Close.FORCE_DISCONNECT))
        await asyncio.wait(stage.tasks)

    return work


async def unsubscribe(stage: Stage) -> Work:
    await stage.enter("here:a", CROWD // 6)

    async def work() -> None:
        stage.node.unsubscribe(Target(), "here:a", Unsubscribed())

    return work


async def unsubscribe_members_of_maps(stage: Stage) -> Work:
    await stage.enter("crowd:a")

    async def work() -> None:
        stage.node.unsubscribe(Target(), "crowd:a", Unsubscribed())

    return work


async def a_gap_of_everybody(stage: Stage) -> Work:
    await stage.enter("position:a")
    for member in stage.node.hub.members("position:a"):
        member.epoch = "another"
    return lambda: stage.node.channels.publish("position:a", ROW)


async def renew(stage: Stage) -> Work:
    await stage.enter("crowd:a")
    return stage.node.channels.appearances.renew


async def join(stage: Stage) -> Work:
    await stage.enter("here:a", appear=False)
    client = await stage.connect()
    return lambda: client.call(subscribe={"channel": "here:a"})


async def members(stage: Stage) -> Work:
    for number in range(KEYS):
        await stage.node.presence.touch("here:a", ClientInfo(str(number % 500), f"client {number}"))
    client = await stage.connect()
    client.line.write = _nothing  # type: ignore[assignment]
    client.send(presence={"channel": "here:a"})
    client.send(presence_stats={"channel": "here:a"})
    return stage.settle


async def history(stage: Stage) -> Work:
    kept, broker = Retention(size=NAMES, ttl=300.0), stage.node.broker
    epoch = (await broker.publish("deep:a", ROW, kept)).epoch
    for _ in range(NAMES):
        await broker.publish("deep:a", ROW, kept)
    middle = Position(epoch, NAMES // 2)

    async def work() -> None:
        for since in (None, middle):
            for reverse in (False, True):
                for limit in (300, -1):
                    query = HistoryQuery(limit=limit, since=since, reverse=reverse)
                    await broker.history("deep:a", query, kept)
                    await asyncio.sleep(0)
        await broker.remove_history("deep:a")

    return work


async def keys(stage: Stage) -> Work:
    maps = stage.node.channels.maps
    for number in range(KEYS):
        await maps.change("ranked:a", MapMessage(key=f"{number * 7919 % KEYS:08d}", score=number))
    await maps.broker.subscribe("ranked:a")

    async def work() -> None:
        for number in range(100):
            await maps.change("ranked:a", MapMessage(key=f"new {number}", score=number))
            await maps.change("ranked:a", MapMessage(key=f"{number:08d}", removed=True))
            await maps.read("ranked:a", MapQuery(limit=100))
            await asyncio.sleep(0)
        await maps.read("ranked:a", MapQuery())
        await maps.clear("ranked:a")

    return work


async def broadcast(stage: Stage) -> Work:
    names = [f"log:{number}" for number in range(NAMES // 5)]

    async def work() -> None:
        await stage.node.channels.publish_all((name, ROW) for name in names)

    return work


async def sweep(stage: Stage) -> Work:
    for number in range(NAMES):
        await stage.node.broker.publish(f"log:{number}", ROW, Retention(size=1, ttl=0.0))
    _, work = stage.node.upkeep.work()[4]
    return work


async def many_channels(stage: Stage) -> Work:
    client = await stage.connect()
    template = client.session.enter(stage.node.channels.resolve("log:a"))
    template.buffer = None
    stage.node.hub._channels.update({f"log:{number}": {"c": template} for number in range(NAMES)})

    async def work() -> None:
        stage.node.info()
        await asyncio.sleep(0)
        stage.node.hub.channels()
        await stage.node.upkeep.positions.run()
        stage.node.hub._channels.clear()

    return work


OPERATIONS: Final = [
    fan_out,
    fan_out_to_a_great_many,
    polled_by_very_many,
    polled_with_very_many_keys,
    pings,
    disconnect,
    unsubscribe,
    unsubscribe_members_of_maps,
    a_gap_of_everybody,
    renew,
    join,
    members,
    history,
    keys,
    broadcast,
    sweep,
    many_channels,
]


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_no_turn_of_the_loop_is_long(operation: Callable[[Stage], Awaitable[Work]]) -> None:
    turns: list[float] = []
    while not turns or (min(turns) >= LONGEST and len(turns) < TRIES):
        turns.append(await longest_of(operation))
    assert min(turns) < LONGEST


async def longest_of(operation: Callable[[Stage], Awaitable[Work]]) -> float:
    """The longest turn of the loop, in seconds, in one try of the operation."""
    stage = Stage()
    work = await operation(stage)
    async with longest_turn() as longest:
        await work()
        await stage.settle()
    stage.node.disconnect(Target(), Disconnect(Close.SHUTDOWN))
    if stage.tasks:
        await asyncio.wait(stage.tasks)
    await stage.settle()
    return longest.turn
