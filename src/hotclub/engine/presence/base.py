"""The presence port: who is in a channel, as leases that expire unless renewed."""

from collections.abc import Mapping
from typing import Protocol

from hotclub.engine.model import ClientInfo, PresenceStats


class Presence(Protocol):
    """Stores who is in which channel. All methods belong to the node's event loop.

    An entry lives for a lease, and its node renews the lease: so the entries of a crashed node are gone soon. A
    cancelled call may or may not have had its effect.
    """

    async def touch(self, channel: str, info: ClientInfo) -> None:
        """Add the connection to the channel, or renew its lease and replace its info."""
        ...

    async def drop(self, channel: str, client: str) -> None:
        """Remove the connection. Idempotent."""
        ...

    async def members(self, channel: str) -> Mapping[str, ClientInfo]:
        """The connections in the channel, by client id."""
        ...

    async def stats(self, channel: str) -> PresenceStats:
        """How many connections and users are in the channel."""
        ...
