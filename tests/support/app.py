"""A tiny application on the engine, served by a real uvicorn in the test's own event loop: no Django anywhere.

A channel's options are told by the beginning of its name, see `CHANNELS`. A test can hold any hook with
`TinyApplication.hold` and let it go on when it likes, so that a race is a matter of order and not of time.
"""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import uvicorn
from msgspec import Raw

from hotclub.engine.broker.base import Broker, PublicationHandler, Retention
from hotclub.engine.broker.maps import MapBroker, MapMessage
from hotclub.engine.broker.memory import MemoryBroker
from hotclub.engine.broker.memory_map import MemoryMapBroker
from hotclub.engine.errors import Disconnect, Refused
from hotclub.engine.limits import Limits
from hotclub.engine.model import EMPTY, ClientInfo, Publication
from hotclub.engine.node import Node
from hotclub.engine.port import (
    Application,
    ChannelSpec,
    Client,
    ConnectGrant,
    ConnectRequest,
    Handshake,
    KeyChange,
    MapSpec,
    PollAnswer,
    PolledItem,
    PollItem,
    PollSpec,
    Predicate,
    PublishGrant,
    RefreshGrant,
    ResolvedChannel,
    SubscribeGrant,
    SubscribeRequest,
)
from hotclub.engine.protocol.payload import encode_payload
from hotclub.engine.transports.emulation import emulate, read_emulation, serve_http_stream, serve_sse
from hotclub.engine.transports.stream import HttpError, respond
from hotclub.engine.transports.unidirectional import serve_uni_http_stream, serve_uni_sse, serve_uni_websocket
from hotclub.engine.transports.websocket import serve_websocket
from hotclub.serving.uvicorn import HttpProtocol
from hotclub.serving.websocket import WebSocketProtocol
from tests.support.prompt import PromptServer

CHANNELS: Final = {
    "plain": ChannelSpec(),
    "log": ChannelSpec(
        retention=Retention(size=100, ttl=300), recoverable=True, presence=True, join_leave=True, push_join_leave=True
    ),
    "deep": ChannelSpec(retention=Retention(size=1_000, ttl=300), recoverable=True),
    "short": ChannelSpec(retention=Retention(size=2, ttl=300), recoverable=True),
    "open": ChannelSpec(retention=Retention(size=100, ttl=300), recoverable=True, members_only=False),
    "open-map": ChannelSpec(map=MapSpec(key_ttl=60), members_only=False),
    "kept": ChannelSpec(retention=Retention(size=10, ttl=300)),
    "here": ChannelSpec(presence=True, join_leave=True, push_join_leave=True),
    "delta": ChannelSpec(retention=Retention(size=100, ttl=300), recoverable=True, delta=True),
    "tagged": ChannelSpec(retention=Retention(size=100, ttl=300), recoverable=True, filters=True),
    "map": ChannelSpec(map=MapSpec(key_ttl=60), filters=True),
    "kept-map": ChannelSpec(
        map=MapSpec(), retention=Retention(size=2_000, ttl=300), recoverable=True, filters=True, delta=True
    ),
    "short-map": ChannelSpec(map=MapSpec(), retention=Retention(size=2, ttl=300), recoverable=True),
    "ranked": ChannelSpec(map=MapSpec(ordered=True), debounce=50),
    "crowd": ChannelSpec(map=MapSpec(key_ttl=60), clients_map="clients:crowd", users_map="users:crowd"),
    "clients": ChannelSpec(map=MapSpec(type=2, key_ttl=60)),
    "users": ChannelSpec(map=MapSpec(type=3, key_ttl=60)),
    "poll": ChannelSpec(poll=PollSpec(interval=3600, batch=2, keys=3), delta=True),
    "poll-plain": ChannelSpec(poll=PollSpec(interval=3600, versioned=False)),
    "poll-quick": ChannelSpec(poll=PollSpec(interval=0.01)),
    "poll-brief": ChannelSpec(poll=PollSpec(interval=0.01, timeout=0.01, batch=1)),
    "deny": ChannelSpec(
        retention=Retention(size=10, ttl=300), recoverable=True, presence=True, join_leave=True, push_join_leave=True
    ),
}

STANDARD: Final = "standard"
FAST: Final = "fast"
WRITE_PATHS: Final = (STANDARD, FAST)


class Gate:
    """Holds a hook. `entered` is set when the hook has begun; `open` lets the hook continue."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self._opened = asyncio.Event()

    def open(self) -> None:
        self._opened.set()

    async def pass_through(self) -> None:
        self.entered.set()
        await self._opened.wait()


@dataclass
class TinyApplication:
    """An application that refuses nothing outside `deny:` channels. The connect data names the user."""

    procedures: bool = True
    ended: list[tuple[str, int, str]] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)
    seen: list[tuple[str, bool]] = field(default_factory=list)
    """The user of every join (True) and leave that the application was told."""
    values: dict[str, PolledItem] = field(default_factory=dict)
    """The values that shared polls return, by key."""
    epoch: str = ""
    polls: list[tuple[PollItem, ...]] = field(default_factory=list)
    _gates: dict[tuple[str, str], Gate] = field(default_factory=dict)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    def hold(self, hook: str, subject: str) -> Gate:
        """Hold the next call of a hook for this channel, method or (for connect) user."""
        return self._gates.setdefault((hook, subject), Gate())

    async def _gate(self, hook: str, subject: str) -> None:
        gate = self._gates.pop((hook, subject), None)
        if gate is not None:
            await gate.pass_through()

    async def until(self, condition: Callable[[], bool], timeout: float = 5.0) -> None:
        """Wait until the condition on `left` and `ended` holds."""
        async with asyncio.timeout(timeout), self._news:
            await self._news.wait_for(condition)

    @property
    def bundle(self) -> Application:
        """The application in the form that a node takes."""
        return Application(
            resolve=self.resolve, connects=self, subscribes=self, publishes=self, follows=self, calls=self
        )

    def resolve(self, name: str) -> ResolvedChannel | None:
        spec = self.spec(name)
        return None if spec is None else ResolvedChannel(name=name, spec=spec)

    def spec(self, name: str) -> ChannelSpec | None:
        """The options of a channel."""
        return CHANNELS.get(name.partition(":")[0])

    async def connect(self, client: Client, request: ConnectRequest) -> ConnectGrant:
        data = msgspec.json.decode(request.data) if request.data != EMPTY else {}
        await self._gate("connect", data.get("user", ""))
        if "error" in data:
            raise Refused(data["error"])
        if "disconnect" in data:
            raise Disconnect(data["disconnect"])
        info = encode_payload(data["info"]) if "info" in data else EMPTY
        greeting = encode_payload(data["greet"]) if "greet" in data else EMPTY
        return ConnectGrant(
            user_id=data.get("user", ""),
            login_id=data.get("login", ""),
            info=info,
            data=greeting,
            channels={name: SubscribeGrant() for name in data.get("channels", ())},
        )

    async def subscribe(self, client: Client, channel: ResolvedChannel, request: SubscribeRequest) -> SubscribeGrant:
        await self._gate("subscribe", channel.name)
        self._refuse(channel)
        return SubscribeGrant(data=request.data)

    async def publish(self, client: Client, channel: ResolvedChannel, data: Raw, info: ClientInfo) -> PublishGrant:
        await self._gate("publish", channel.name)
        value = msgspec.json.decode(data)
        if isinstance(value, dict) and "raise" in value:
            raise RuntimeError(value["raise"])
        return PublishGrant(data=data)

    async def change_key(self, client: Client, channel: ResolvedChannel, change: KeyChange) -> MapMessage | None:
        await self._gate("change", channel.name)
        if change.key == "forbidden":
            raise Refused(103)
        if change.key == "ignored":
            return None
        key = client.id if change.key == "mine" else change.key
        return MapMessage(key=key, data=change.data, removed=change.removed)

    async def track(self, client: Client, channel: ResolvedChannel, batch: Sequence[str], signature: str) -> int:
        await self._gate("track", channel.name)
        if not signature.isdigit():
            raise Refused(103)
        return int(signature)

    async def poll(self, channel: ResolvedChannel, items: Sequence[PollItem]) -> PollAnswer:
        async with self._news:
            self.polls.append(tuple(items))
            self._news.notify_all()
        await self._gate("poll", channel.name)
        found = tuple(self.values[item.key] for item in items if item.key in self.values)
        return PollAnswer(items=found, epoch=self.epoch)

    async def refresh(self, client: Client, token: str) -> RefreshGrant:
        raise Disconnect(3501)

    async def refresh_subscription(self, client: Client, channel: ResolvedChannel, token: str) -> RefreshGrant:
        raise Refused(108)

    def doubt(self) -> None:
        """Nothing to look at: this application knows no logins."""

    def token_channel(self, token: str) -> str:
        return ""

    async def authorize(self, client: Client, channel: ResolvedChannel) -> None:
        self._refuse(channel)

    async def admits(self, client: Client, channel: ResolvedChannel) -> Predicate | None:
        return None

    async def rpc(self, client: Client, method: str, data: Raw) -> Raw:
        if not self.procedures:
            raise Refused(108)
        await self._gate("rpc", method)
        if method == "echo":
            return data
        if method == "whoami":
            return encode_payload({"user": client.user_id, "client": client.id})
        if method == "fail":
            raise RuntimeError("meant to fail")
        raise Refused(104)

    async def send(self, client: Client, data: Raw) -> None:
        if data != Raw(b'"ok"'):
            raise Disconnect(3508)

    async def unsubscribed(self, client: Client, channel: ResolvedChannel) -> None:
        async with self._news:
            self.left.append((client.id, channel.name))
            self._news.notify_all()

    async def disconnected(self, client: Client, code: int, reason: str) -> None:
        async with self._news:
            self.ended.append((client.id, code, reason))
            self._news.notify_all()

    async def presence_changed(self, client: Client, channel: ResolvedChannel, *, joined: bool) -> None:
        self.seen.append((client.user_id, joined))
        await self._gate("presence", channel.name)

    def _refuse(self, channel: ResolvedChannel) -> None:
        if channel.name.startswith("deny:"):
            raise Refused(103)


def raw(value: object) -> Raw:
    """A value as a payload."""
    return encode_payload(value)


class LossyBroker(MemoryBroker):
    """Loses publications whose data is `LOST` on their way to the subscribers, as a broken link to a store would."""

    LOST: Final = Raw(b'"lost"')

    def __init__(self, handler: PublicationHandler) -> None:
        def deliver(channel: str, publication: Publication, epoch: str) -> None:
            if publication.data != self.LOST:
                handler(channel, publication, epoch)

        super().__init__(deliver)


@dataclass
class Served:
    """A running server."""

    port: int
    node: Node
    application: TinyApplication


Scope = MutableMapping[str, Any]


def asgi(node: Node) -> Callable[..., Awaitable[None]]:
    """The node as an ASGI application: its transports, and nothing else."""

    async def app(scope: Scope, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        handshake = Handshake(headers=headers, address=scope["client"][0])
        if scope["path"] == "/emulation":
            await _take_commands(node, scope, receive, send)
            return
        serve = TRANSPORTS[scope["path"].rpartition("/")[2]]
        try:
            await serve(node, scope, receive, send, handshake)
        except HttpError as error:
            await respond(send, error.status)

    return app


TRANSPORTS: Final[dict[str, Callable[..., Awaitable[None]]]] = {
    "websocket": serve_websocket,
    "http_stream": serve_http_stream,
    "sse": serve_sse,
    "uni_websocket": serve_uni_websocket,
    "uni_http_stream": serve_uni_http_stream,
    "uni_sse": serve_uni_sse,
}


async def _take_commands(node: Node, scope: Scope, receive: Any, send: Any) -> None:
    try:
        emulate(node, await read_emulation(node, scope, receive))
    except HttpError as error:
        await respond(send, error.status)
    else:
        await respond(send, 204)


def _protocols(write_path: str, limits: Limits) -> dict[str, Any]:
    """Options of uvicorn: uvicorn's own protocol classes, or Hotclub's."""
    if write_path == STANDARD:
        return {"ws": "websockets-sansio"}
    return {
        "http": functools.partial(HttpProtocol, limits=limits),
        "ws": functools.partial(WebSocketProtocol, limits=limits),
    }


@contextlib.asynccontextmanager
async def serve(
    application: TinyApplication | None = None,
    *,
    write_path: str = FAST,
    limits: Limits = Limits(),
    make_broker: Callable[[PublicationHandler], Broker] = MemoryBroker,
    make_maps: Callable[[PublicationHandler], MapBroker] = MemoryMapBroker,
) -> AsyncIterator[Served]:
    """The application on a free port of 127.0.0.1, until the block ends."""
    application = application or TinyApplication()
    node = Node(application.bundle, limits=limits, make_broker=make_broker, make_maps=make_maps)
    await node.start()
    config = uvicorn.Config(
        asgi(node),
        host="127.0.0.1",
        port=0,
        **_protocols(write_path, limits),
        lifespan="off",
        log_level="error",
    )
    server = PromptServer(config)
    running = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.wait({running}, timeout=0.01)
        yield Served(server.servers[0].sockets[0].getsockname()[1], node, application)
    finally:
        await node.stop()
        server.end()
        await running
