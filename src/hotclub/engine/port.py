"""What the engine asks of the application it serves: five small protocols, handed to the node as one `Application`.

The Django face implements them (`hotclub.hooks`); tests implement them in a few lines. A method is called once per
command, in the order of one connection's commands; a slow one holds up its own connection and no other. Every method
may raise `Refused` to refuse the command, or `Disconnect` to end the connection; anything else it raises is logged and
answered with error 100.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Raw, Struct, structs

from hotclub.engine.broker.base import Retention
from hotclub.engine.broker.maps import MapMessage, MapRetention
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.engine.model import EMPTY, ClientInfo, Position
from hotclub.engine.protocol.messages import MAP_TYPE, SHARED_POLL_TYPE, STREAM_TYPE

Predicate = Callable[[Mapping[str, str]], bool]
"""Decides by a publication's tags."""


class MapSpec(Struct, frozen=True, kw_only=True):
    """What makes a channel a map: the newest value per key (protocol §2.13).

    With a retention it is persistent: it has positions, and its changes can be recovered.
    """

    type: int = MAP_TYPE
    """What the keys are: names, connections or users; clients have to ask for the same."""
    key_ttl: float = 0.0
    """Seconds that a key lives after it was last set; 0 is until it is removed."""
    keys: int = 0
    """Most keys that it holds, 0 for any number."""
    ordered: bool = False
    """Its state is read by score, highest first."""


class PollSpec(Struct, frozen=True, kw_only=True):
    """What makes a channel a shared poll: the application is asked for the values of the keys that somebody follows,
    once for all of them (protocol §2.14). Times are seconds."""

    interval: float = 10.0
    batch: int = 1000
    """Most keys asked for at one time."""
    keys: int = 5000
    """Most keys that one subscription may follow."""
    timeout: float = 30.0
    """How long the application may take to answer."""
    versioned: bool = True
    """The application's values have versions of their own; otherwise they are told apart by their data."""


class ChannelSpec(Struct, frozen=True, kw_only=True):
    """The options of one channel, as resolved from its name."""

    retention: Retention = Retention()
    durable: bool = False
    """Kept by the durable broker instead of the node's own."""
    presence: bool = False
    """Who is here."""
    join_leave: bool = False
    """Whoever comes or goes is announced."""
    push_join_leave: bool = False
    """Members are told of it."""
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
    members_only: bool = True
    """Only subscribers may publish."""
    debounce: int = 0
    """Milliseconds in which clients send only the newest of what they publish (§2.10)."""
    map: MapSpec | None = None
    poll: PollSpec | None = None
    clients_map: str = ""
    """The map in which every subscriber stands under its connection's id, and the one under its user's."""
    users_map: str = ""

    @property
    def positioned(self) -> bool:
        """Whether subscribers are held to gapless offsets."""
        return self.retention.size > 0 and (self.recoverable or self.position)

    @property
    def type(self) -> int:
        """What clients call this kind of channel."""
        if self.map is not None:
            return self.map.type
        return STREAM_TYPE if self.poll is None else SHARED_POLL_TYPE

    @property
    def visible(self) -> bool:
        """Whether anybody can see who is subscribed."""
        return self.presence or self.join_leave or bool(self.clients_map or self.users_map)

    @property
    def latest(self) -> bool:
        """Whether only the newest publication of a key matters, and those before it may be left out."""
        return self.poll is not None or (self.map is not None and self.retention.size <= 0)

    @property
    def map_retention(self) -> MapRetention:
        """What the map broker keeps of it; for maps only."""
        assert self.map is not None
        return MapRetention(stream=self.retention, key_ttl=self.map.key_ttl, keys=self.map.keys)


class ResolvedChannel(Struct, frozen=True, kw_only=True, eq=False):
    """A channel that the application knows, as resolved from its name.

    An application extends it by what it needs to serve the channel, and gets it back with every question about it.
    """

    name: str
    spec: ChannelSpec

    def overridden(self, overrides: "Overrides") -> "ResolvedChannel":
        """The channel as one subscription has it. Raises as `Overrides.of` does."""
        spec = overrides.of(self.spec)
        return self if spec is self.spec else structs.replace(self, spec=spec)


class Overrides(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one subscription does in another way than its channel does; None is the same way (protocol §8.1)."""

    presence: bool | None = None
    join_leave: bool | None = None
    """Its own coming and going is announced."""
    push_join_leave: bool | None = None
    """It is told who comes and goes."""
    recoverable: bool | None = None
    position: bool | None = None

    def of(self, spec: ChannelSpec) -> ChannelSpec:
        """The options of this subscription.

        Raises:
            Refused: `NOT_AVAILABLE`, the channel does not keep what this would need.
        """
        if self.presence and not spec.presence:
            raise Refused(Code.NOT_AVAILABLE, "an override cannot give presence to a channel that keeps none")
        if (self.recoverable or self.position) and (spec.retention.size <= 0 or spec.map is not None):
            raise Refused(Code.NOT_AVAILABLE, "an override cannot give positions to a channel that keeps no history")
        wanted = {name: value for name, value in structs.asdict(self).items() if value is not None}
        if not wanted:
            return spec
        spec = structs.replace(spec, **wanted)
        return structs.replace(spec, cache=spec.cache and spec.recoverable)


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

    `user_id` is "" for an anonymous connection. `login_id` groups the connections of one login: the control
    operations can address it. `state` is the face's own.
    """

    id: str
    handshake: Handshake
    user_id: str = ""
    login_id: str = ""
    info: Raw = EMPTY
    state: object = None


class ConnectRequest(Struct, frozen=True, kw_only=True):
    """The client's connect command, without the positions.

    `headers` are the client's own claim, and no more to be trusted than `data`. `channels` are those it knows or wishes
    for.
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
    login_id: str = ""
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
    `overrides` are for this subscription alone.
    """

    info: Raw = EMPTY
    data: Raw = EMPTY
    ttl: int = 0
    admits: Predicate | None = None
    overrides: Overrides = Overrides()


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


class KeyChange(Struct, frozen=True, kw_only=True):
    """What a client wants of a map: to set `key`, or to remove it."""

    key: str
    data: Raw = EMPTY
    removed: bool = False


class PollItem(Struct, frozen=True):
    """A key that is asked for, and the version that is known of it, 0 for none."""

    key: str
    version: int = 0


class PolledItem(Struct, frozen=True, kw_only=True):
    """A key's value. A key that is `removed` is not followed any more."""

    key: str
    data: Raw = EMPTY
    version: int = 0
    removed: bool = False


class PollAnswer(Struct, frozen=True, kw_only=True):
    """What the application knows of the keys it was asked for; those left out are as they were.

    Versions of different epochs cannot be compared: another one than before makes every follower begin anew.
    """

    items: tuple[PolledItem, ...] = ()
    epoch: str = ""


class Connects(Protocol):
    """Who may connect, and for how long."""

    async def connect(self, client: Client, request: ConnectRequest) -> ConnectGrant: ...

    async def refresh(self, client: Client, token: str) -> RefreshGrant:
        """The connection's new token. Raises Disconnect `INVALID_TOKEN` for an invalid one, `CONNECTION_EXPIRED` for
        one that has expired, and `BAD_REQUEST` when connections are not refreshed by their clients."""
        ...

    async def disconnected(self, client: Client, code: int, reason: str) -> None:
        """The connection has ended. Must not raise."""
        ...


class Subscribes(Protocol):
    """Who may be in a channel, what a subscriber may have of it, and who has come and gone."""

    async def subscribe(
        self, client: Client, channel: ResolvedChannel, request: SubscribeRequest
    ) -> SubscribeGrant: ...

    async def refresh_subscription(self, client: Client, channel: ResolvedChannel, token: str) -> RefreshGrant:
        """A subscription's new token. Raises Disconnect `INVALID_TOKEN` for one that is not for this,
        `SUBSCRIPTION_EXPIRED` for an expired one."""
        ...

    def token_channel(self, token: str) -> str:
        """The name of the channel that a subscription token is for, "" when that is not known. Pure and quick."""
        ...

    async def authorize(self, client: Client, channel: ResolvedChannel) -> None:
        """Return when this client may see who is in the channel, and what was published there; raise Refused
        `PERMISSION_DENIED` otherwise."""
        ...

    async def admits(self, client: Client, channel: ResolvedChannel) -> Predicate | None:
        """Which publications of the channel this client may have, None for all: asked wherever it gets some without a
        `subscribe`. Raises Refused when that cannot be told; then it gets none."""
        ...

    async def unsubscribed(self, client: Client, channel: ResolvedChannel) -> None:
        """The subscription has ended, for whatever reason. Must not raise."""
        ...

    async def presence_changed(self, client: Client, channel: ResolvedChannel, *, joined: bool) -> None:
        """The client has joined a channel with presence, or left it. Must not raise."""
        ...


class Publishes(Protocol):
    """What becomes of a client's publication."""

    async def publish(self, client: Client, channel: ResolvedChannel, data: Raw, info: ClientInfo) -> PublishGrant:
        """Decide on a publication. `info` is what the members of the channel see of its publisher."""
        ...


class Follows(Protocol):
    """Keys: those of maps, which clients set and remove, and those of shared polls, which clients follow."""

    async def change_key(self, client: Client, channel: ResolvedChannel, change: KeyChange) -> MapMessage | None:
        """A subscriber of a map sets or removes a key. What is returned is done instead; None: nothing."""
        ...

    async def track(self, client: Client, channel: ResolvedChannel, batch: Sequence[str], signature: str) -> int:
        """A subscriber of a shared poll asks for these keys, in this order. Returns for how many seconds it may follow
        them, 0 for ever. Raises Refused `PERMISSION_DENIED` for a signature that does not allow them, `TOKEN_EXPIRED`
        for one that has expired."""
        ...

    async def poll(self, channel: ResolvedChannel, items: Sequence[PollItem]) -> PollAnswer:
        """The values of these keys of a shared poll."""
        ...


class Calls(Protocol):
    """What a client may have done for it without a channel."""

    async def rpc(self, client: Client, method: str, data: Raw) -> Raw:
        """Call a procedure. Raises Refused `NOT_AVAILABLE` when there are none at all, `METHOD_NOT_FOUND` for an
        unknown one."""
        ...

    async def send(self, client: Client, data: Raw) -> None:
        """An asynchronous message. Raises Disconnect `NOT_AVAILABLE` when the application takes none."""
        ...


class Application(Struct, frozen=True, kw_only=True, eq=False):
    """The application that a node serves: the decisions that belong to it."""

    explains: bool = False
    """Its clients are told why they are refused, where the log is told: for development."""
    resolve: Callable[[str], ResolvedChannel | None]
    """The channel of a name, or None when the application knows no such channel. Pure and quick."""
    connects: Connects
    subscribes: Subscribes
    publishes: Publishes
    follows: Follows
    calls: Calls
