"""Presence of a single process: the contract of all presences, and the memory that it gives back."""

import pytest

from hotclub.engine.model import ClientInfo
from hotclub.engine.presence.base import Presence
from hotclub.engine.presence.memory import MemoryPresence
from hotclub.testing.contracts import PresenceContract
from tests.support.clock import Clock, MakerByClock


class MemoryMaker(MakerByClock):
    async def make(self, ttl: float) -> Presence:
        return MemoryPresence(ttl, clock=self.clock)


class TestContract(PresenceContract):
    @pytest.fixture
    def maker(self) -> MemoryMaker:
        return MemoryMaker()


async def test_a_channel_that_everybody_has_left_takes_no_memory() -> None:
    clock = Clock()
    presence = MemoryPresence(60.0, clock=clock)
    await presence.touch("left", ClientInfo("1", "a"))
    await presence.touch("expired", ClientInfo("1", "a"))
    await presence.drop("left", "a")
    clock.now = 60.0
    assert await presence.members("expired") == {}
    assert not presence._channels
