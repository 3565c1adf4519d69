"""Channels of keys and values: maps, whose values are published, and shared polls, whose values are asked for."""

# ruff: noqa: ARG002, D417 - the hooks are there to be overridden; `**values` stands for the captured values

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
    """The key that is set."""
    data: Any
    """What JSON can hold."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Text by name, by which subscribers may choose."""
    score: int = 0
    """The entry's place in an ordered map."""


class MapChannel(Channel, abstract=True):
    """A namespace of maps: channels that hold the newest value of each key, and tell subscribers what changes.

    Without `history` a map is ephemeral: a client that comes back loads it anew. With `history` it is persistent: it
    has positions, and a client that comes back gets the changes that `history` still holds. Either way the engine
    holds the values, for as long as it runs. With `delta` every key has its own chain of differences.

    Options and hooks are those of `Channel` and these.
    """

    key_ttl: ClassVar[timedelta | None] = None
    """How long a key lives after it was last set; None: until it is removed."""
    max_keys: ClassVar[int] = 10_000
    """The most keys in one map; setting one more is error 106."""
    holds: ClassVar[Literal["values", "clients", "users"]] = "values"
    """What the keys are. Maps of clients and of users are filled by other channels, see `Channel.presence_clients`."""
    ordered: ClassVar[bool] = False
    """Whether the entries are read by score, highest first, instead of by key."""
    debounce: ClassVar[timedelta | None] = None
    """The time in which a client sends only the newest of what it publishes to a key."""

    def can_publish_key(self, client: Client, key: str, *args: Any, **kwargs: Any) -> Any:
        """Whether this subscriber may set the key. Unless overridden: whether the class has an `on_publish`.

        Args:
            client: the connection that wants to set the key.
            key: the key.
            **values: what `pattern` captures.

        Returns:
            A true value to allow it; a false one refuses it with error 103.
        """
        return type(self).on_publish is not MapChannel.on_publish

    def can_remove_key(self, client: Client, key: str, *args: Any, **kwargs: Any) -> Any:
        """Whether this subscriber may remove the key. Unless overridden: whether the class has an `on_remove`.

        Args:
            client: the connection that wants to remove the key.
            key: the key.
            **values: what `pattern` captures.

        Returns:
            A true value to allow it; a false one refuses it with error 103.
        """
        return type(self).on_remove is not MapChannel.on_remove

    def on_publish(self, client: Client, data: Any, *args: Any, **kwargs: Any) -> Any:
        """A client set a key; called as `on_publish(client, data, key, **values)`.

        Args:
            client: the connection that set the key.
            data: decoded JSON.
            key: the key.
            **values: what `pattern` captures.

        Returns:
            The data that is stored instead, a `MapEntry` to set another key, or None to change nothing.
        """
        return data

    def on_remove(self, client: Client, key: str, *args: Any, **kwargs: Any) -> Any:
        """A client removed a key.

        Args:
            client: the connection that removed the key.
            key: the key.
            **values: what `pattern` captures.

        Returns:
            The key that is removed instead, or None to change nothing.
        """
        return key
