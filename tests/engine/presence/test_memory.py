"""Presence of a single process."""

from hotclub.engine.model import ClientInfo, PresenceStats
from hotclub.engine.presence.memory import MemoryPresence


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_members_are_there_until_they_leave() -> None:
    presence = MemoryPresence(60.0)
    alice, bob = ClientInfo("1", "a"), ClientInfo("2", "b")
    await presence.touch("room", alice)
    await presence.touch("room", bob)
    assert await presence.members("room") == {"a": alice, "b": bob}
    await presence.drop("room", "a")
    await presence.drop("room", "a")
    assert await presence.members("room") == {"b": bob}
    assert await presence.members("elsewhere") == {}


async def test_a_lease_that_nobody_renews_runs_out() -> None:
    clock = Clock()
    presence = MemoryPresence(60.0, clock=clock)
    await presence.touch("room", ClientInfo("1", "a"))
    clock.now = 40.0
    await presence.touch("room", ClientInfo("2", "b"))
    clock.now = 60.0
    assert list(await presence.members("room")) == ["b"]


async def test_all_anonymous_connections_count_as_one_user() -> None:
    presence = MemoryPresence(60.0)
    for client, user in (("a", ""), ("b", ""), ("c", "7"), ("d", "7")):
        await presence.touch("room", ClientInfo(user, client))
    assert await presence.stats("room") == PresenceStats(num_clients=4, num_users=2)
