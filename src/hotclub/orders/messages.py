"""What one process of a site asks of the others."""

from typing import Final

import msgspec
from msgspec import Raw, Struct

from hotclub.engine.broker.maps import MapMessage
from hotclub.engine.model import EMPTY, Position
from hotclub.engine.port import Overrides, PolledItem
from hotclub.engine.target import Target


class RelayPublish(Struct, frozen=True, omit_defaults=True, tag="publish"):
    """Publish in a channel that is not durable. `origin` is the node that has done it already, "" if none has."""

    channel: str
    data: Raw
    tags: dict[str, str] = {}
    idempotency_key: str = ""
    version: int = 0
    version_epoch: str = ""
    unkept: bool = False
    """Only for who is subscribed now: in no history, whatever the channel keeps."""
    origin: str = ""


class RelayDisconnect(Struct, frozen=True, omit_defaults=True, tag="disconnect"):
    """End connections, with the code and the reason that their clients are shown. Those in `spare` live on."""

    target: Target
    code: int
    reason: str
    spare: tuple[str, ...] = ()
    origin: str = ""


class RelayUnsubscribe(Struct, frozen=True, omit_defaults=True, tag="unsubscribe"):
    """End subscriptions to one channel, or to all of them for ""."""

    target: Target
    channel: str
    code: int
    reason: str
    origin: str = ""


class RelaySubscribe(Struct, frozen=True, omit_defaults=True, tag="subscribe"):
    """Subscribe connections by the server's will. `ttl` is in seconds, 0 for ever."""

    target: Target
    channel: str
    data: Raw = EMPTY
    info: Raw = EMPTY
    ttl: int = 0
    since: Position | None = None
    overrides: Overrides = Overrides()
    origin: str = ""


class RelayRefresh(Struct, frozen=True, omit_defaults=True, tag="refresh"):
    """Let connections live for `ttl` seconds, 0 for ever and -1 for over."""

    target: Target
    ttl: int = 0
    info: Raw = EMPTY
    origin: str = ""


class RelayCommands(Struct, frozen=True, omit_defaults=True, tag="commands"):
    """Commands for an HTTP connection of the node `node`, which arrived at another one."""

    node: str
    session: str
    principal: str
    data: bytes
    origin: str = ""


class RelayMap(Struct, frozen=True, omit_defaults=True, tag="map"):
    """Change a key of a map that another process keeps, or with no message clear the map."""

    channel: str
    message: MapMessage | None = None
    origin: str = ""


class RelayPoll(Struct, frozen=True, omit_defaults=True, tag="poll"):
    """A key's value for a shared poll."""

    channel: str
    item: PolledItem
    epoch: str = ""
    origin: str = ""


RelayMessage = (
    RelayPublish
    | RelayDisconnect
    | RelayUnsubscribe
    | RelaySubscribe
    | RelayRefresh
    | RelayMap
    | RelayPoll
    | RelayCommands
)


_RELAY_DECODER: Final[msgspec.json.Decoder[RelayMessage]] = msgspec.json.Decoder(RelayMessage)
