"""The map broker port: the newest value per key of a channel, with a log of the changes where one is kept.

A *persistent* map keeps such a log: its changes have positions, and a client that was away is brought up to date from
it. An *ephemeral* one has no positions; a client that comes back loads it anew (protocol §2.13).
"""

from enum import Enum
from typing import Literal, Protocol

from msgspec import Raw, Struct

from hotclub.engine.broker.base import HistoryQuery, Retention
from hotclub.engine.model import EMPTY, ClientInfo, HistoryPage, Position, Publication

KeyMode = Literal["", "if_new", "if_exists"]
"""Which keys a change may touch: any, those that are not there yet, or those that are."""


class MapRetention(Struct, frozen=True, kw_only=True):
    """What is kept of a map: `stream` of its changes (size 0: ephemeral), and a key for `key_ttl` seconds after it was
    last set (0: until it is removed), as long as there are no more than `keys` of them (0: any number)."""

    stream: Retention = Retention()
    key_ttl: float = 0.0
    keys: int = 0


class MapMessage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change on its way in: sets `key`, or removes it.

    `version` is refused unless it is higher than the key's within the same `version_epoch`; 0 has no version.
    `expected` is the position that the key was last changed at (compare and set); persistent maps only. With `renew`
    a key that `mode` refuses to set lives on as if it had been set. `score` orders the entries of ordered maps.
    """

    key: str
    data: Raw = EMPTY
    removed: bool = False
    info: ClientInfo | None = None
    tags: dict[str, str] = {}
    score: int = 0
    idempotency_key: str = ""
    version: int = 0
    version_epoch: str = ""
    mode: KeyMode = ""
    expected: Position | None = None
    renew: bool = False
    binary: bool = False
    """The data is not JSON: only clients of the protobuf form can be sent it."""


class Suppressed(Enum):
    """Why a change was not made."""

    IDEMPOTENCY = "idempotency"
    """It has been made before."""
    VERSION = "version"
    """The key has a version that is as high."""
    KEY_EXISTS = "key_exists"
    KEY_NOT_FOUND = "key_not_found"
    POSITION_MISMATCH = "position_mismatch"
    """The key was changed since."""


class MapOutcome(Struct, frozen=True, kw_only=True):
    """What became of a change: where the map stands (offset 0 without positions), and why it was not made, if so.

    `current` is the key's entry that compare and set met instead of the expected one, None when there is no such key.
    """

    position: Position
    suppressed: Suppressed | None = None
    current: Publication | None = None


class MapQuery(Struct, frozen=True, kw_only=True):
    """A page of a map's entries: `cursor` is that of the page before, "" for the first.

    A page ends at `limit` entries (-1: none), or when its data is larger than `size` bytes (0: no matter); it holds an
    entry at least. `key` reads that entry alone. `asc` turns the order of an ordered map around.
    """

    cursor: str = ""
    limit: int = -1
    size: int = 0
    key: str = ""
    asc: bool = False
    ordered: bool = False
    """By score, highest first, instead of by key."""


class MapPage(Struct, frozen=True):
    """Entries, each a publication with its key; where the map stood; and the next page's cursor, "" after the last."""

    entries: tuple[Publication, ...]
    top: Position
    cursor: str = ""


class MapStats(Struct, frozen=True):
    """How many keys a map has."""

    num_keys: int


class MapBroker(Protocol):
    """Stores and fans out maps. All methods belong to the node's event loop.

    Every change is atomic: entry, log and position change together, and reach the handler in the order of the log. A
    key whose time is over is removed as if somebody had removed it. A cancelled change may or may not have been made.
    """

    async def change(self, channel: str, message: MapMessage, retention: MapRetention) -> MapOutcome:
        """Set or remove a key and fan that out, unless something suppresses it.

        Raises:
            Refused: `LIMIT_EXCEEDED`, the map is full and the key is not in it.
            IdempotencyConflict: the idempotency key was used for another change.
        """
        ...

    async def read(self, channel: str, query: MapQuery, retention: MapRetention) -> MapPage:
        """A page of the entries. A cursor is good for as long as the map lives, whatever changed meanwhile.

        Raises:
            Refused: `BAD_REQUEST`, the cursor is none.
        """
        ...

    async def history(self, channel: str, query: HistoryQuery, retention: Retention) -> HistoryPage:
        """Read the log, as `Broker.history` does."""
        ...

    async def stats(self, channel: str) -> MapStats: ...

    async def clear(self, channel: str) -> None:
        """Forget everything. The map gets a new epoch, so that subscribers of a persistent one load it anew."""
        ...

    async def subscribe(self, channel: str) -> None:
        """As `Broker.subscribe`."""
        ...

    async def unsubscribe(self, channel: str) -> None:
        """As `Broker.unsubscribe`."""
        ...
