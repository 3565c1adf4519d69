"""The map broker under test, with short ways to change and to read a map."""

import json
from collections.abc import Awaitable
from typing import Any, Final, Protocol

from msgspec import Raw

from hotclub.engine.broker.base import HistoryQuery, PublicationHandler, Retention, Sweeps
from hotclub.engine.broker.maps import MapBroker, MapMessage, MapOutcome, MapPage, MapQuery, MapRetention
from hotclub.engine.model import HistoryPage
from hotclub.testing.contracts.deliveries import Deliveries, Delivery

PERSISTENT: Final = MapRetention(stream=Retention(size=3, ttl=60.0))
"""What is kept of the persistent maps of the contract."""
EPHEMERAL: Final = MapRetention(key_ttl=10.0)
"""What is kept of the ephemeral maps of the contract."""


class MapBrokerMaker(Protocol):
    """Makes the map broker under test, and lets its time pass."""

    def make(self, handler: PublicationHandler) -> Awaitable[MapBroker]:
        """A broker without maps that is ready for use. Called once per test."""
        ...

    def pass_time(self, seconds: float) -> Awaitable[None]:
        """Make everything that the broker keeps older by so many seconds, without waiting.

        The contract sweeps a broker that `Sweeps` afterwards, as a node does. Any other broker removes the keys whose
        time is over by itself, within `hotclub.testing.site.TIMEOUT` seconds.
        """
        ...


class MapBench:
    """The map broker under test, the channel `ch`, and the changes that the broker has handed to its handler."""

    def __init__(self, maker: MapBrokerMaker, retention: MapRetention) -> None:
        """`retention` is what is kept of the maps."""
        self._maker = maker
        self._deliveries = Deliveries()
        self.take = self._deliveries.take
        self.next = self._deliveries.next
        self.retention = retention
        self.broker: MapBroker

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and let the broker remove the keys whose time is over."""
        await self._maker.pass_time(seconds)
        if isinstance(self.broker, Sweeps):
            self.broker.sweep()

    async def set(self, key: str, value: Any = None, *, channel: str = "ch", **options: Any) -> MapOutcome:
        """Set a key to a JSON value; the options are those of `MapMessage`."""
        message = MapMessage(key=key, data=Raw(json.dumps(value).encode()), **options)
        return await self.broker.change(channel, message, self.retention)

    async def remove(self, key: str, **options: Any) -> MapOutcome:
        """Remove a key; the options are those of `MapMessage`."""
        return await self.broker.change("ch", MapMessage(key=key, removed=True, **options), self.retention)

    async def page(self, channel: str = "ch", **query: Any) -> MapPage:
        """Read a page of the map; the query is that of `MapQuery`."""
        return await self.broker.read(channel, MapQuery(**query), self.retention)

    async def keys(self, **query: Any) -> list[str]:
        """The keys of a page."""
        return [entry.key for entry in (await self.page(**query)).entries]

    async def all_keys(self, **query: Any) -> list[list[str]]:
        """The keys of every page, from the first to the last."""
        pages = [await self.page(**query)]
        while pages[-1].cursor:
            pages.append(await self.page(cursor=pages[-1].cursor, **query))
        return [[entry.key for entry in page.entries] for page in pages]

    async def log(self, limit: int = -1, **query: Any) -> HistoryPage:
        """Read the log of changes; the query is that of `HistoryQuery`."""
        return await self.broker.history("ch", HistoryQuery(limit=limit, **query), self.retention.stream)

    async def num_keys(self) -> int:
        """How many keys the map has."""
        return (await self.broker.stats("ch")).num_keys

    async def seen(self) -> list[Delivery]:
        """The changes handed over since the last call, each with its channel and epoch.

        A change in a channel of its own marks their end.
        """
        await self.broker.subscribe("mark")
        await self.set("mark", channel="mark")
        return await self._deliveries.before("mark")
