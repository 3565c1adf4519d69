"""Presence within a single process."""

from collections import Counter
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Final

from hotclub.engine.leases import Leases
from hotclub.engine.model import ClientInfo, PresenceStats
from hotclub.engine.turns import Turn

_AT_ONE_TIME: Final = 1_000
"""How many leases may run out in one turn of the loop."""


class _Crowd:
    """One channel: its members, and how many connections each user has."""

    __slots__ = ("leases", "users")

    def __init__(self, ttl: float) -> None:
        self.leases: Leases[str, ClientInfo] = Leases(ttl)
        self.users: Counter[str] = Counter()

    def touch(self, info: ClientInfo, now: float) -> None:
        former = self.leases.get(info.client)
        self.leases.touch(info.client, info, now)
        self.users[info.user] += 1
        if former is not None:
            self._leave(former.user)

    def drop(self, client: str) -> None:
        former = self.leases.get(client)
        if former is not None:
            self.leases.drop(client)
            self._leave(former.user)

    def expire(self, now: float) -> bool:
        """Remove members whose lease is over. Returns whether there may be more of them."""
        over = self.leases.expire(now, _AT_ONE_TIME)
        for _, info in over:
            self._leave(info.user)
        return len(over) == _AT_ONE_TIME

    def _leave(self, user: str) -> None:
        self.users[user] -= 1
        if not self.users[user]:
            del self.users[user]


class MemoryPresence:
    """The `Presence` of a node that stands alone. `ttl` is the length of a lease in seconds."""

    def __init__(self, ttl: float, *, clock: Callable[[], float] = monotonic) -> None:
        self._ttl = ttl
        self._clock = clock
        self._channels: dict[str, _Crowd] = {}

    async def touch(self, channel: str, info: ClientInfo) -> None:
        """See `Presence.touch`."""
        crowd = self._channels.get(channel)
        if crowd is None:
            crowd = self._channels[channel] = _Crowd(self._ttl)
        crowd.touch(info, self._clock())

    async def drop(self, channel: str, client: str) -> None:
        """See `Presence.drop`."""
        crowd = self._channels.get(channel)
        if crowd is not None:
            crowd.drop(client)
            self._forget_empty(channel, crowd)

    async def members(self, channel: str) -> Mapping[str, ClientInfo]:
        """See `Presence.members`."""
        crowd = await self._current(channel)
        return {} if crowd is None else crowd.leases.snapshot()

    async def stats(self, channel: str) -> PresenceStats:
        """See `Presence.stats`."""
        crowd = await self._current(channel)
        return PresenceStats(0, 0) if crowd is None else PresenceStats(len(crowd.leases), len(crowd.users))

    async def _current(self, channel: str) -> _Crowd | None:
        """The channel without the members whose lease is over; None when nobody is there."""
        crowd = self._channels.get(channel)
        if crowd is None:
            return None
        turn = Turn()
        while crowd.expire(self._clock()):
            await turn.give_way()
        self._forget_empty(channel, crowd)
        return self._channels.get(channel)

    def _forget_empty(self, channel: str, crowd: _Crowd) -> None:
        if not len(crowd.leases) and self._channels.get(channel) is crowd:
            del self._channels[channel]
