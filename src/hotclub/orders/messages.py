"""The orders that one process of a site gives to the others. Each struct is one kind of order."""

from typing import Final

import msgspec
from msgspec import Raw, Struct

from hotclub.engine.broker.maps import MapMessage
from hotclub.engine.errors import Disconnect
from hotclub.engine.model import EMPTY, Position
from hotclub.engine.port import Overrides, PolledItem
from hotclub.engine.target import Target


class EndConnections(Struct, frozen=True, omit_defaults=True, tag="end_connections"):
    """End connections. Their clients are shown the code and the reason. `spare` has the ids of connections to keep.

    Raises:
        ValueError: the reason is not 1 to 123 bytes of plain text, see `Disconnect`.
    """

    target: Target
    code: int
    reason: str
    spare: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        Disconnect(self.code, self.reason)


class EndSubscriptions(Struct, frozen=True, omit_defaults=True, tag="end_subscriptions"):
    """End subscriptions to `channel`, or to every channel if it is "". From `code` 2500 on, clients subscribe again."""

    target: Target
    channel: str
    code: int


class LookAtLogins(Struct, frozen=True, tag="look_at_logins"):
    """Look at the login of every connection, because some may be over."""


class Subscribe(Struct, frozen=True, omit_defaults=True, tag="subscribe"):
    """Subscribe connections by the server's will (protocol §3.5). `ttl` is in seconds, 0 for ever.

    Subscribers first get what the channel keeps after the position `since`, or nothing for None.
    """

    target: Target
    channel: str
    data: Raw = EMPTY
    info: Raw = EMPTY
    ttl: int = 0
    since: Position | None = None
    overrides: Overrides = Overrides()


class Refresh(Struct, frozen=True, omit_defaults=True, tag="refresh"):
    """Let connections live for `ttl` seconds from now, 0 for ever; a negative `ttl` ends them.

    `info` replaces the `conn_info` of the connections, unless it is empty.
    """

    target: Target
    ttl: int = 0
    info: Raw = EMPTY


class Publish(Struct, frozen=True, omit_defaults=True, tag="publish"):
    """Publish to a channel that is not durable. The fields are those of the broker's `Message`."""

    channel: str
    data: Raw
    tags: dict[str, str] = {}
    idempotency_key: str = ""
    version: int = 0
    version_epoch: str = ""


class PublishUnkept(Struct, frozen=True, omit_defaults=True, tag="publish_unkept"):
    """Publish to the present subscribers alone. The history does not keep the publication."""

    channel: str
    data: Raw
    tags: dict[str, str] = {}
    idempotency_key: str = ""


class ChangeMap(Struct, frozen=True, omit_defaults=True, tag="change_map"):
    """Set or remove one key of a map."""

    channel: str
    message: MapMessage


class ClearMap(Struct, frozen=True, omit_defaults=True, tag="clear_map"):
    """Remove every key of a map."""

    channel: str


class PublishPolled(Struct, frozen=True, omit_defaults=True, tag="publish_polled"):
    """Send a key's value to the followers of the key in a shared poll. The value's version counts in `epoch`."""

    channel: str
    item: PolledItem
    epoch: str = ""


class TakeCommands(Struct, frozen=True, omit_defaults=True, tag="take_commands"):
    """Take commands for an HTTP connection of the node `node`, when their request arrived at another node.

    `session` is the connection's secret, `user` the id of the user whose session cookie the request showed, or "", and
    `data` the commands as the client sent them (protocol §6.1).
    """

    node: str
    session: str
    user: str
    data: bytes


Order = (
    EndConnections
    | EndSubscriptions
    | LookAtLogins
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
    """Return the order as JSON text."""
    return msgspec.json.encode(order).decode()


def decode_order(text: str) -> Order:
    """Return the order that `encode_order` wrote.

    Raises:
        msgspec.DecodeError: the text is not an order.
    """
    return _DECODER.decode(text)
