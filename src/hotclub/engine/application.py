"""What the engine asks of the application it serves: the upward port of sessions and handlers.

The Django face implements it (`hotclub.face`); tests implement it in a few lines. Every method may raise
`CommandError` to refuse the command, or `Disconnect` to end the connection; anything else it raises is logged and
answered with error 100.
"""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Raw, Struct

from hotclub.engine.broker.base import Retention
from hotclub.engine.model import EMPTY, Position


class ChannelSpec(Struct, frozen=True, kw_only=True):
    """The options of one channel, as resolved from its name."""

    retention: Retention = Retention()
    durable: bool = False
    """Kept by the durable broker instead of the node's own."""
    presence: bool = False
    """Who is here, with join and leave pushed to every member."""
    recoverable: bool = False
    """Positions are given out and recovery is attempted; needs a retention."""

    @property
    def positioned(self) -> bool:
        """Whether subscribers are held to gapless offsets."""
        return self.retention.size > 0 and self.recoverable


class Handshake(Struct, frozen=True, kw_only=True):
    """What is known of a connection before its connect command: lower-cased headers of the request that opened it,
    the peer's address, and whatever the face keeps for itself in `state` (never shown to a client)."""

    headers: Mapping[str, str] = {}
    address: str = ""
    state: Mapping[str, object] = {}


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
    """The client's connect command, without the positions."""

    token: str = ""
    data: Raw = EMPTY
    name: str = ""
    version: str = ""


class ConnectGrant(Struct, frozen=True, kw_only=True):
    """The connection may live. `channels` are its server-side subscriptions, granted without asking again."""

    user_id: str = ""
    session_id: str = ""
    info: Raw = EMPTY
    data: Raw = EMPTY
    channels: tuple[str, ...] = ()
    state: object = None


class SubscribeRequest(Struct, frozen=True, kw_only=True):
    """The client's subscribe command, as far as an application decides on it."""

    token: str = ""
    data: Raw = EMPTY


class SubscribeGrant(Struct, frozen=True, kw_only=True):
    """The subscription may live. `info` is shown to the channel's members (`chan_info`), `data` to the subscriber."""

    info: Raw = EMPTY
    data: Raw = EMPTY


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
