"""Channels of keys and values: maps, whose values are published, and shared polls, whose values are asked for."""

# ruff: noqa: ARG002 - the hooks below are there to be overridden; their arguments are the contract

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, Literal

from hotclub.channels.base import Channel
from hotclub.channels.client import Client


@dataclass(frozen=True, slots=True)
class MapEntry:
    """What a map's `on_publish` may return to set another key than the client named, or more than its data."""

    key: str
    data: Any
    tags: Mapping[str, str] = field(default_factory=dict)
    score: int = 0


class MapChannel(Channel, abstract=True):
    """A namespace of maps: channels that hold the newest value of each key, and tell subscribers what changes.

    Without `history` a map is ephemeral: whoever comes back loads it anew. With `history` it is persistent: it has
    positions, and whoever comes back gets the changes that `history` still holds. Either way the values live in the
    engine, and only as long as it does. With `delta` there is a chain of differences for every key.
    """

    key_ttl: ClassVar[timedelta | None] = None
    """How long a key lives after it was last set; None: until it is removed."""
    max_keys: ClassVar[int] = 10_000
    """Most keys in one map; setting one more is error 106."""
    holds: ClassVar[Literal["values", "clients", "users"]] = "values"
    """What the keys are. Maps of clients and of users are filled by other channels, see `Channel.presence_clients`."""
    ordered: ClassVar[bool] = False
    """The entries are read by score, highest first, instead of by key."""
    debounce: ClassVar[timedelta | None] = None
    """The time in which a client sends only the newest of what it publishes to a key."""

    def can_publish_key(self, client: Client, key: str, *args: Any, **kwargs: Any) -> Any:
        """Whether this subscriber may set the key. Unless overridden: if the class has an `on_publish`."""
        return type(self).on_publish is not MapChannel.on_publish

    def can_remove_key(self, client: Client, key: str, *args: Any, **kwargs: Any) -> Any:
        """Whether this subscriber may remove the key. Unless overridden: if the class has an `on_remove`."""
        return type(self).on_remove is not MapChannel.on_remove

    def on_publish(self, client: Client, data: Any, *args: Any, **kwargs: Any) -> Any:
        """A client set a key to `data` (decoded JSON); called as `on_publish(client, data, key, …)`.

        Return the data that is stored instead, a `MapEntry` to set another key, or None to change nothing.
        """
        return data

    def on_remove(self, client: Client, key: str, *args: Any, **kwargs: Any) -> Any:
        """A client removed a key. Return the key that is removed instead, or None to change nothing."""
        return key
