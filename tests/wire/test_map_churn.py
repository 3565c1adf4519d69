"""Maps that change while they are loaded, recovered and left: every copy comes to be the map, patch by patch."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import pytest
from centrifuge.fossil import apply_delta

from hotclub.engine.broker.base import HistoryQuery, Retention
from hotclub.engine.broker.maps import MapMessage, MapPage, MapQuery, MapRetention
from hotclub.engine.broker.memory_map import MemoryMapBroker
from hotclub.engine.model import HistoryPage
from tests.support.app import Served, raw, serve
from tests.support.wire import Object, WireClient, push_of

Connect = Callable[..., Awaitable[WireClient]]
KEYS: Final = 230
"""Three pages."""
ROUNDS: Final = 8
WORDS: Final = ["天地玄黄", "宇宙洪荒", "live", "channel", "é", '"quoted"', "line\nbreak"]


class DistantMaps(MemoryMapBroker):
    """Answers as late as a store beyond a network does: what changes meanwhile overtakes the answer."""

    async def read(self, channel: str, query: MapQuery, retention: MapRetention) -> MapPage:
        page = await super().read(channel, query, retention)
        await asyncio.sleep(0.002)
        return page

    async def history(self, channel: str, query: HistoryQuery, retention: Retention) -> HistoryPage:
        page = await super().history(channel, query, retention)
        await asyncio.sleep(0.002)
        return page


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serve(make_maps=DistantMaps) as server:
        yield server


class Copy:
    """What one client makes of a map, by what it is sent and nothing else."""

    def __init__(self, client: WireClient, channel: str, *, delta: bool) -> None:
        self.client = client
        self.texts: dict[str, bytes] = {}
        self.position: tuple[str, int] | None = None
        self.differences = 0
        self.recovered = 0
        self._channel = channel
        self._delta = delta
        self._read = 0

    async def enter(self) -> None:
        """Load the map page by page, or recover where it was left."""
        if self.position is None:
            self.texts.clear()
            ask: Object = {"phase": 2}
        else:
            ask = {"phase": 1, "recover": True, "epoch": self.position[0], "offset": self.position[1]}
        while True:
            reply = await self._page(ask)
            for entry in (*reply.get("state", ()), *reply.get("publications", ())):
                self._take(entry)
            ask = {name: reply[name] for name in ("phase", "cursor", "epoch", "offset") if name in reply}
            if not reply.get("phase"):
                break
        self.recovered += reply.get("recovered", False)
        if reply.get("recoverable"):
            self.position = (reply["epoch"], reply.get("offset", 0))

    async def _page(self, ask: Object) -> Object:
        options: Object = {"delta": "fossil"} if self._delta else {}
        number = await self.client.start("subscribe", channel=self._channel, type=1, limit=100, **ask, **options)
        result = await self.client.result(number, "subscribe")
        self._read = next(i for i, item in enumerate(self.client.inbox) if item.get("id") == number) + 1
        return result

    def follow(self) -> None:
        """Take what has been pushed since."""
        for item in self.client.inbox[self._read :]:
            publication = push_of(item, "pub", self._channel)
            if publication is not None:
                if self.position is not None:
                    assert publication["offset"] == self.position[1] + 1
                    self.position = (self.position[0], publication["offset"])
                self._take(publication)
        self._read = len(self.client.inbox)

    async def stay(self, pushes: int) -> None:
        """Wait for so many more."""
        awaited = len(self.client.inbox) + pushes
        await self.client.wait(lambda: len(self.client.inbox) >= awaited)

    async def leave(self) -> None:
        await self.client.call("unsubscribe", channel=self._channel)
        self.follow()

    def _take(self, publication: Object) -> None:
        key = publication["key"]
        if publication.get("removed"):
            self.texts.pop(key, None)
        elif not self._delta:
            self.texts[key] = json.dumps(publication["data"], ensure_ascii=False).encode()
        elif publication.get("delta"):
            self.differences += 1
            self.texts[key] = bytes(apply_delta(self.texts[key], publication["data"].encode()))
        else:
            self.texts[key] = publication["data"].encode()


async def change(served: Served, channel: str, chance: random.Random, documents: dict[str, list[str]]) -> None:
    """Edit, set or remove a key."""
    key = f"key {chance.randrange(KEYS):03}"
    if chance.random() < 0.1:
        await served.node.channels.maps.change(channel, MapMessage(key=key, removed=True))
        return
    words = documents.setdefault(key, chance.choices(WORDS, k=40))
    words[chance.randrange(len(words))] = chance.choice(WORDS)
    await served.node.channels.maps.change(channel, MapMessage(key=key, data=raw(" ".join(words))))


@pytest.mark.parametrize(("channel", "delta"), [("map:a", False), ("kept-map:a", False), ("kept-map:b", True)])
async def test_every_copy_comes_to_be_the_map(served: Served, channel: str, delta: bool) -> None:
    documents: dict[str, list[str]] = {}
    done = asyncio.Event()
    for number in range(KEYS):
        await served.node.channels.maps.change(channel, MapMessage(key=f"key {number:03}", data=raw("at first")))

    async def publish(chance: random.Random) -> None:
        while not done.is_set():
            for _ in range(3):
                await change(served, channel, chance, documents)
            await asyncio.sleep(0.001)

    async def come_and_go(copy: Copy, chance: random.Random) -> None:
        for _ in range(ROUNDS):
            await copy.enter()
            await copy.stay(chance.randrange(150))
            await copy.leave()
        await copy.enter()

    clients = [await WireClient.connected(served.port) for _ in range(4)]
    copies = [Copy(client, channel, delta=delta) for client in clients]
    async with asyncio.TaskGroup() as group:
        group.create_task(publish(random.Random(1)))
        async with asyncio.TaskGroup() as comers:
            for number, copy in enumerate(copies):
                comers.create_task(come_and_go(copy, random.Random(number)))
        done.set()
    page = await served.node.channels.maps.read(channel, MapQuery())
    true: dict[str, Any] = {entry.key: bytes(entry.data) for entry in page.entries}
    for copy in copies:
        await copy.client.settled()
        copy.follow()
        assert copy.texts == true
        assert copy.recovered == (ROUNDS if channel.startswith("kept") else 0)
        assert (copy.differences > 50) is delta
        copy.client.abort()
