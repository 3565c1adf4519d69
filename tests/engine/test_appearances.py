"""Who is visible in a channel: joins and leaves, a lost connection that comes back, and one that stays silent."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

import pytest

from hotclub.engine.codes import LINGERING, Close
from hotclub.engine.errors import Disconnect, Unsubscribed
from hotclub.engine.limits import Limits
from hotclub.engine.target import Target
from hotclub.engine.upkeep import Upkeep
from tests.engine.support import Club, MemoryClient
from tests.support.clock import Clock

CHANNEL: Final = "here:a"


@dataclass
class Stage:
    """A node whose time the test lets pass, and an observer of one of its channels."""

    club: Club = field(default_factory=Club)
    clock: Clock = field(default_factory=lambda: Clock(monotonic()))

    def __post_init__(self) -> None:
        node = self.club.node
        node.channels.appearances._clock = self.clock
        self.upkeep = Upkeep(node.channels, node.pulse, clock=self.clock)

    async def enter(self, user: str = "", channel: str = CHANNEL, **data: object) -> MemoryClient:
        """A connection that is subscribed to the channel."""
        client = self.club.client()
        client.session.clock = self.clock
        assert "connect" in await client.call(connect={"data": {"user": user, **data}})
        kind = {"type": 1} if channel.startswith("crowd") else {}
        assert "subscribe" in await client.call(subscribe={"channel": channel, **kind})
        return client

    async def observe(self) -> MemoryClient:
        """A connection that sees the joins and leaves from now on, and needs not answer."""
        observer = await self.enter("observer")
        self.club.node.pulse.remove(observer.session)
        await observer.pushed("join")
        observer.line.received.clear()
        self.club.application.seen.clear()
        return observer

    async def pass_time(self, seconds: float) -> None:
        """Let time pass in the steps of the upkeep."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.now += 0.5
            await self.upkeep.beat()
            await self.club.node.channels.appearances.expire()
        await self.club.node.channels.settle()

    async def members(self, channel: str = CHANNEL) -> list[str]:
        """The ids of the connections in the channel; the numbers must agree."""
        members = await self.club.node.presence_members(channel)
        stats = await self.club.node.presence_stats(channel)
        assert stats.num_clients == len(members)
        assert stats.num_users == len({info.user for info in members.values()})
        return list(members)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    await stage.club.node.stop()


def seen(observer: MemoryClient) -> list[tuple[str, str]]:
    """The joins and leaves that an observer was pushed, with the ids of the connections."""
    found: list[tuple[str, str]] = []
    for message in observer.line.received:
        push: dict[str, Any] = message.get("push", {})
        found += [(kind, push[kind]["info"]["client"]) for kind in ("join", "leave") if kind in push]
    return found


async def test_nobody_sees_that_a_lost_connection_comes_back_in_time(stage: Stage) -> None:
    first = await stage.enter("ann", login="laptop")
    observer = await stage.observe()
    await first.leave()
    assert first.session.id in await stage.members()
    await stage.pass_time(4.5)
    second = await stage.enter("ann", login="laptop")
    assert sorted(await stage.members()) == sorted([observer.session.id, second.session.id])
    await stage.pass_time(6)
    await observer.flushed()
    assert seen(observer) == []
    assert stage.club.application.seen == []


async def test_the_members_see_a_leave_when_a_lost_connection_does_not_come_back(stage: Stage) -> None:
    client = await stage.enter("ann")
    observer = await stage.observe()
    await client.leave()
    await stage.pass_time(4.5)
    assert client.session.id in await stage.members()
    await stage.pass_time(1)
    assert await stage.members() == [observer.session.id]
    await observer.flushed()
    assert seen(observer) == [("leave", client.session.id)]
    assert stage.club.application.seen == [("ann", False)]


async def test_a_member_that_came_back_leaves_under_every_id_by_which_it_is_known(stage: Stage) -> None:
    first = await stage.enter("ann")
    observer = await stage.observe()
    await first.leave()
    second = await stage.enter("ann")
    await second.leave(goodbye=True)
    await observer.flushed()
    assert seen(observer) == [("leave", first.session.id), ("leave", second.session.id)]
    assert await stage.members() == [observer.session.id]


@pytest.mark.parametrize("end", ["goodbye", "unsubscribe", "expelled", "disconnected", "signed out", "anonymous"])
async def test_the_members_see_at_once_who_leaves_in_earnest(stage: Stage, end: str) -> None:
    client = await stage.enter("" if end == "anonymous" else "ann")
    observer = await stage.observe()
    node, target = stage.club.node, Target(client_id=client.session.id)
    if end == "unsubscribe":
        await client.call(unsubscribe={"channel": CHANNEL})
    elif end == "expelled":
        node.unsubscribe(target, CHANNEL, Unsubscribed())
    elif end in ("disconnected", "signed out"):
        node.disconnect(target, Disconnect(Close.FORCE_DISCONNECT if end == "signed out" else Close.FORCE_RECONNECT))
        await client.leave()
    else:
        await client.leave(goodbye=end == "goodbye")
    await node.channels.settle()
    assert await stage.members() == [observer.session.id]
    await observer.flushed()
    assert seen(observer) == [("leave", client.session.id)]


@pytest.mark.parametrize("code", sorted(LINGERING - {Close.NO_PONG}))
async def test_a_member_lingers_when_the_server_ends_a_connection_that_is_to_come_back(stage: Stage, code: int) -> None:
    client = await stage.enter("ann")
    observer = await stage.observe()
    client.session.close(Disconnect(code))
    await client.leave()
    await stage.enter("ann")
    await stage.pass_time(6)
    await observer.flushed()
    assert seen(observer) == []


@pytest.mark.parametrize("other", [{"login": "phone"}, {"info": {"name": "Ann B."}}, {"user": "bob"}])
async def test_another_login_user_or_info_is_another_member(stage: Stage, other: dict[str, Any]) -> None:
    data: dict[str, Any] = {"user": "ann", "login": "laptop", "info": {"name": "Ann"}}
    first = await stage.enter(**data)
    observer = await stage.observe()
    await first.leave()
    second = await stage.enter(**{**data, **other})
    await stage.pass_time(6)
    await observer.flushed()
    assert seen(observer) == [("join", second.session.id), ("leave", first.session.id)]


async def test_two_open_connections_of_one_login_are_two_members(stage: Stage) -> None:
    observer = await stage.observe()
    tabs = [await stage.enter("ann", login="laptop") for _ in range(2)]
    await tabs[0].leave()
    third = await stage.enter("ann", login="laptop")
    assert sorted(await stage.members()) == sorted(client.session.id for client in (observer, tabs[1], third))
    await tabs[1].leave(goodbye=True)
    assert sorted(await stage.members()) == sorted([observer.session.id, third.session.id])
    await observer.flushed()
    first, second = (client.session.id for client in tabs)
    assert seen(observer) == [("join", first), ("join", second), ("leave", second)]


async def test_each_of_two_lost_connections_is_replaced_once(stage: Stage) -> None:
    tabs = [await stage.enter("ann") for _ in range(2)]
    observer = await stage.observe()
    for tab in tabs:
        await tab.leave()
    again = [await stage.enter("ann") for _ in range(3)]
    assert len(await stage.members()) == 4
    await stage.pass_time(6)
    await observer.flushed()
    assert seen(observer) == [("join", again[2].session.id)]


async def test_a_client_may_be_back_before_its_lost_connection_is_wholly_ended(stage: Stage) -> None:
    first = await stage.enter("ann")
    observer = await stage.observe()
    gate = stage.club.application.hold("rpc", "echo")
    first.send(rpc={"method": "echo"})
    await gate.entered.wait()
    first.session.lost()
    second = await stage.enter("ann")
    gate.open()
    await first.leave()
    await stage.pass_time(6)
    await observer.flushed()
    assert seen(observer) == []
    assert sorted(await stage.members()) == sorted([observer.session.id, second.session.id])


async def test_the_maps_of_members_keep_the_user_of_a_lost_connection(stage: Stage) -> None:
    first = await stage.enter("ann", "crowd:a")
    await first.leave()
    second = await stage.enter("ann", "crowd:a")
    stats = stage.club.node.channels.maps.stats
    assert (await stats("clients:crowd")).num_keys == (await stats("users:crowd")).num_keys == 1
    await second.leave()
    await stage.pass_time(6)
    assert (await stats("clients:crowd")).num_keys == (await stats("users:crowd")).num_keys == 0


@pytest.mark.parametrize("user", ["ann", ""])
@pytest.mark.parametrize("phase", [0.0, 0.5, 0.999])
async def test_a_client_that_falls_silent_is_gone_within_twenty_seconds(stage: Stage, user: str, phase: float) -> None:
    client = await stage.enter(user)
    observer = await stage.observe()
    node = stage.club.node
    pinged = len(client.line.frames)
    while len(client.line.frames) == pinged:
        await stage.pass_time(0.5)
        await client.flushed()
        pinged += 1
    node.pulse.pong(client.session)
    await stage.pass_time(phase)
    began = stage.clock.now
    while client.session.id in await stage.members():
        await stage.pass_time(0.5)
        if client.session.closed:
            await client.leave()
    assert stage.clock.now - began <= 20
    await observer.flushed()
    assert seen(observer) == [("leave", client.session.id)]


async def test_members_that_linger_are_withdrawn_when_the_node_stops(stage: Stage) -> None:
    client = await stage.enter("ann")
    presence = stage.club.node.presence
    stage.club.node.disconnect(Target(), Disconnect(Close.SHUTDOWN))
    await client.leave()
    assert client.session.id in await presence.members(CHANNEL)
    await stage.club.node.stop()
    assert await presence.members(CHANNEL) == {}


async def test_nothing_is_kept_of_members_that_have_gone(stage: Stage) -> None:
    for number in range(50):
        client = await stage.enter(f"user {number}", login=str(number))
        await client.leave()
        if number % 2:
            await (await stage.enter(f"user {number}", login=str(number))).leave(goodbye=True)
    await stage.pass_time(6)
    kept = stage.club.node.channels.appearances
    assert not any((kept._visible, kept._places, kept._names, kept._lingering, kept._due))


async def test_without_grace_nobody_lingers() -> None:
    stage = Stage(Club(Limits(presence_grace=0.0)))
    client = await stage.enter("ann")
    await client.leave()
    assert await stage.members() == []


async def test_a_process_that_stood_still_reads_the_answers_before_it_ends_connections(stage: Stage) -> None:
    client = await stage.enter("ann")
    stage.club.node.pulse.tick(stage.clock.now + 12)
    stage.clock.now += 60
    await stage.upkeep.beat()
    assert not client.session.closed
    stage.clock.now += 0.5
    await stage.upkeep.beat()
    assert client.session.closed
