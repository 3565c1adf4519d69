"""What a test's connection receives, with its JSON decoded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from hotclub.engine.model import Position


@dataclass(frozen=True, slots=True)
class Member:
    """A connection in a channel, as the channel's members see it. `user` is "" for an anonymous connection."""

    user: str
    client: str
    conn_info: Any = None
    chan_info: Any = None

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Self:
        """Read one from the wire."""
        return cls(found.get("user", ""), found.get("client", ""), found.get("conn_info"), found.get("chan_info"))


@dataclass(frozen=True, slots=True)
class Received:
    """A publication. `info` is the client that published it, None for the server. `offset` is 0 without history."""

    data: Any
    offset: int = 0
    tags: Mapping[str, str] | None = None
    info: Member | None = None
    key: str = ""
    removed: bool = False

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Self:
        """Read one from the wire."""
        return cls(
            data=found.get("data"),
            offset=found.get("offset", 0),
            tags=found.get("tags"),
            info=Member.read(found["info"]) if found.get("info") else None,
            key=found.get("key", ""),
            removed=found.get("removed", False),
        )


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a channel's history, and the top of its log when it was read."""

    publications: tuple[Received, ...]
    top: Position


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A subscription that the server has granted.

    `position` is None in channels without recovery. `data` is what the channel's `on_subscribe` returned. `recovered`
    says whether everything after the position that was asked for has come; `was_recovering`, whether a position was
    asked for.
    """

    position: Position | None
    data: Any
    recovered: bool
    was_recovering: bool

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Self:
        """Read one from the wire."""
        epoch = found.get("epoch", "")
        publications = found.get("publications") or ({"offset": found.get("offset", 0)},)
        return cls(
            position=Position(epoch, publications[-1].get("offset", 0)) if epoch else None,
            data=found.get("data"),
            recovered=found.get("recovered", False),
            was_recovering=found.get("was_recovering", False),
        )
