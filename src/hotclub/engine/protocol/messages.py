"""The messages of the client protocol, version 2: commands in, replies and pushes out (protocol §1.3–§2.9).

A codec decodes frames to `Command`, and encodes `Reply` and `Push` to frames. A field that holds its default is left
out on the wire, unless a client reads the field unconditionally. What the fields mean stands in the protocol.
"""

from typing import Annotated, Final

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from hotclub.engine.model import EMPTY, ClientInfo, Publication

MAX_SAFE_INTEGER: Final = 2**53
"""The largest number that every client reads exactly (protocol §1.4)."""

CommandId = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Offset = Annotated[int, Meta(ge=-MAX_SAFE_INTEGER, le=MAX_SAFE_INTEGER)]
"""A negative offset is no position of any log. It is decoded all the same, so that its client is told to load anew."""
Version = Annotated[int, Meta(ge=0, le=MAX_SAFE_INTEGER)]
Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Flags = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
MAX_ITEMS: Final = 1_000
"""Most elements of any list or map in a command: an empty element takes two bytes of a frame and many of memory."""
Bounded: Final = Meta(max_length=MAX_ITEMS)

COMPACTION: Final = 1
"""Bit of `SubscribeCommand.flag`: pushes may name the channel by the number that the result gives it."""
REJECT_UNRECOVERED: Final = 2
"""Bit of `SubscribeCommand.flag`: answer 112 instead of subscribing without the missed publications."""

STREAM_TYPE: Final = 0
"""Values of `SubscribeCommand.type` and `SubscribeResult.type`."""
MAP_TYPE: Final = 1
MAP_CLIENTS_TYPE: Final = 2
MAP_USERS_TYPE: Final = 3
SHARED_POLL_TYPE: Final = 4

LIVE_PHASE: Final = 0
"""Values of `phase` in the same messages, for map channels (protocol §2.13)."""
STREAM_PHASE: Final = 1
STATE_PHASE: Final = 2

MAP_PUBLISH: Final = 1
"""Value of `PublishCommand.type`: the publication sets or removes `key` of a map channel."""

TRACK: Final = 1
"""Values of `SubRefreshCommand.type`; 0 is a new token (protocol §2.14)."""
UNTRACK: Final = 2

FOSSIL: Final = "fossil"
"""The only delta algorithm that a client may ask for."""


class FilterNode(Struct, frozen=True, omit_defaults=True):
    """A node of a tags filter as it came (protocol §2.12). `hotclub.engine.tags` validates it."""

    op: str = ""
    key: str = ""
    cmp: str = ""
    val: str = ""
    vals: Annotated[tuple[str, ...], Bounded] = ()
    nodes: Annotated[tuple["FilterNode", ...], Bounded] = ()


class SubscribeCommand(Struct, frozen=True, omit_defaults=True):
    """A subscribe command (protocol §2.2), or a value of `ConnectCommand.subs`.

    There the key names the channel, and the value is the client's position in a channel that the server subscribed it
    to, or a wish.
    """

    channel: str = ""
    token: str = ""
    data: Raw = EMPTY
    recover: bool = False
    epoch: str = ""
    offset: Offset = 0
    delta: str = ""
    flag: Flags = 0
    type: Int32 = STREAM_TYPE
    positioned: bool = False
    recoverable: bool = False
    join_leave: bool = False
    tf: FilterNode | None = None
    phase: Int32 = LIVE_PHASE
    cursor: str = ""
    limit: Int32 = 0
    asc: bool = False


class ConnectCommand(Struct, frozen=True, omit_defaults=True):
    """A connect command (protocol §2.1). `headers` come from the client and prove nothing."""

    token: str = ""
    data: Raw = EMPTY
    subs: Annotated[dict[str, SubscribeCommand], Bounded] = {}
    name: str = ""
    version: str = ""
    headers: Annotated[dict[str, str], Bounded] = {}
    flag: Flags = 0


class UnsubscribeCommand(Struct, frozen=True, omit_defaults=True):
    channel: str = ""


class PublishCommand(Struct, frozen=True, omit_defaults=True):
    """A publish command (protocol §2.4), or the change of a map's key (§2.13)."""

    channel: str = ""
    data: Raw = EMPTY
    type: Int32 = 0
    key: str = ""
    removed: bool = False


class PresenceCommand(Struct, frozen=True, omit_defaults=True):
    channel: str = ""


class PresenceStatsCommand(Struct, frozen=True, omit_defaults=True):
    channel: str = ""


class Since(Struct, frozen=True, omit_defaults=True):
    offset: Offset = 0
    epoch: str = ""


class HistoryCommand(Struct, frozen=True, omit_defaults=True):
    channel: str = ""
    limit: Int32 = 0
    since: Since | None = None
    reverse: bool = False


class PingCommand(Struct, frozen=True, omit_defaults=True):
    """A ping from the client, which is answered."""


class SendCommand(Struct, frozen=True, omit_defaults=True):
    data: Raw = EMPTY


class RpcCommand(Struct, frozen=True, omit_defaults=True):
    method: str = ""
    data: Raw = EMPTY


class RefreshCommand(Struct, frozen=True, omit_defaults=True):
    token: str = ""


class KeyedItem(Struct, frozen=True, omit_defaults=True):
    """A key of a shared poll channel, with the version that the client has (0: none)."""

    key: str = ""
    version: Version = 0


class TrackBatch(Struct, frozen=True, omit_defaults=True):
    """Keys to follow, with the signature that allows exactly this list of them."""

    signature: str = ""
    items: Annotated[tuple[KeyedItem, ...], Bounded] = ()


class SubRefreshCommand(Struct, frozen=True, omit_defaults=True):
    """A new token for a subscription (protocol §2.8), or keys of a shared poll (§2.14)."""

    channel: str = ""
    token: str = ""
    type: Int32 = 0
    track: Annotated[tuple[TrackBatch, ...], Bounded] = ()
    untrack: Annotated[tuple[str, ...], Bounded] = ()


class Command(Struct, frozen=True, omit_defaults=True):
    """One command as it came. Exactly one method is set; `{}` is a pong."""

    id: CommandId = 0
    connect: ConnectCommand | None = None
    subscribe: SubscribeCommand | None = None
    unsubscribe: UnsubscribeCommand | None = None
    publish: PublishCommand | None = None
    presence: PresenceCommand | None = None
    presence_stats: PresenceStatsCommand | None = None
    history: HistoryCommand | None = None
    ping: PingCommand | None = None
    send: SendCommand | None = None
    rpc: RpcCommand | None = None
    refresh: RefreshCommand | None = None
    sub_refresh: SubRefreshCommand | None = None


METHODS: Final = Command.__struct_fields__[1:]

Request = (
    ConnectCommand
    | SubscribeCommand
    | UnsubscribeCommand
    | PublishCommand
    | PresenceCommand
    | PresenceStatsCommand
    | HistoryCommand
    | PingCommand
    | SendCommand
    | RpcCommand
    | RefreshCommand
    | SubRefreshCommand
)


def request_of(command: Command) -> Request | None:
    """The command's method, the first that is set, or None for a pong."""
    for method in METHODS:
        request: Request | None = getattr(command, method)
        if request is not None:
            return request
    return None


class ErrorResult(Struct, frozen=True, omit_defaults=True):
    """Why a command was refused. `temporary`: the same command may succeed later."""

    code: int
    message: str
    temporary: bool = False


class SubscribeResult(Struct, frozen=True, omit_defaults=True):
    """A subscription that was granted, or a page of a map (protocol §2.2, §2.13).

    `id` is the channel's number for compaction. `publish_debounce` is milliseconds. `ttl` is seconds, and at least 1
    when `expires` is set, because clients read it unconditionally.
    """

    recoverable: bool = False
    positioned: bool = False
    epoch: str = ""
    offset: int = 0
    publications: tuple[Publication, ...] = ()
    recovered: bool = False
    was_recovering: bool = False
    data: Raw = EMPTY
    expires: bool = False
    ttl: int = 0
    delta: bool = False
    id: int = 0
    type: int = STREAM_TYPE
    phase: int = LIVE_PHASE
    cursor: str = ""
    state: tuple[Publication, ...] = ()
    publish_debounce: int = 0


class ConnectResult(Struct, frozen=True, omit_defaults=True):
    """A connection that was granted (protocol §2.1).

    `client` is public. `session` is a secret that only emulation and unidirectional transports give out. `ping` and
    `ttl` are seconds, `time` is milliseconds since 1970.
    """

    client: str
    version: str
    ping: int = 0
    pong: bool = False
    data: Raw = EMPTY
    subs: dict[str, SubscribeResult] = {}
    expires: bool = False
    ttl: int = 0
    session: str = ""
    node: str = ""
    time: int = 0


class EmptyResult(Struct, frozen=True):
    """A result that says only that the command was carried out."""


class PresenceResult(Struct, frozen=True):
    presence: dict[str, ClientInfo]


class PresenceStatsResult(Struct, frozen=True):
    num_clients: int
    num_users: int


class HistoryResult(Struct, frozen=True):
    publications: tuple[Publication, ...]
    epoch: str
    offset: int


class RpcResult(Struct, frozen=True, omit_defaults=True):
    data: Raw = EMPTY


class RefreshResult(Struct, frozen=True, omit_defaults=True):
    """The new life of the connection; `ttl` is seconds."""

    client: str = ""
    version: str = ""
    expires: bool = False
    ttl: int = 0


class SubRefreshResult(Struct, frozen=True, omit_defaults=True):
    """The answer to a new token, and to `TRACK` with the keys' data."""

    expires: bool = False
    ttl: int = 0
    items: tuple[Publication, ...] = ()


class Reply(Struct, frozen=True):
    """The answer to the command of the same id: one result or `error`. An empty result is sent, too."""

    id: int
    error: ErrorResult | UnsetType = UNSET
    connect: ConnectResult | UnsetType = UNSET
    subscribe: SubscribeResult | UnsetType = UNSET
    unsubscribe: EmptyResult | UnsetType = UNSET
    publish: EmptyResult | UnsetType = UNSET
    presence: PresenceResult | UnsetType = UNSET
    presence_stats: PresenceStatsResult | UnsetType = UNSET
    history: HistoryResult | UnsetType = UNSET
    ping: EmptyResult | UnsetType = UNSET
    rpc: RpcResult | UnsetType = UNSET
    refresh: RefreshResult | UnsetType = UNSET
    sub_refresh: SubRefreshResult | UnsetType = UNSET


class Membership(Struct, frozen=True):
    """The body of a join or a leave."""

    info: ClientInfo


class UnsubscribePush(Struct, frozen=True):
    code: int
    reason: str


class MessagePush(Struct, frozen=True, omit_defaults=True):
    """Data for one connection, outside every channel."""

    data: Raw = EMPTY


class SubscribePush(Struct, frozen=True, omit_defaults=True):
    """A server-side subscription that begins while the connection lives."""

    recoverable: bool = False
    positioned: bool = False
    epoch: str = ""
    offset: int = 0
    data: Raw = EMPTY


class DisconnectPush(Struct, frozen=True):
    """The last push on transports that have no close codes."""

    code: int
    reason: str


class RefreshPush(Struct, frozen=True, omit_defaults=True):
    expires: bool = False
    ttl: int = 0


class Push(Struct, frozen=True, omit_defaults=True):
    """A message that the client did not ask for. The fan-out encodes publications by `Codec.encode_publication`
    instead.

    `channel` is "" in pushes that belong to no channel (message, connect, disconnect, refresh), and where `id` stands
    for its name. An unsubscribe always names its channel. `connect` opens a unidirectional connection.
    """

    channel: str = ""
    join: Membership | UnsetType = UNSET
    leave: Membership | UnsetType = UNSET
    unsubscribe: UnsubscribePush | UnsetType = UNSET
    id: int = 0
    pub: Publication | UnsetType = UNSET
    message: MessagePush | UnsetType = UNSET
    subscribe: SubscribePush | UnsetType = UNSET
    connect: ConnectResult | UnsetType = UNSET
    disconnect: DisconnectPush | UnsetType = UNSET
    refresh: RefreshPush | UnsetType = UNSET


class Emulation(Struct, frozen=True):
    """A POST to `/emulation`: commands for a connection whose answers come in another response (protocol §6.1)."""

    session: str = ""
    node: str = ""
    data: bytes = b""
