"""Presence within a single process."""

from collections.abc import Callable, Mapping
from time import monotonic

from hotclub.engine.leases import Leases
from hotclub.engine.model import ClientInfo, PresenceStats


class MemoryPresence:
    """The `Presence` of a node that stands alone. `ttl` is the length of a lease in seconds."""

    def __init__(self, ttl: float, *, clock: Callable[[], float] = monotonic) -> None:
        self._ttl = ttl
        self._clock = clock
        self._channels: dict[str, Leases[str, ClientInfo]] = {}

    async def touch(self, channel: str, info: ClientInfo) -> None:
        """See `Presence.touch`."""
        leases = self._channels.get(channel)
        if leases is None:
            leases = self._channels[channel] = Leases(self._ttl)
        leases.touch(info.client, info, self._clock())

    async def drop(self, channel: str, client: str) -> None:
        """See `Presence.drop`."""
        leases = self._channels.get(channel)
        if leases is not None:
            leases.drop(client)
            self._forget_empty(channel, leases)

    async def members(self, channel: str) -> Mapping[str, ClientInfo]:
        """See `Presence.members`."""
        leases = self._channels.get(channel)
        if leases is None:
            return {}
        leases.expire(self._clock())
        self._forget_empty(channel, leases)
        return dict(leases.items())

    async def stats(self, channel: str) -> PresenceStats:
        """See `Presence.stats`."""
        members = await self.members(channel)
        return PresenceStats(len(members), len({info.user for info in members.values()}))

    def _forget_empty(self, channel: str, leases: Leases[str, ClientInfo]) -> None:
        if not len(leases):
            self._channels.pop(channel, None)
