"""Requests and results of the HTTP API, as on the wire (protocol §8.1). The OpenAPI document describes these types."""

from base64 import b64decode
from typing import Annotated, Any

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from hotclub.access.overrides import Override
from hotclub.engine import model
from hotclub.engine.codes import Close, Code
from hotclub.engine.errors import Refused

Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Limit = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Time = Annotated[int, Meta(ge=0, le=2**53)]
"""Seconds since 1970."""
Name = Annotated[str, Meta(min_length=1)]
Key = Annotated[str, Meta(max_length=255)]


class ClientInfo(Struct, frozen=True, kw_only=True):
    """A connection, as the members of a channel see it."""

    user: str
    client: str
    conn_info: Raw | UnsetType = UNSET
    chan_info: Raw | UnsetType = UNSET


class Publication(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message of a channel's history."""

    data: Raw
    offset: int = 0
    info: ClientInfo | None = None
    tags: dict[str, str] = {}


class StreamPosition(Struct, frozen=True, kw_only=True):
    """A point in a channel's log."""

    offset: Count = 0
    epoch: str = ""


class _Publishing(Struct, frozen=True, kw_only=True):
    data: Raw | UnsetType = UNSET
    b64data: str = ""
    """Payload bytes in base64, instead of `data`. Bytes that are not JSON reach clients of the protobuf form only."""
    skip_history: bool = False
    """Sends to the current subscribers only, and keeps nothing."""
    tags: dict[str, str] = {}
    idempotency_key: Key = ""
    """Repeating a request with the same key publishes once."""
    delta: bool = False
    """Accepted for a channel whose class has `delta`, which sends differences anyway; refused with 108 for another."""
    version: Count = 0
    """A publication whose version is not greater than the newest one is dropped; 0 has no version."""
    version_epoch: Key = ""
    """Versions of different epochs are not compared: the later request wins. "" compares with any."""


class PublishRequest(_Publishing, frozen=True, kw_only=True):
    """A publication for one channel."""

    channel: Name


class BroadcastRequest(_Publishing, frozen=True, kw_only=True):
    """A publication for several channels."""

    channels: Annotated[list[str], Meta(min_length=1)]


class PublishResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The position of the publication, left out for a channel without history and for a position that is not known
    yet."""

    offset: int = 0
    epoch: str = ""


class ApiError(Struct, frozen=True):
    """An error: a code of the protocol, and a message for people."""

    code: int
    message: str


class BroadcastResponse(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The result or the error for one channel."""

    result: PublishResult | None = None
    error: ApiError | None = None


class BroadcastResult(Struct, frozen=True):
    """A response for each channel, in the order of the request."""

    responses: list[BroadcastResponse]


class _Addressed(Struct, frozen=True, kw_only=True):
    user: str = ""
    """A user id; "" addresses the anonymous connections, unless a client or a session is named."""
    client: str = ""
    session: str = ""
    """The secret that a connection was given (`session` in its connect reply), or a login (`Client.login_id`)."""
    all_users: bool = False
    """With no user, client or session: every connection."""
    label_filter: Any = None
    """Refused with 108: connections have no labels."""


class SubscribeRequest(_Addressed, frozen=True, kw_only=True):
    """Connections to subscribe to a channel."""

    channel: Name
    expire_at: Time = 0
    info: Raw | UnsetType = UNSET
    b64info: str = ""
    data: Raw | UnsetType = UNSET
    b64data: str = ""
    recover_since: StreamPosition | None = None
    override: Override | None = None
    """Options of these subscriptions that differ from those of the channel's class."""


class UnsubscribeRequest(_Addressed, frozen=True, kw_only=True):
    """Connections to unsubscribe from a channel."""

    channel: str = ""
    """"" is every channel."""


class DisconnectReason(Struct, frozen=True, kw_only=True):
    """The code and the text with which connections end."""

    code: Annotated[int, Meta(ge=0, le=2**32 - 1)] = int(Close.FORCE_DISCONNECT)
    reason: str = "force disconnect"


class DisconnectRequest(_Addressed, frozen=True, kw_only=True):
    """Connections to end."""

    whitelist: list[str] = []
    """Ids of clients whose connections stay."""
    disconnect: DisconnectReason | None = None


class RefreshRequest(_Addressed, frozen=True, kw_only=True):
    """Connections whose expiry changes, or that expire now."""

    expired: bool = False
    expire_at: Time = 0
    info: Raw | UnsetType = UNSET


class ChannelRequest(Struct, frozen=True):
    """The name of a channel."""

    channel: Name


class PresenceResult(Struct, frozen=True):
    """The members of a channel, by client id."""

    presence: dict[str, ClientInfo]


class PresenceStatsResult(Struct, frozen=True):
    """The numbers of connections and of users in a channel."""

    num_clients: int
    num_users: int


class HistoryRequest(Struct, frozen=True, kw_only=True):
    """A part of a channel's history."""

    channel: Name
    limit: Limit = 0
    """0 reads the position alone, -1 everything kept."""
    since: StreamPosition | None = None
    reverse: bool = False


class HistoryResult(Struct, frozen=True, kw_only=True):
    """Publications of a channel, and the newest position of its log."""

    publications: list[Publication]
    epoch: str
    offset: int


class ChannelsRequest(Struct, frozen=True):
    """The channels to list."""

    pattern: str = ""
    """A shell pattern of names: `chat:*`, `?`, `[ab]`. "" lists all channels."""


class ChannelInfo(Struct, frozen=True):
    """The number of connections in a channel."""

    num_clients: int


class ChannelsResult(Struct, frozen=True):
    """Channels, by name."""

    channels: dict[str, ChannelInfo]


class InfoRequest(Struct, frozen=True):
    """A request without fields."""


class NodeResult(Struct, frozen=True, kw_only=True):
    """A node and its numbers. `uptime` is in seconds."""

    uid: str
    name: str
    version: str
    num_clients: int
    num_users: int
    num_channels: int
    num_subs: int
    uptime: int


class InfoResult(Struct, frozen=True):
    """The node that answers, in a list of one."""

    nodes: list[NodeResult]


class RpcRequest(Struct, frozen=True):
    """A call of the project's function `API_RPC`."""

    method: Name
    params: Raw | UnsetType = UNSET


class RpcResult(Struct, frozen=True, omit_defaults=True):
    """The value that the project's function returned."""

    data: Raw | UnsetType = UNSET


class Empty(Struct, frozen=True):
    """The result of a method that returns nothing."""


class LineCommand(Struct, frozen=True):
    """A request of an older client, whose body holds one command in each line."""

    id: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0
    """A number that the answer repeats."""
    method: str = ""
    params: Raw = Raw(b"{}")


class BatchRequest(Struct, frozen=True):
    """Several requests in one: each command is an object with one key, the name of its method."""

    commands: list[dict[str, Raw] | None] = []
    parallel: bool = False
    """Whether the commands may run at the same time; otherwise they run in their order."""


class BatchResult(Struct, frozen=True):
    """An answer for each command: an object with the method's name and its result, or with an error."""

    replies: list[dict[str, Any]]


def binary(base64_text: str, field: str) -> bytes:
    """Decode a field in base64 (RFC 4648).

    Args:
        base64_text: the value of the field.
        field: the name of the field, for the message.

    Raises:
        Refused: `BAD_REQUEST`, the text is not base64.
    """
    try:
        return b64decode(base64_text, validate=True)
    except ValueError:
        raise Refused(Code.BAD_REQUEST, f"{field} is not base64") from None


def payload(field: Raw | UnsetType) -> Raw:
    """Return the payload of a field, `EMPTY` for a missing field."""
    return model.EMPTY if field is UNSET else field


def client_info(info: model.ClientInfo) -> ClientInfo:
    """Convert the engine's client information for the wire."""
    return ClientInfo(
        user=info.user, client=info.client, conn_info=info.conn_info or UNSET, chan_info=info.chan_info or UNSET
    )


def publication(item: model.Publication) -> Publication:
    """Convert the engine's publication for the wire."""
    info = None if item.info is None else client_info(item.info)
    return Publication(data=item.data, offset=item.offset, info=info, tags=item.tags)
