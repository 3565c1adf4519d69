"""The messages of the client protocol, version 2: commands in, replies and pushes out (protocol §1.3–§2.9).

A codec turns frames into `Command` and `Reply` or `Push` into frames. Fields that hold their default are left out on
the wire, except where a client reads them unconditionally.
"""

from typing import Annotated, Final

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from hotclub.engine.model import EMPTY, ClientInfo, Publication

MAX_SAFE_INTEGER: Final = 2**53
"""Beyond it a number is not the same in every client (protocol §1.4)."""

CommandId = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Offset = Annotated[int, Meta(ge=-MAX_SAFE_INTEGER, le=MAX_SAFE_INTEGER)]
Limit = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]

REJECT_UNRECOVERED: Final = 2
"""Bit of `SubscribeCommand.flag`: answer 112 instead of subscribing without the missed publications."""


class ServerSubscription(Struct, frozen=True):
    """Where a client stood in a channel that the server subscribed it to."""

    recover: bool = False
    offset: Offset = 0
    epoch: str = ""


class ConnectCommand(Struct, frozen=True):
    token: str = ""
    data: Raw = EMPTY
    subs: dict[str, ServerSubscription] = {}
    name: str = ""
    version: str = ""


class SubscribeCommand(Struct, frozen=True):
    channel: str = ""
    token: str = ""
    data: Raw = EMPTY
    recover: bool = False
    epoch: str = ""
    offset: Offset = 0
    delta: str = ""
    flag: int = 0
    type: int = 0


class UnsubscribeCommand(Struct, frozen=True):
    channel: str = ""


class PublishCommand(Struct, frozen=True):
    channel: str = ""
    data: Raw = EMPTY
    type: int = 0


class PresenceCommand(Struct, frozen=True):
    channel: str = ""


class PresenceStatsCommand(Struct, frozen=True):
    channel: str = ""


class Since(Struct, frozen=True):
    offset: Offset = 0
    epoch: str = ""


class HistoryCommand(Struct, frozen=True):
    channel: str = ""
    limit: Limit = 0
    since: Since | None = None
    reverse: bool = False


class PingCommand(Struct, frozen=True):
    pass


class SendCommand(Struct, frozen=True):
    data: Raw = EMPTY


class RpcCommand(Struct, frozen=True):
    method: str = ""
    data: Raw = EMPTY


class RefreshCommand(Struct, frozen=True):
    token: str = ""


class SubRefreshCommand(Struct, frozen=True):
    channel: str = ""
    token: str = ""


class Command(Struct, frozen=True):
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
    code: int
    message: str
    temporary: bool = False


class SubscribeResult(Struct, frozen=True, omit_defaults=True):
    recoverable: bool = False
    positioned: bool = False
    epoch: str = ""
    offset: int = 0
    publications: tuple[Publication, ...] = ()
    recovered: bool = False
    was_recovering: bool = False
    data: Raw = EMPTY


class ConnectResult(Struct, frozen=True, omit_defaults=True):
    client: str
    version: str
    ping: int = 0
    pong: bool = False
    data: Raw = EMPTY
    subs: dict[str, SubscribeResult] = {}


class EmptyResult(Struct, frozen=True):
    pass


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


class Reply(Struct, frozen=True):
    """The answer to the command of the same id: one result, or `error`. A result is sent even when it is empty."""

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


class Membership(Struct, frozen=True):
    """The body of a join or a leave."""

    info: ClientInfo


class UnsubscribePush(Struct, frozen=True):
    code: int
    reason: str


class Push(Struct, frozen=True):
    """Something the client did not ask for. Publications are encoded apart, by `Codec.encode_publication`."""

    channel: str
    join: Membership | UnsetType = UNSET
    leave: Membership | UnsetType = UNSET
    unsubscribe: UnsubscribePush | UnsetType = UNSET
