"""The port of a back end: the stores in which a node keeps its logs, its maps and its presence.

Hotclub ships `MemoryBackend`. `HOTCLUB["BACKEND"]` names a project's own back end, which must pass the contract suites
of `hotclub.testing.contracts`.
"""

from typing import Protocol

from hotclub.engine.broker.base import Broker, PublicationHandler
from hotclub.engine.broker.maps import MapBroker
from hotclub.engine.broker.memory import MemoryBroker
from hotclub.engine.broker.memory_map import MemoryMapBroker
from hotclub.engine.limits import Limits
from hotclub.engine.presence.base import Presence
from hotclub.engine.presence.memory import MemoryPresence


class Backend(Protocol):
    """Makes the stores of one node. A node asks for each store once, before `start`."""

    def broker(self, handler: PublicationHandler) -> Broker:
        """The broker of the channels that are not durable. It hands every publication to `handler`."""
        ...

    def maps(self, handler: PublicationHandler) -> MapBroker:
        """The broker of the maps. It hands every change to `handler`."""
        ...

    def presence(self) -> Presence:
        """The store of the members of channels with presence."""
        ...

    async def start(self) -> None:
        """Open connections, in the node's event loop, before the node takes its first client.

        An exception ends the start of the server.
        """
        ...

    async def stop(self) -> None:
        """Close the connections that `start` opened, after the node's last client has gone. Idempotent."""
        ...


class MakeBackend(Protocol):
    """The class or function that `HOTCLUB["BACKEND"]` names. Called once per node."""

    def __call__(self, url: str, limits: Limits) -> Backend:
        """Make the back end. It opens no connection before `Backend.start`.

        Args:
            url: `HOTCLUB["ENGINE"]`.
            limits: the node's limits.
        """
        ...


class MemoryBackend:
    """Keeps everything in the memory of this process, and loses it when the process ends."""

    def __init__(self, url: str = "memory://", limits: Limits | None = None) -> None:  # noqa: ARG002 - memory has no address
        self._limits = limits or Limits()

    def broker(self, handler: PublicationHandler) -> Broker:
        """See `Backend.broker`."""
        return MemoryBroker(handler)

    def maps(self, handler: PublicationHandler) -> MapBroker:
        """See `Backend.maps`."""
        return MemoryMapBroker(handler)

    def presence(self) -> Presence:
        """See `Backend.presence`."""
        return MemoryPresence(self._limits.presence_ttl)

    async def start(self) -> None:
        """See `Backend.start`: memory needs no connection."""

    async def stop(self) -> None:
        """See `Backend.stop`: memory has no connection."""
