"""The port of a back end: where a node's channels live, beside the log, the maps and the presence of one process.

`MemoryBackend` is the one that ships. A project's own back end is the class that `HOTCLUB["BACKEND"]` names. It passes
the contract suites of `hotclub.testing.contracts`.
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
        """The logs of the channels that are not durable; `handler` takes what the broker fans out."""
        ...

    def maps(self, handler: PublicationHandler) -> MapBroker:
        """The maps; `handler` takes what the broker fans out."""
        ...

    def presence(self) -> Presence:
        """The members of the channels with presence."""
        ...

    async def start(self) -> None:
        """Open connections, in the node's event loop and before the node serves anybody.

        What it raises ends the start of the server.
        """
        ...

    async def stop(self) -> None:
        """Close what `start` opened, after the node's last connection has ended. Idempotent."""
        ...


class MakeBackend(Protocol):
    """What `HOTCLUB["BACKEND"]` names: a class or a function, called once per node."""

    def __call__(self, url: str, limits: Limits) -> Backend:
        """The back end of `HOTCLUB["ENGINE"]`, the URL. It opens nothing before `Backend.start`."""
        ...


class MemoryBackend:
    """Keeps everything in the memory of this process. What is kept ends with the process."""

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
        """Memory needs no connection."""

    async def stop(self) -> None:
        """Memory needs no connection."""
