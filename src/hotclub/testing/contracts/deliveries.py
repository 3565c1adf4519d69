"""What a broker under test hands over."""

import asyncio
from typing import TypeAlias

from hotclub.engine.model import Publication
from hotclub.testing.site import TIMEOUT

Delivery: TypeAlias = tuple[str, Publication, str]
"""A channel, a publication in it, and its epoch."""


class Deliveries:
    """Keeps what a broker hands over until a test asks for it."""

    def __init__(self) -> None:
        self._kept: asyncio.Queue[Delivery] = asyncio.Queue()

    def take(self, channel: str, publication: Publication, epoch: str) -> None:
        """Keep a publication. This method is the `PublicationHandler` of the broker under test."""
        self._kept.put_nowait((channel, publication, epoch))

    async def next(self) -> Delivery:
        """Wait for the next delivery, for at most `TIMEOUT` seconds."""
        async with asyncio.timeout(TIMEOUT):
            return await self._kept.get()

    async def before(self, mark: str) -> list[Delivery]:
        """Wait for a delivery in the channel `mark`, and return the deliveries before it."""
        found: list[Delivery] = []
        while (delivery := await self.next())[0] != mark:
            found.append(delivery)
        return found
