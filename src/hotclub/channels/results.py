"""The results of Hotclub's functions: publications, members and entries of maps, with decoded JSON.

The engine keeps payloads as the received bytes. A result holds these bytes as `raw`, and decodes them at the first use
of `data`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import msgspec

from hotclub.engine import model
from hotclub.engine.broker import maps
from hotclub.engine.broker.maps import Suppressed
from hotclub.engine.model import Position


@dataclass(frozen=True)
class ClientInfo:
    """A connection, as the members of a channel see it."""

    user: str
    """The user's primary key as text, "" for an anonymous connection."""
    client: str
    """The connection's public name, `Client.id`."""
    raw_conn_info: bytes = field(default=b"", repr=False)
    """The JSON text of `conn_info`, b"" for none."""
    raw_chan_info: bytes = field(default=b"", repr=False)
    """The JSON text of `chan_info`, b"" for none."""

    @cached_property
    def conn_info(self) -> Any:
        """The data that the connection shows in every channel: `Client.info`. None for no data."""
        return _decode(self.raw_conn_info)

    @cached_property
    def chan_info(self) -> Any:
        """The data that the connection shows in this channel: the result of `channel_info`. None for no data."""
        return _decode(self.raw_chan_info)

    @classmethod
    def of(cls, info: model.ClientInfo) -> Self:
        """Convert the engine's object."""
        return cls(info.user, info.client, bytes(info.conn_info), bytes(info.chan_info))


@dataclass(frozen=True)
class Publication:
    """One message of a channel, or one entry of a map."""

    raw: bytes = field(default=b"", repr=False)
    """The JSON text as it was published: b"null" for a published null, b"" for an entry without data."""
    info: ClientInfo | None = None
    """The connection that published, None for a publication of the server."""
    offset: int = 0
    """The place in the channel's log, 0 without history."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Text by name, as it was published."""
    time: int = 0
    """Milliseconds since 1970."""
    key: str = ""
    """In a map: the key that was set or removed."""
    removed: bool = False
    """In a map: whether the key was removed."""
    score: int = 0
    """In an ordered map: the entry's place."""
    binary: bool = False
    """Whether a client published bytes that are not JSON, which the protobuf form of the protocol allows."""

    @cached_property
    def data(self) -> Any:
        """The decoded JSON; the bytes themselves when the publication is `binary`.

        A published null is None, and so is an entry without data; `raw` tells the two apart.
        """
        return self.raw if self.binary else _decode(self.raw)

    @classmethod
    def of(cls, publication: model.Publication) -> Self:
        """Convert the engine's object."""
        return cls(
            raw=bytes(publication.data),
            info=None if publication.info is None else ClientInfo.of(publication.info),
            offset=publication.offset,
            tags=publication.tags,
            time=publication.time,
            key=publication.key,
            removed=publication.removed,
            score=publication.score,
            binary=publication.binary,
        )


@dataclass(frozen=True)
class HistoryPage:
    """A part of a channel's history."""

    publications: tuple[Publication, ...]
    """The publications in the order asked for."""
    top: Position
    """The newest position of the channel's log at the time of the read."""

    @classmethod
    def of(cls, page: model.HistoryPage) -> Self:
        """Convert the engine's object."""
        return cls(tuple(map(Publication.of, page.publications)), page.top)


@dataclass(frozen=True)
class MapPage:
    """A part of a map's entries."""

    entries: tuple[Publication, ...]
    """The entries, each with its `key`."""
    top: Position
    """The position of the map at the time of the read; offset 0 in a map without history."""
    cursor: str = ""
    """The cursor to pass for the next page, "" after the last page."""

    @classmethod
    def of(cls, page: maps.MapPage) -> Self:
        """Convert the engine's object."""
        return cls(tuple(map(Publication.of, page.entries)), page.top, page.cursor)


@dataclass(frozen=True)
class MapOutcome:
    """The outcome of a change of a map."""

    position: Position
    """The position of the map after the call; offset 0 in a map without history."""
    suppressed: Suppressed | None = None
    """The reason why the change was not made, None when it was made."""
    current: Publication | None = None
    """The entry of the key that `expected` did not match; None without such an entry or without a comparison."""

    @classmethod
    def of(cls, outcome: maps.MapOutcome) -> Self:
        """Convert the engine's object."""
        current = None if outcome.current is None else Publication.of(outcome.current)
        return cls(outcome.position, outcome.suppressed, current)


def _decode(raw: bytes) -> Any:
    return msgspec.json.decode(raw) if raw else None
