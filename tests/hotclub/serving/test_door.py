"""The door without a server: who is let in, who is dropped for whom, and how many files are left for others."""

import asyncio

import pytest

from hotclub.conf.values import ServerLimits
from hotclub.serving.door import Door, Pass, most_connections
from tests.support.processes import poll_until


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Visitor:
    """A connection that leaves when it is dropped."""

    def __init__(self, door: Door, address: str) -> None:
        self.dropped = False
        self.passed: Pass | None = door.enter(self, address)

    @classmethod
    def silent(cls, door: Door, address: str) -> "Visitor":
        visitor = cls(door, address)
        if visitor.passed is not None:
            visitor.passed.falls_silent()
        return visitor

    def drop(self) -> None:
        assert self.passed is not None
        self.dropped = True
        self.passed.leave()


@pytest.mark.parametrize(
    ("wanted", "files", "most"),
    [
        (None, 256, 192),
        (None, 1_024, 768),
        (None, 20_000, 17_952),
        (None, 1_048_576, 1_046_528),
        (None, 30, 1),
        (None, None, 63_488),
        (100, 256, 100),
        (100_000, 256, 192),
    ],
)
def test_files_are_left_for_databases_and_logs(wanted: int | None, files: int | None, most: int) -> None:
    assert most_connections(wanted, files) == most


def test_an_address_has_three_quarters_of_the_connections_or_what_the_settings_say() -> None:
    for limits, most in ((ServerLimits(sockets=8), 6), (ServerLimits(sockets_per_address=2), 2)):
        door = Door(limits)
        assert [Visitor(door, "10.0.0.1").passed is not None for _ in range(8)] == [True] * most + [False] * (8 - most)
        assert Visitor(door, "10.0.0.2").passed is not None


def test_a_trusted_proxy_may_take_every_connection_and_is_never_dropped() -> None:
    door = Door(ServerLimits(sockets=4, silent_per_address=1), ("10.0.0.0/8", "unix"))
    proxies = [Visitor.silent(door, address) for address in ("10.0.0.1", "10.0.0.1", "10.0.0.1", "")]
    assert all(proxy.passed is not None for proxy in proxies)
    assert Visitor(door, "192.0.2.1").passed is None
    assert not any(proxy.dropped for proxy in proxies)


def test_a_full_door_drops_the_newest_silent_connection_of_the_greediest_address() -> None:
    door = Door(ServerLimits(sockets=4))
    silent = [Visitor.silent(door, "10.0.0.1") for _ in range(3)]
    Visitor(door, "10.0.0.2")
    assert Visitor(door, "10.0.0.3").passed is not None
    assert [visitor.dropped for visitor in silent] == [False, False, True]
    assert len(door) == 4


def test_whoever_has_sent_its_request_is_not_dropped() -> None:
    door = Door(ServerLimits(sockets=4))
    busy = [Visitor.silent(door, "10.0.0.1") for _ in range(3)]
    Visitor(door, "10.0.0.2")
    for visitor in busy:
        assert visitor.passed is not None
        visitor.passed.speaks()
    assert Visitor(door, "10.0.0.3").passed is None
    busy[0].drop()
    busy[0].drop()
    assert len(door) == 3
    assert Visitor(door, "10.0.0.3").passed is not None


async def test_of_too_many_silent_connections_the_oldest_go_once_it_was_silent_for_long() -> None:
    clock = Clock()
    door = Door(ServerLimits(silent_per_address=2), clock=clock)
    silent = [Visitor.silent(door, "10.0.0.1") for _ in range(5)]
    await asyncio.sleep(0.1)
    assert not any(visitor.dropped for visitor in silent), "a storm is no attack"
    clock.now = 5.5
    Visitor.silent(door, "10.0.0.1")
    await poll_until(lambda: silent[3].dropped, "the oldest are dropped")
    assert [visitor.dropped for visitor in silent] == [True, True, True, True, False]


async def test_a_request_that_a_busy_loop_has_not_read_is_no_silence() -> None:
    clock = Clock()
    door = Door(ServerLimits(silent_per_address=2), clock=clock)
    storm = [Visitor.silent(door, "10.0.0.1") for _ in range(5)]
    clock.now = 5.5
    Visitor.silent(door, "10.0.0.1")
    for visitor in storm:
        assert visitor.passed is not None
        asyncio.get_running_loop().call_soon(visitor.passed.speaks)
    await asyncio.sleep(0.1)
    assert not any(visitor.dropped for visitor in storm)


def test_few_wait_to_be_turned_away() -> None:
    door = Door(ServerLimits())
    assert [door.may_wait() for _ in range(17)] == [True] * 16 + [False]
    door.waits_no_more()
    assert door.may_wait()
