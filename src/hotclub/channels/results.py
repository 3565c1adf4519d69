"""What Python code gets of a channel: publications, members and entries of maps, with their JSON decoded.

The engine keeps payloads as the bytes that came in. A result keeps these bytes, too, as `raw`, and decodes them when
somebody looks at `data`.
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
    """Who a connection is, as members of a channel see it."""

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
        """What the connection shows in every channel: `Client.info`. None for nothing."""
        return _decode(self.raw_conn_info)

    @cached_property
    def chan_info(self) -> Any:
        """What the connection shows in this channel: what `channel_info` returned. None for nothing."""
        return _decode(self.raw_chan_info)

    @classmethod
    def of(cls, info: model.ClientInfo) -> Self:
        """The engine's, for Python code."""
        return cls(info.user, info.client, bytes(info.conn_info), bytes(info.chan_info))


@dataclass(frozen=True)
class Publication:
    """One message of a channel, or one entry of a map."""

    raw: bytes = field(default=b"", repr=False)
    """The JSON text as it was published: b"null" for a published null, b"" where nothing was published."""
    info: ClientInfo | None = None
    """The connection that published, None when the server did."""
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
        """The engine's, for Python code."""
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
    """A part of what a channel keeps."""

    publications: tuple[Publication, ...]
    """The publications in the order asked for."""
    top: Position
    """The newest position of the channel's log at the moment they were read."""

    @classmethod
    def of(cls, page: model.HistoryPage) -> Self:
        """The engine's, for Python code."""
        return cls(tuple(map(Publication.of, page.publications)), page.top)


@dataclass(frozen=True)
class MapPage:
    """A part of a map's entries."""

    entries: tuple[Publication, ...]
    """The entries, each with its `key`."""
    top: Position
    """Where the map stood when the entries were read; offset 0 in a map without history."""
    cursor: str = ""
    """What to pass for the next page, "" after the last."""

    @classmethod
    def of(cls, page: maps.MapPage) -> Self:
        """The engine's, for Python code."""
        return cls(tuple(map(Publication.of, page.entries)), page.top, page.cursor)


@dataclass(frozen=True)
class MapOutcome:
    """What became of a change of a map."""

    position: Position
    """Where the map stands; offset 0 in a map without history."""
    suppressed: Suppressed | None = None
    """Why the change was not made, None when it was."""
    current: Publication | None = None
    """The key's entry that `expected` did not meet, None when there is no such key or nothing was compared."""

    @classmethod
    def of(cls, outcome: maps.MapOutcome) -> Self:
        """The engine's, for Python code."""
        current = None if outcome.current is None else Publication.of(outcome.current)
        return cls(outcome.position, outcome.suppressed, current)


def _decode(raw: bytes) -> Any:
    return msgspec.json.decode(raw) if raw else None
