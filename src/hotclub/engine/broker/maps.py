"""The map broker port: the newest value per key of a channel, with a log of the changes where one is kept.

A *persistent* map keeps a log of its changes: each change has a position, and a client that was away gets the changes
it missed. An *ephemeral* map keeps no log and has no positions: a client that was away loads it anew (protocol §2.13).
"""

from enum import Enum
from typing import Literal, Protocol

from msgspec import Raw, Struct

from hotclub.engine.broker.base import HistoryQuery, Retention
from hotclub.engine.model import EMPTY, ClientInfo, HistoryPage, Position, Publication

KeyMode = Literal["", "if_new", "if_exists"]
"""Which keys a change may set: any key, only a new one, or only one that the map has."""


class MapRetention(Struct, frozen=True, kw_only=True):
    """What is kept of a map.

    `stream` is how much of the log of its changes; size 0 is an ephemeral map. A key lives for `key_ttl` seconds after
    it was last set; 0 is until it is removed. A map holds at most `keys` keys; 0 is any number.
    """

    stream: Retention = Retention()
    key_ttl: float = 0.0
    keys: int = 0


class MapMessage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change on its way in: sets `key`, or removes it.

    A change with a `version` is suppressed unless the version is higher than the key's of the same `version_epoch`; 0
    is no version. A change with `expected` is suppressed unless the key was last changed at that position (compare and
    set, in persistent maps only). With `renew`, a key that `mode` keeps from being set lives on as if it had been set.
    `score` orders the entries of ordered maps. A removal without tags is handed over with the tags of the entry.
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
    """The data is not JSON, and only clients of the protobuf form can be sent it."""


class Suppressed(Enum):
    """Why a change was not made."""

    IDEMPOTENCY = "idempotency"
    """A change with the same idempotency key was made before. This is looked at before anything else."""
    VERSION = "version"
    """The key has this version or a higher one."""
    KEY_EXISTS = "key_exists"
    """The map has the key, and the mode is `if_new`."""
    KEY_NOT_FOUND = "key_not_found"
    """The map does not have the key, and the change removes it or its mode is `if_exists`."""
    POSITION_MISMATCH = "position_mismatch"
    """The key was not last changed at the expected position."""


class MapOutcome(Struct, frozen=True, kw_only=True):
    """What became of a change.

    `position` is where the map stands, or for a repeated idempotency key where the first change with that key stands;
    its offset is 0 without positions. `suppressed` is why the change was not made, None
    when it was. `current` is the key's entry at a `POSITION_MISMATCH`, None when the map does not have the key.
    """

    position: Position
    suppressed: Suppressed | None = None
    current: Publication | None = None


class MapQuery(Struct, frozen=True, kw_only=True):
    """Which page of a map's entries to read.

    `cursor` is the one that came with the page before, "" for the first page. A page ends at `limit` entries, or at the
    entry with which its data exceeds `size` bytes; -1 and 0 are no such end. With `key` the page is that entry alone.
    `asc` reads an ordered map from its lowest score.
    """

    cursor: str = ""
    limit: int = -1
    size: int = 0
    key: str = ""
    asc: bool = False
    ordered: bool = False
    """By score, highest first, instead of by key. Entries of one score are read by key, in the same direction."""


class MapPage(Struct, frozen=True):
    """Entries, each a publication with its key; where the map stood; and the cursor of the next page, "" for no
    more."""

    entries: tuple[Publication, ...]
    top: Position
    cursor: str = ""


class MapStats(Struct, frozen=True):
    """How many keys a map has."""

    num_keys: int


class MapBroker(Protocol):
    """Stores and fans out maps. All methods belong to the node's event loop.

    Every change is atomic: entry, log and position change together. Changes reach the handler in the order of the log.
    A key whose time is over is removed by a change of its own. A cancelled change may or may not have been made.
    """

    async def change(self, channel: str, message: MapMessage, retention: MapRetention) -> MapOutcome:
        """Set or remove a key and fan that out, unless something suppresses it.

        Raises:
            Refused: `LIMIT_EXCEEDED`, the key is new and the map is full.
            IdempotencyConflict: the idempotency key was used for another change.
        """
        ...

    async def read(self, channel: str, query: MapQuery, retention: MapRetention) -> MapPage:
        """Read a page of the entries. A cursor stays valid when the map changes.

        Raises:
            Refused: `BAD_REQUEST`, the cursor is malformed.
        """
        ...

    async def history(self, channel: str, query: HistoryQuery, retention: Retention) -> HistoryPage:
        """Read the log of changes. See `Broker.history`."""
        ...

    async def stats(self, channel: str) -> MapStats:
        """How many keys the map has now."""
        ...

    async def clear(self, channel: str) -> None:
        """Forget every entry and the log.

        A persistent map gets a new epoch, so that its subscribers load it anew. In an ephemeral map the removal of
        every key is handed over.
        """
        ...

    async def subscribe(self, channel: str) -> None:
        """Begin to hand the map's changes to the handler. See `Broker.subscribe`."""
        ...

    async def unsubscribe(self, channel: str) -> None:
        """Stop handing them over. See `Broker.unsubscribe`."""
        ...
