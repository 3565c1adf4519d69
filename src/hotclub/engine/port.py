"""The port of the application that a node serves: five protocols, and the `Application` that holds one of each.

`hotclub.hooks` implements them for Django. A connection's commands call the methods in order; a slow method delays its
own connection alone. Every method of a command may raise `Refused` to refuse the command, or `Disconnect` to end the
connection; any other exception is logged and answered with error 100. The end of the connection cancels the method.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Protocol

from msgspec import Raw, Struct, structs

from hotclub.engine.broker.base import Retention
from hotclub.engine.broker.maps import MapMessage, MapRetention
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.engine.keyed import KeyChange as KeyChange  # noqa: PLC0414 - a part of the port
from hotclub.engine.keyed import PollAnswer as PollAnswer  # noqa: PLC0414 - a part of the port
from hotclub.engine.keyed import PolledItem as PolledItem  # noqa: PLC0414 - a part of the port
from hotclub.engine.keyed import PollItem as PollItem  # noqa: PLC0414 - a part of the port
from hotclub.engine.model import EMPTY, ClientInfo, Position
from hotclub.engine.protocol.messages import MAP_TYPE, SHARED_POLL_TYPE, STREAM_TYPE

Predicate = Callable[[Mapping[str, str]], bool]
"""Takes a publication's tags. Returns whether the publication is let through."""


class MapSpec(Struct, frozen=True, kw_only=True):
    """The options of a map, which keeps the newest value per key (protocol §2.13).

    A map with a retention is persistent: it has positions, and its changes can be recovered.
    """

    type: int = MAP_TYPE
    """Whether the keys are names, connections or users. A subscribe command must name the same type."""
    key_ttl: float = 0.0
    """Seconds for which a key lives after it was last set; 0 is until it is removed."""
    keys: int = 0
    """The most keys that the map holds, 0 for any number."""
    ordered: bool = False
    """The entries are read by score, highest first."""


class PollSpec(Struct, frozen=True, kw_only=True):
    """The options of a shared poll: the node asks the application for the values of the followed keys, once for all
    followers (protocol §2.14). Times are seconds."""

    interval: float = 10.0
    batch: int = 1000
    """The most keys of one question."""
    keys: int = 5000
    """The most keys that one subscription may follow."""
    timeout: float = 30.0
    """How long the application may take to answer a question."""
    versioned: bool = True
    """The application gives each value a version. Otherwise the node compares the data of values."""


class ChannelSpec(Struct, frozen=True, kw_only=True):
    """The options of one channel."""

    retention: Retention = Retention()
    durable: bool = False
    """The durable broker keeps the log instead of the node's own."""
    presence: bool = False
    """The members are stored and can be asked for (§2.5)."""
    join_leave: bool = False
    """Joins and leaves are announced to the members."""
    push_join_leave: bool = False
    """Members get the announced joins and leaves as pushes."""
    recoverable: bool = False
    """Subscribers get positions and can recover; needs a retention."""
    cache: bool = False
    """A subscriber gets the latest publication, also without asking to recover (protocol §3.1, cache mode)."""
    position: bool = False
    """The node checks the subscribers' offsets for gaps, also without recovery; needs a retention."""
    delta: bool = False
    """Subscribers that ask for differences get them instead of whole publications (§2.11)."""
    filters: bool = False
    """Subscribers may filter publications by their tags (§2.12)."""
    compaction: bool = False
    """Publications carry a number instead of the channel's name, for subscribers that offer it (§2.10)."""
    members_only: bool = True
    """Only subscribers may publish."""
    debounce: int = 0
    """Milliseconds in which a client sends only its newest publication (§2.10)."""
    map: MapSpec | None = None
    poll: PollSpec | None = None
    clients_map: str = ""
    """`clients_map` is the map that holds every subscriber's connection id as a key, `users_map` its user id; or ""."""
    users_map: str = ""

    @property
    def positioned(self) -> bool:
        """Whether the node checks the subscribers' offsets for gaps."""
        return self.retention.size > 0 and (self.recoverable or self.position)

    @property
    def type(self) -> int:
        """The type that a subscribe command must name (`STREAM_TYPE`, …)."""
        if self.map is not None:
            return self.map.type
        return STREAM_TYPE if self.poll is None else SHARED_POLL_TYPE

    @property
    def visible(self) -> bool:
        """Whether the channel shows its subscribers anywhere."""
        return self.presence or self.join_leave or bool(self.clients_map or self.users_map)

    @property
    def latest(self) -> bool:
        """Whether a slow reader may get only the newest publication of each key."""
        return self.poll is not None or (self.map is not None and self.retention.size <= 0)

    @property
    def map_retention(self) -> MapRetention:
        """The retention for the map broker; for maps only."""
        assert self.map is not None
        return MapRetention(stream=self.retention, key_ttl=self.map.key_ttl, keys=self.map.keys)


class ResolvedChannel(Struct, frozen=True, kw_only=True, eq=False):
    """A channel that the application knows.

    An application may return a subclass with fields of its own, which its methods get back.
    """

    name: str
    spec: ChannelSpec

    def overridden(self, overrides: "Overrides") -> "ResolvedChannel":
        """The channel with the overrides of one subscription. Raises as `Overrides.of`."""
        spec = overrides.of(self.spec)
        return self if spec is self.spec else structs.replace(self, spec=spec)


class Overrides(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Options of one subscription that replace its channel's; None leaves the channel's (protocol §8.1)."""

    presence: bool | None = None
    join_leave: bool | None = None
    """The subscriber's own join and leave are announced."""
    push_join_leave: bool | None = None
    """The subscriber gets joins and leaves as pushes."""
    recoverable: bool | None = None
    position: bool | None = None

    def of(self, spec: ChannelSpec) -> ChannelSpec:
        """The options of the subscription, from those of its channel.

        Raises:
            Refused: `NOT_AVAILABLE`, the channel keeps no presence or no history, which an override needs.
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
    """A connection before its connect command: the lower-cased headers of the request that opened it, the peer's
    address, and in `state` the application's own values (never shown to a client)."""

    headers: Mapping[str, str] = {}
    address: str = ""
    state: Mapping[str, object] = {}


class Place(Protocol):
    """A subscription, as the application may know it."""

    expelled: bool
    """Whether the server has ended it, although its command is still under way."""


class Client(Struct, kw_only=True, eq=False):
    """One connection, as the methods of the application get it.

    `user_id` is "" for an anonymous connection. `login_id` is the same for the connections of one login; orders of the
    server can name it. `state` is the application's own. `places` are the subscriptions, as they change. `revoked` are
    the channels that the server has taken back since the procedure that is being called began.
    """

    id: str
    handshake: Handshake
    user_id: str = ""
    login_id: str = ""
    info: Raw = EMPTY
    state: object = None
    places: Mapping[str, Place] = {}
    revoked: Container[str] = ()

    def holds(self, channel: str) -> bool:
        """Whether the connection has a subscription to the channel now that the server has not taken back."""
        place = self.places.get(channel)
        return place is not None and not place.expelled


class ConnectRequest(Struct, frozen=True, kw_only=True):
    """The client's connect command, without the positions.

    The client chooses `headers` as freely as `data`. `channels` are the server-side channels that it names.
    """

    token: str = ""
    data: Raw = EMPTY
    name: str = ""
    version: str = ""
    headers: Mapping[str, str] = {}
    channels: tuple[str, ...] = ()


class ConnectGrant(Struct, frozen=True, kw_only=True):
    """The terms of a connection that the application accepts.

    `channels` are its server-side subscriptions, which need no further grant. `ttl` is its life in seconds, 0 for ever;
    a refresh prolongs it.
    """

    user_id: str = ""
    login_id: str = ""
    info: Raw = EMPTY
    data: Raw = EMPTY
    channels: Mapping[str, "SubscribeGrant"] = {}
    ttl: int = 0
    state: object = None


class SubscribeRequest(Struct, frozen=True, kw_only=True):
    """The fields of a subscribe command on which the application decides."""

    token: str = ""
    data: Raw = EMPTY


class SubscribeGrant(Struct, frozen=True, kw_only=True):
    """The terms of a subscription that the application accepts.

    `info` is shown to the channel's members (`chan_info`), `data` to the subscriber. `ttl` is in seconds, 0 for ever.
    A publication reaches the subscriber only if its tags pass both `admits` and the client's own filter.
    `overrides` are for this subscription alone.
    """

    info: Raw = EMPTY
    data: Raw = EMPTY
    ttl: int = 0
    admits: Predicate | None = None
    overrides: Overrides = Overrides()


class RefreshGrant(Struct, frozen=True, kw_only=True):
    """A connection or subscription goes on for `ttl` seconds, 0 for ever. `info` replaces the connection's `info`."""

    ttl: int = 0
    info: Raw = EMPTY


class PublishGrant(Struct, frozen=True, kw_only=True):
    """Either `data`, which the node publishes, or `position`, if the application has published by itself.

    With neither the publication is accepted, and nothing is published.
    """

    data: Raw = EMPTY
    position: Position | None = None
    tags: dict[str, str] = {}
    idempotency_key: str = ""


class Connects(Protocol):
    """Decides on connections."""

    async def connect(self, client: Client, request: ConnectRequest) -> ConnectGrant:
        """Decide on a connect command. `client` has only its `id` and its `handshake` yet."""
        ...

    async def refresh(self, client: Client, token: str) -> RefreshGrant:
        """Decide on a connection's new token. Raises Disconnect `INVALID_TOKEN` for an invalid token,
        `CONNECTION_EXPIRED` for an expired one, `BAD_REQUEST` when the connection is not refreshed by its client."""
        ...

    def doubt(self) -> None:
        """Look at the login of every connection soon, because some may be over. Must not block."""
        ...

    async def disconnected(self, client: Client, code: int, reason: str) -> None:
        """Note that a connection has ended, with this close code and reason. Must not raise."""
        ...


class Subscribes(Protocol):
    """Decides on subscriptions, and on what a client may see of a channel."""

    async def subscribe(self, client: Client, channel: ResolvedChannel, request: SubscribeRequest) -> SubscribeGrant:
        """Decide on a subscribe command. Raises Refused `PERMISSION_DENIED` for a client that may not subscribe."""
        ...

    async def refresh_subscription(self, client: Client, channel: ResolvedChannel, token: str) -> RefreshGrant:
        """Decide on a subscription's new token. Raises Disconnect `INVALID_TOKEN` for an invalid token or one for
        another subscription, `SUBSCRIPTION_EXPIRED` for an expired one."""
        ...

    def token_channel(self, token: str) -> str:
        """The name of the channel that a subscription token is for, "" when it names none. Must not wait."""
        ...

    async def authorize(self, client: Client, channel: ResolvedChannel) -> None:
        """Decide whether the client may see the channel's members and history. Raises Refused `PERMISSION_DENIED` for a
        client that may not."""
        ...

    async def admits(self, client: Client, channel: ResolvedChannel) -> Predicate | None:
        """The predicate for the publications that the client may get, None for all. Asked where the client gets
        publications without a `subscribe`. Raises Refused to give the client none."""
        ...

    async def unsubscribed(self, client: Client, channel: ResolvedChannel) -> None:
        """Note that a subscription has ended, or has failed to open after its grant. Must not raise."""
        ...

    async def presence_changed(self, client: Client, channel: ResolvedChannel, *, joined: bool) -> None:
        """Note that the client has joined a channel with presence, or left it. Must not raise."""
        ...


class Publishes(Protocol):
    """Decides on the publications of clients."""

    async def publish(self, client: Client, channel: ResolvedChannel, data: Raw, info: ClientInfo) -> PublishGrant:
        """Decide on a publication. The channel's members see `info` with it."""
        ...


class Follows(Protocol):
    """Decides on the keys of maps, which clients set, and of shared polls, which clients follow."""

    async def change_key(self, client: Client, channel: ResolvedChannel, change: KeyChange) -> MapMessage | None:
        """Decide on a client's change of a map. Returns the change that the node makes instead, None for none."""
        ...

    async def track(self, client: Client, channel: ResolvedChannel, batch: Sequence[str], signature: str) -> int:
        """Decide whether a subscriber may follow the keys of `batch`, in this order. Returns for how many seconds, 0
        for ever. Raises Refused `PERMISSION_DENIED` when the signature does not allow the keys, `TOKEN_EXPIRED` when
        it has expired."""
        ...

    async def poll(self, channel: ResolvedChannel, items: Sequence[PollItem]) -> PollAnswer:
        """The values of these keys. Cancelled after `PollSpec.timeout`. No other call asks for the keys meanwhile."""
        ...


class Calls(Protocol):
    """Serves the commands that name no channel."""

    async def rpc(self, client: Client, method: str, data: Raw) -> Raw:
        """Call a procedure and return its answer. Raises Refused `NOT_AVAILABLE` when the application has no
        procedures, `METHOD_NOT_FOUND` for an unknown one."""
        ...

    async def send(self, client: Client, data: Raw) -> None:
        """Take an asynchronous message. Raises Disconnect `NOT_AVAILABLE` when the application takes none."""
        ...


class Application(Struct, frozen=True, kw_only=True, eq=False):
    """The application that a node serves."""

    explains: bool = False
    """Clients read the `why` of errors, which otherwise only the log gets: for development."""
    resolve: Callable[[str], ResolvedChannel | None]
    """The channel of a name, None when the application does not know it. Must not wait."""
    connects: Connects
    subscribes: Subscribes
    publishes: Publishes
    follows: Follows
    calls: Calls
