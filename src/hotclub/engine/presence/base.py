"""The presence port: who is in a channel, as leases that expire unless renewed."""

from collections.abc import Mapping
from typing import Protocol

from hotclub.engine.model import ClientInfo, PresenceStats


class Presence(Protocol):
    """Entries live for a lease and are renewed by their node, so that a crashed node heals itself."""

    async def touch(self, channel: str, info: ClientInfo) -> None:
        """Add the connection to the channel, or renew its lease."""
        ...

    async def drop(self, channel: str, client: str) -> None:
        """Remove the connection. Idempotent."""
        ...

    async def members(self, channel: str) -> Mapping[str, ClientInfo]:
        """Everybody whose lease is alive, by client id."""
        ...

    async def stats(self, channel: str) -> PresenceStats:
        """The counts of `members`, without the list."""
        ...
