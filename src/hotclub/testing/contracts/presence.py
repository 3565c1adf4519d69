"""The contract of presence."""

import asyncio
from collections.abc import Awaitable
from typing import Final, Protocol

import pytest
from msgspec import Raw

from hotclub.engine.model import ClientInfo, PresenceStats
from hotclub.engine.presence.base import Presence

LEASE: Final = 60.0
"""The length of the leases in the contract, in seconds."""


class PresenceMaker(Protocol):
    """Makes the presence under test, and lets its time pass."""

    def make(self, ttl: float) -> Awaitable[Presence]:
        """A presence without members that is ready for use; its leases last `ttl` seconds. Called once per test."""
        ...

    def pass_time(self, seconds: float) -> Awaitable[None]:
        """Make every lease older by so many seconds, without waiting."""
        ...


class PresenceContract:
    """The promises of `Presence`, one test each. Subclasses give the fixture `maker`."""

    @pytest.fixture
    async def presence(self, maker: PresenceMaker) -> Presence:
        """The presence under test."""
        return await maker.make(LEASE)

    async def test_members_are_there_until_they_are_dropped(self, presence: Presence) -> None:
        alice, bob = ClientInfo("1", "a"), ClientInfo("2", "b")
        await presence.touch("room", alice)
        await presence.touch("room", bob)
        assert await presence.members("room") == {"a": alice, "b": bob}
        await presence.drop("room", "a")
        assert await presence.members("room") == {"b": bob}
        await presence.touch("room", alice)
        assert await presence.members("room") == {"a": alice, "b": bob}

    async def test_who_is_not_there_may_be_dropped(self, presence: Presence) -> None:
        await presence.drop("room", "a")
        bob = ClientInfo("2", "b")
        await presence.touch("room", ClientInfo("1", "a"))
        await presence.touch("room", bob)
        await presence.drop("room", "a")
        await presence.drop("room", "a")
        assert await presence.members("room") == {"b": bob}

    async def test_a_channel_that_nobody_used_is_empty(self, presence: Presence) -> None:
        assert await presence.members("room") == {}
        assert await presence.stats("room") == PresenceStats(num_clients=0, num_users=0)

    async def test_channels_have_members_of_their_own(self, presence: Presence) -> None:
        alice = ClientInfo("1", "a")
        await presence.touch("room", alice)
        await presence.touch("other", alice)
        await presence.drop("room", "a")
        assert await presence.members("room") == {}
        assert await presence.members("other") == {"a": alice}

    async def test_members_have_the_whole_info(self, presence: Presence) -> None:
        """The bytes of its JSON are those that came in."""
        info = ClientInfo("7", "a", conn_info=Raw(b'{"name": "\xe7\x8e\x8b"}'), chan_info=Raw(b"[1.50, null]"))
        await presence.touch("room", info)
        assert await presence.members("room") == {"a": info}

    async def test_a_renewal_brings_the_newest_info(self, presence: Presence) -> None:
        await presence.touch("room", ClientInfo("1", "a", chan_info=Raw(b"1")))
        newer = ClientInfo("1", "a", chan_info=Raw(b"2"))
        await presence.touch("room", newer)
        assert await presence.members("room") == {"a": newer}
        assert await presence.stats("room") == PresenceStats(num_clients=1, num_users=1)

    async def test_a_lease_that_nobody_renews_runs_out(self, presence: Presence, maker: PresenceMaker) -> None:
        await presence.touch("room", ClientInfo("1", "a"))
        await maker.pass_time(LEASE - 1)
        await presence.touch("room", ClientInfo("2", "b"))
        assert sorted(await presence.members("room")) == ["a", "b"]
        await maker.pass_time(2)
        assert sorted(await presence.members("room")) == ["b"]
        await maker.pass_time(LEASE)
        assert await presence.members("room") == {}

    async def test_a_renewed_lease_begins_anew(self, presence: Presence, maker: PresenceMaker) -> None:
        info = ClientInfo("1", "a")
        await presence.touch("room", info)
        for _ in range(3):
            await maker.pass_time(LEASE - 1)
            await presence.touch("room", info)
        await maker.pass_time(LEASE - 1)
        assert await presence.members("room") == {"a": info}
        await maker.pass_time(2)
        assert await presence.members("room") == {}

    async def test_a_lease_belongs_to_its_channel(self, presence: Presence, maker: PresenceMaker) -> None:
        info = ClientInfo("1", "a")
        await presence.touch("room", info)
        await presence.touch("other", info)
        await maker.pass_time(LEASE - 1)
        await presence.touch("other", info)
        await maker.pass_time(2)
        assert await presence.members("room") == {}
        assert await presence.members("other") == {"a": info}

    async def test_who_has_expired_may_come_back(self, presence: Presence, maker: PresenceMaker) -> None:
        info = ClientInfo("1", "a")
        await presence.touch("room", info)
        await maker.pass_time(LEASE + 1)
        await presence.touch("room", info)
        assert await presence.members("room") == {"a": info}

    async def test_all_anonymous_connections_count_as_one_user(self, presence: Presence) -> None:
        for client, user in (("a", ""), ("b", ""), ("c", "7"), ("d", "7")):
            await presence.touch("room", ClientInfo(user, client))
        assert await presence.stats("room") == PresenceStats(num_clients=4, num_users=2)

    async def test_a_user_counts_as_long_as_a_connection_of_theirs(self, presence: Presence) -> None:
        for client, user in (("a", "7"), ("b", "7"), ("c", "8")):
            await presence.touch("room", ClientInfo(user, client))
        await presence.drop("room", "a")
        assert await presence.stats("room") == PresenceStats(num_clients=2, num_users=2)
        await presence.drop("room", "b")
        assert await presence.stats("room") == PresenceStats(num_clients=1, num_users=1)

    async def test_who_has_expired_does_not_count(self, presence: Presence, maker: PresenceMaker) -> None:
        await presence.touch("room", ClientInfo("1", "a"))
        await maker.pass_time(LEASE - 1)
        await presence.touch("room", ClientInfo("2", "b"))
        await maker.pass_time(2)
        assert await presence.stats("room") == PresenceStats(num_clients=1, num_users=1)

    async def test_many_may_come_and_go_at_once(self, presence: Presence) -> None:
        infos = [ClientInfo(str(number), f"c{number}") for number in range(10)]
        await asyncio.gather(*(presence.touch("room", info) for info in infos))
        assert await presence.members("room") == {info.client: info for info in infos}
        await asyncio.gather(*(presence.drop("room", info.client) for info in infos[:9]))
        assert await presence.members("room") == {"c9": infos[9]}
