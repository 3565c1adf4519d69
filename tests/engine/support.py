"""A node without sockets: sessions whose line is a list, and brokers that wait when the test says so."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from msgspec import Raw
from msgspec.structs import replace

from hotclub.engine.broker.base import HistoryQuery, Message, PublicationHandler, Retention
from hotclub.engine.broker.memory import MemoryBroker
from hotclub.engine.dispatch import Dispatcher
from hotclub.engine.errors import Disconnect, Refused
from hotclub.engine.limits import Limits
from hotclub.engine.model import HistoryPage
from hotclub.engine.node import Node
from hotclub.engine.port import (
    ChannelSpec,
    Client,
    ConnectGrant,
    ConnectRequest,
    Handshake,
    Predicate,
    RefreshGrant,
    ResolvedChannel,
    SubscribeGrant,
    SubscribeRequest,
)
from hotclub.engine.protocol.base import Encoder
from hotclub.engine.protocol.messages import ConnectCommand
from hotclub.engine.session import Kind, Session
from tests.support.app import CHANNELS, TinyApplication

PLAIN: Final = Kind(version="1")
_KEPT: Final = Retention(size=100, ttl=300)
MORE_CHANNELS: Final = {
    "cache": ChannelSpec(retention=_KEPT, recoverable=True, cache=True),
    "position": ChannelSpec(retention=_KEPT, position=True),
    "compact": ChannelSpec(retention=_KEPT, recoverable=True, compaction=True, delta=True),
    "compact-plain": ChannelSpec(compaction=True),
    "choosy-delta": ChannelSpec(retention=_KEPT, recoverable=True, delta=True, filters=True),
}
"""Beside those of `tests.support.app`."""


@dataclass
class ClubApplication(TinyApplication):
    """The tiny application, and answers that a test can change."""

    grants: dict[str, SubscribeGrant | Exception] = field(default_factory=dict)
    """By channel, what a subscribe command is answered; the tiny application's answer for the others."""
    welcome: Mapping[str, SubscribeGrant] = field(default_factory=dict)
    """The channels of every connection."""
    ttl: int = 0
    """The life of a connection."""
    refreshes: dict[str, RefreshGrant | Exception] = field(default_factory=dict)
    """By token."""
    asked: list[tuple[str, SubscribeRequest]] = field(default_factory=list)
    filters: dict[str, Predicate] = field(default_factory=dict)
    """By channel, what it lets through to anybody that the server gives it to."""

    def spec(self, name: str) -> ChannelSpec | None:
        return (MORE_CHANNELS | CHANNELS).get(name.partition(":")[0])

    async def connect(self, client: Client, request: ConnectRequest) -> ConnectGrant:
        grant = await super().connect(client, request)
        return replace(grant, ttl=self.ttl, channels={**grant.channels, **self.welcome})

    async def subscribe(self, client: Client, channel: ResolvedChannel, request: SubscribeRequest) -> SubscribeGrant:
        self.asked.append((channel.name, request))
        grant = await super().subscribe(client, channel, request)
        return _answer(self.grants.get(channel.name, grant))

    async def authorize(self, client: Client, channel: ResolvedChannel) -> None:
        await self._gate("authorize", channel.name)
        await super().authorize(client, channel)

    async def admits(self, client: Client, channel: ResolvedChannel) -> Predicate | None:
        await self._gate("admits", channel.name)
        return self.filters.get(channel.name)

    async def refresh(self, client: Client, token: str) -> RefreshGrant:
        await self._gate("refresh", token)
        return _answer(self.refreshes.get(token, Refused(103)))

    def doubt(self) -> None:
        """Nothing to look at: this application knows no logins."""

    async def refresh_subscription(self, client: Client, channel: ResolvedChannel, token: str) -> RefreshGrant:
        await self._gate("sub_refresh", channel.name)
        return _answer(self.refreshes.get(token, Refused(103)))


_Grant = TypeVar("_Grant", SubscribeGrant, RefreshGrant)


def _answer(answer: _Grant | Exception) -> _Grant:
    if isinstance(answer, Exception):
        raise answer
    return answer


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

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.frames: list[bytes] = []
        self.received: list[dict[str, Any]] = []
        self.arrived = asyncio.Event()
        self.unread = 0
        self.ended_with: Disconnect | None = None

    def write(self, frames: Sequence[bytes]) -> None:
        self.frames.extend(frames)
        if not self.encoder.codec.binary:
            self.received.extend(map(json.loads, frames))
        self.arrived.set()

    def buffered(self) -> int:
        return self.unread

    def close(self, reason: Disconnect) -> None:
        self.ended_with = reason
        self.arrived.set()


class MemoryClient:
    """One connection of a node, driven by commands."""

    def __init__(self, node: Node, encoder: Encoder | None = None, *, kind: Kind = PLAIN) -> None:
        self.line = MemoryLine(encoder or node.encoders.json_messages)
        self.session = Session(node.channels, node.flusher, node.pulse, self.line, Handshake(), kind=kind)
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

    def pushes(self, kind: str) -> list[Any]:
        """What has been pushed of a kind so far."""
        return [message["push"][kind] for message in self.line.received if kind in message.get("push", {})]

    async def pushed(self, kind: str, number: int = 1) -> list[Any]:
        """The pushes of a kind, as soon as there are so many."""
        found: list[Any] = await self.until(lambda _: self.pushes(kind) if len(self.pushes(kind)) >= number else None)
        return found

    async def flushed(self) -> None:
        """Everything pushed so far has been written."""
        await self.call(rpc={"method": "echo"})

    async def leave(self, *, goodbye: bool = False) -> None:
        """Be gone, as a peer whose connection broke or who said goodbye."""
        self.session.lost(goodbye=goodbye)
        await self.dispatcher.stop()
        await self.session.end()


class Club:
    """A started node with a held broker."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.application = ClubApplication()
        self.node = Node(self.application.bundle, limits=limits, make_broker=HeldBroker)

    @property
    def broker(self) -> HeldBroker:
        assert isinstance(self.node.broker, HeldBroker)
        return self.node.broker

    def client(self, *, encoder: Encoder | None = None, kind: Kind = PLAIN) -> MemoryClient:
        """A connection that has not said anything yet."""
        return MemoryClient(self.node, encoder, kind=kind)

    async def connect(self, user: str = "", *, encoder: Encoder | None = None) -> MemoryClient:
        client = self.client(encoder=encoder)
        if client.session.codec.binary:
            client.dispatcher.submit(1, ConnectCommand())
            await client.until(lambda _: client.line.frames or None)
            return client
        reply = await client.call(connect={"data": {"user": user}} if user else {})
        assert "connect" in reply, reply
        return client

    async def publish(self, channel: str, value: object = None, **tags: str) -> None:
        await self.node.publish(channel, Raw(json.dumps(value).encode()), tags=tags)

    async def publish_bytes(self, channel: str, data: bytes, **tags: str) -> None:
        """Publish what is no JSON."""
        await self.node.channels.publish(channel, Message(data=Raw(data), tags=tags, binary=True))
