"""What the engine asks of the application it serves: the upward port of sessions and handlers.

The Django face implements it (`hotclub.face`); tests implement it in a few lines. Every method may raise
`CommandError` to refuse the command, or `Disconnect` to end the connection; anything else it raises is logged and
answered with error 100.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Raw, Struct

from hotclub.engine.broker.base import Retention
from hotclub.engine.model import EMPTY, Position

Predicate = Callable[[Mapping[str, str]], bool]
"""Decides by a publication's tags."""


class ChannelSpec(Struct, frozen=True, kw_only=True):
    """The options of one channel, as resolved from its name."""

    retention: Retention = Retention()
    durable: bool = False
    """Kept by the durable broker instead of the node's own."""
    presence: bool = False
    """Who is here, with join and leave pushed to every member."""
    recoverable: bool = False
    """Positions are given out and recovery is attempted; needs a retention."""
    cache: bool = False
    """Recovery brings the latest publication alone, and brings it unasked (protocol §3.1, cache mode)."""
    position: bool = False
    """Subscribers are held to gapless offsets even when nothing can be recovered; needs a retention."""
    delta: bool = False
    """Subscribers that ask for it get differences between publications instead of the publications (§2.11)."""
    filters: bool = False
    """Subscribers may choose publications by their tags (§2.12)."""
    compaction: bool = False
    """Publications name the channel by a number, to subscribers that understand it (§2.10)."""

    @property
    def positioned(self) -> bool:
        """Whether subscribers are held to gapless offsets."""
        return self.retention.size > 0 and (self.recoverable or self.position)


class Handshake(Struct, frozen=True, kw_only=True):
    """What is known of a connection before its connect command: lower-cased headers of the request that opened it,
    the peer's address, and whatever the face keeps for itself in `state` (never shown to a client)."""

    headers: Mapping[str, str] = {}
    address: str = ""
    state: Mapping[str, object] = {}
    principal: str = ""
    """Who the request shows itself to be. Commands that come on another way must show the same."""


class Client(Struct, kw_only=True, eq=False):
    """One connection as the application sees it; handed to every hook.

    `user_id` is "" for an anonymous connection. `session_id` groups the connections of one login: the control
    operations can address it. `state` is the face's own.
    """

    id: str
    handshake: Handshake
    user_id: str = ""
    session_id: str = ""
    info: Raw = EMPTY
    state: object = None


class ConnectRequest(Struct, frozen=True, kw_only=True):
    """The client's connect command, without the positions.

    `headers` are the client's own claim, and no more to be trusted than `data`. `channels` are those it knows or, over
    a unidirectional transport, wishes for.
    """

    token: str = ""
    data: Raw = EMPTY
    name: str = ""
    version: str = ""
    headers: Mapping[str, str] = {}
    channels: tuple[str, ...] = ()


class ConnectGrant(Struct, frozen=True, kw_only=True):
    """The connection may live. `channels` are its server-side subscriptions, granted without asking again.

    `ttl` is in seconds, 0 for ever: the client has to refresh before it is over.
    """

    user_id: str = ""
    session_id: str = ""
    info: Raw = EMPTY
    data: Raw = EMPTY
    channels: Mapping[str, "SubscribeGrant"] = {}
    ttl: int = 0
    state: object = None


class SubscribeRequest(Struct, frozen=True, kw_only=True):
    """The client's subscribe command, as far as an application decides on it."""

    token: str = ""
    data: Raw = EMPTY


class SubscribeGrant(Struct, frozen=True, kw_only=True):
    """The subscription may live.

    `info` is shown to the channel's members (`chan_info`), `data` to the subscriber. `ttl` is in seconds, 0 for ever.
    Publications whose tags `admits` refuses never reach this subscriber, whatever its own filter says.
    """

    info: Raw = EMPTY
    data: Raw = EMPTY
    ttl: int = 0
    admits: Predicate | None = None


class RefreshGrant(Struct, frozen=True, kw_only=True):
    """The connection or subscription lives on, for `ttl` seconds, 0 for ever. `info` replaces the one shown."""

    ttl: int = 0
    info: Raw = EMPTY


class PublishGrant(Struct, frozen=True, kw_only=True):
    """Either `data` to append and fan out now, or `position` of what the application has published itself.

    With neither the publication is accepted and nobody gets anything.
    """

    data: Raw = EMPTY
    position: Position | None = None
    tags: dict[str, str] = {}
    idempotency_key: str = ""


class Application(Protocol):
    """The decisions that belong to the application. Called once per command, in the order of one connection's
    commands; a hook that is slow holds up its own connection and no other."""

    def channel(self, name: str) -> ChannelSpec | None:
        """The options of the channel, or None when no such channel exists (error 102). Pure and quick."""
        ...

    async def connect(self, client: Client, request: ConnectRequest) -> ConnectGrant: ...

    async def subscribe(self, client: Client, channel: str, request: SubscribeRequest) -> SubscribeGrant: ...

    async def publish(self, client: Client, channel: str, data: Raw) -> PublishGrant: ...

    async def refresh(self, client: Client, token: str) -> RefreshGrant:
        """The connection's new token. Raises Disconnect 3500 for an invalid one, 3005 for one that has expired, and
        3501 when connections are not refreshed by their clients."""
        ...

    async def refresh_subscription(self, client: Client, channel: str, token: str) -> RefreshGrant:
        """A subscription's new token. Raises Disconnect 3500 for one that is not for this, 3006 for an expired one."""
        ...

    async def authorize_presence(self, client: Client, channel: str) -> None:
        """Return when this subscriber may see who is in the channel; raise 103 otherwise."""
        ...

    async def authorize_history(self, client: Client, channel: str) -> None:
        """Return when this subscriber may read the channel's history; raise 103 otherwise."""
        ...

    async def rpc(self, client: Client, method: str, data: Raw) -> Raw:
        """Call a procedure. Raises 108 when there are none at all, 104 for an unknown one."""
        ...

    async def send(self, client: Client, data: Raw) -> None:
        """An asynchronous message; raise Disconnect 3508 when the application takes none."""
        ...

    async def unsubscribed(self, client: Client, channel: str) -> None:
        """The subscription has ended, for whatever reason. Must not raise."""
        ...

    async def disconnected(self, client: Client, code: int, reason: str) -> None:
        """The connection has ended. Must not raise."""
        ...

    async def presence_changed(self, channel: str, client: Client, joined: bool) -> None:
        """Somebody joined or left a channel with presence. Must not raise."""
        ...
