"""The nouns of the engine: positions, publications and who published them.

Payloads are `msgspec.Raw`: the exact bytes that came in, validated once and never re-encoded. `EMPTY` stands for
"no payload". Fields of the structs below are left out on the wire while they hold their defaults.
"""

from typing import Final

import msgspec
from msgspec import Raw

EMPTY: Final = Raw()


class Position(msgspec.Struct, frozen=True):
    """A point in a channel's log.

    `offset` counts publications from 1; 0 is "before the first". Offsets of different epochs cannot be compared: the
    epoch changes whenever the log cannot be proven to continue.
    """

    epoch: str
    offset: int


class ClientInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """What other members of a channel may know of a connection (protocol §2.5). `user` is "" for anonymous ones."""

    user: str
    client: str
    conn_info: Raw = EMPTY
    chan_info: Raw = EMPTY


class Publication(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message of a channel. `offset` is 0 in channels without history; `time` is milliseconds since 1970.

    `delta` says that `data` is a patch, to be applied to the data before it (protocol §2.11). `epoch` is set on the
    first publication of a log only. `key`, `removed` and `score` belong to map channels, `key` and `version` to shared
    poll channels. `channel` is the protocol's field for another channel than the one subscribed to; we leave it empty.
    """

    data: Raw = EMPTY
    info: ClientInfo | None = None
    offset: int = 0
    tags: dict[str, str] = {}
    time: int = 0
    delta: bool = False
    channel: str = ""
    key: str = ""
    removed: bool = False
    score: int = 0
    epoch: str = ""
    version: int = 0
    binary: bool = False
    """The data is not JSON, and only the protobuf form of the protocol can carry it. Not on the wire."""


class HistoryPage(msgspec.Struct, frozen=True):
    """Publications in the order that the query asked for, and the top of the log when they were read."""

    publications: tuple[Publication, ...]
    top: Position


class PresenceStats(msgspec.Struct, frozen=True):
    """How many connections and how many distinct users are in a channel; all anonymous ones count as one user."""

    num_clients: int
    num_users: int
