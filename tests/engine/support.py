"""A node without sockets: sessions whose line is a list, and brokers that wait when the test says so."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from msgspec import Raw

from hotclub.engine.application import Handshake
from hotclub.engine.broker.base import HistoryQuery, PublicationHandler, Retention
from hotclub.engine.broker.memory import MemoryBroker
from hotclub.engine.dispatch import Dispatcher
from hotclub.engine.errors import Disconnect
from hotclub.engine.limits import Limits
from hotclub.engine.model import HistoryPage
from hotclub.engine.node import Node
from hotclub.engine.session import Kind, Session
from tests.support.app import TinyApplication


class HeldBroker(MemoryBroker):
    """Reads of the log stop before their answer while `held` is closed; subscriptions are recorded."""

    def __init__(self, handler: PublicationHandler) -> None:
        super().__init__(handler)
        self.held = asyncio.Event()
        self.held.set()
        self.reading = asyncio.Event()
        self.calls: list[str] = []

    async def subscribe(self, channel: str) -> None:
        self.calls.append(f"+{channel}")
        await asyncio.sleep(0)
        await super().subscribe(channel)

    async def unsubscribe(self, channel: str) -> None:
        self.calls.append(f"-{channel}")
        await asyncio.sleep(0)
        await super().unsubscribe(channel)

    async def history(self, channel: str, query: HistoryQuery, retention: Retention) -> HistoryPage:
        page = await super().history(channel, query, retention)
        self.reading.set()
        await self.held.wait()
        return page


class MemoryLine:
    """Keeps what a session writes. `unread` is what its reader has not taken."""

    def __init__(self, node: Node) -> None:
        self.encoder = node.encoders.json_messages
        self.received: list[dict[str, Any]] = []
        self.arrived = asyncio.Event()
        self.unread = 0
        self.ended_with: Disconnect | None = None

    def write(self, frames: Sequence[bytes]) -> None:
        self.received.extend(map(json.loads, frames))
        self.arrived.set()

    def buffered(self) -> int:
        return self.unread

    def close(self, reason: Disconnect) -> None:
        self.ended_with = reason
        self.arrived.set()


class MemoryClient:
    """One connection of a node, driven by commands."""

    def __init__(self, node: Node) -> None:
        self.line = MemoryLine(node)
        self.session = Session(node.exchange, node.flusher, node.pulse, self.line, Handshake(), kind=Kind(version="1"))
        self.dispatcher = Dispatcher(self.session)
        self._ids = 0

    def send(self, **command: Any) -> int:
        """Hand one command in, and return its id."""
        self._ids += 1
        self.dispatcher.receive(json.dumps({"id": self._ids, **command}).encode())
        return self._ids

    async def until(self, found: Any) -> Any:
        """The first result of `found(received)` that is not None, as soon as there is one."""
        async with asyncio.timeout(5):
            while (result := found(self.line.received)) is None:
                self.line.arrived.clear()
                await self.line.arrived.wait()
        return result

    async def call(self, **command: Any) -> dict[str, Any]:
        """Send a command and return its reply."""
        number = self.send(**command)
        reply: dict[str, Any] = await self.until(
            lambda received: next((message for message in received if message.get("id") == number), None)
        )
        return reply

    async def ended(self) -> Disconnect:
        reason: Disconnect = await self.until(lambda _: self.line.ended_with)
        return reason

    def offsets(self, channel: str) -> list[int]:
        """The offsets of the publications pushed so far."""
        pushes = (message.get("push", {}) for message in self.line.received)
        return [push["pub"]["offset"] for push in pushes if push.get("channel") == channel and "pub" in push]

    async def leave(self) -> None:
        """Be gone, as a peer whose connection broke."""
        self.session.lost()
        await self.dispatcher.stop()
        await self.session.end()


class Club:
    """A started node with a held broker."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.application = TinyApplication()
        self.node = Node(self.application, limits=limits, make_broker=HeldBroker)

    @property
    def broker(self) -> HeldBroker:
        assert isinstance(self.node.broker, HeldBroker)
        return self.node.broker

    async def connect(self, user: str = "") -> MemoryClient:
        client = MemoryClient(self.node)
        reply = await client.call(connect={"data": {"user": user}} if user else {})
        assert "connect" in reply, reply
        return client

    async def publish(self, channel: str, value: object = None) -> None:
        await self.node.publish(channel, Raw(json.dumps(value).encode()))
