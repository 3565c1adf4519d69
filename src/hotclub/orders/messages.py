"""What one process of a site asks of the others: an order is one of these structs, and reads like a sentence."""

from typing import Final

import msgspec
from msgspec import Raw, Struct

from hotclub.engine.broker.maps import MapMessage
from hotclub.engine.errors import Disconnect
from hotclub.engine.model import EMPTY, Position
from hotclub.engine.port import Overrides, PolledItem
from hotclub.engine.target import Target


class EndConnections(Struct, frozen=True, omit_defaults=True, tag="end_connections"):
    """End connections, with the code and the reason that their clients are shown. Those in `spare` live on.

    Raises:
        ValueError: the reason is none, see `Disconnect`.
    """

    target: Target
    code: int
    reason: str
    spare: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        Disconnect(self.code, self.reason)


class EndSubscriptions(Struct, frozen=True, omit_defaults=True, tag="end_subscriptions"):
    """End subscriptions to one channel, or to all of them for ""."""

    target: Target
    channel: str
    code: int


class Subscribe(Struct, frozen=True, omit_defaults=True, tag="subscribe"):
    """Subscribe connections by the server's will. `ttl` is in seconds, 0 for ever."""

    target: Target
    channel: str
    data: Raw = EMPTY
    info: Raw = EMPTY
    ttl: int = 0
    since: Position | None = None
    overrides: Overrides = Overrides()


class Refresh(Struct, frozen=True, omit_defaults=True, tag="refresh"):
    """Let connections live for `ttl` seconds from now, 0 for ever and -1 for over; `info` replaces what is shown."""

    target: Target
    ttl: int = 0
    info: Raw = EMPTY


class Publish(Struct, frozen=True, omit_defaults=True, tag="publish"):
    """Publish in a channel that is not durable."""

    channel: str
    data: Raw
    tags: dict[str, str] = {}
    idempotency_key: str = ""
    version: int = 0
    version_epoch: str = ""


class PublishUnkept(Struct, frozen=True, omit_defaults=True, tag="publish_unkept"):
    """Publish for those who are subscribed now: in no history, whatever the channel keeps."""

    channel: str
    data: Raw
    tags: dict[str, str] = {}
    idempotency_key: str = ""


class ChangeMap(Struct, frozen=True, omit_defaults=True, tag="change_map"):
    """Set or remove a key of a map."""

    channel: str
    message: MapMessage


class ClearMap(Struct, frozen=True, omit_defaults=True, tag="clear_map"):
    """Remove every key of a map."""

    channel: str


class PublishPolled(Struct, frozen=True, omit_defaults=True, tag="publish_polled"):
    """Send a key's value to those who follow the key in a shared poll."""

    channel: str
    item: PolledItem
    epoch: str = ""


class TakeCommands(Struct, frozen=True, omit_defaults=True, tag="take_commands"):
    """Take commands for an HTTP connection of the node `node`, which arrived at another node."""

    node: str
    session: str
    principal: str
    data: bytes


Order = (
    EndConnections
    | EndSubscriptions
    | Subscribe
    | Refresh
    | Publish
    | PublishUnkept
    | ChangeMap
    | ClearMap
    | PublishPolled
    | TakeCommands
)

_DECODER: Final[msgspec.json.Decoder[Order]] = msgspec.json.Decoder(Order)


def encode_order(order: Order) -> str:
    """The order as JSON text."""
    return msgspec.json.encode(order).decode()


def decode_order(text: str) -> Order:
    """The order that `encode_order` wrote.

    Raises:
        msgspec.DecodeError: the text is no order.
    """
    return _DECODER.decode(text)
