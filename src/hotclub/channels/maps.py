"""The classes for maps in an app's `channels.py`: `MapChannel`, with a subclass for each namespace, and `MapEntry`."""

# ruff: noqa: ARG002, D417 - the hooks are there to be overridden; `**values` stands for the captured values

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, Literal

from hotclub.channels.base import Channel
from hotclub.channels.client import Client


@dataclass(frozen=True, slots=True)
class MapEntry:
    """An entry that a map's `on_publish` may return, to set another key or to add tags and a score."""

    key: str
    """The key to set."""
    data: Any
    """The value: data that JSON can hold."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Text by name. Subscribers may choose entries by their tags."""
    score: int = 0
    """The entry's place in an ordered map."""


class MapChannel(Channel, abstract=True):
    """A namespace of maps: channels that hold the newest value of each key, and send changes to their subscribers.

    Without `history` a map is ephemeral: a client that comes back loads it anew. With `history` it is persistent: it
    has positions, and a client that comes back gets the changes that `history` still holds. The engine holds the values
    in both cases, for as long as it runs. With `delta` every key has its own chain of differences.

    The class has the options and hooks of `Channel`, and the following ones.
    """

    key_ttl: ClassVar[timedelta | None] = None
    """How long a key lives after it was last set; None: until it is removed."""
    max_keys: ClassVar[int] = 10_000
    """The most keys in one map. A publish of a further key gets error 106."""
    holds: ClassVar[Literal["values", "clients", "users"]] = "values"
    """The kind of the keys. Other channels fill the maps of clients and of users, see `Channel.presence_clients`."""
    ordered: ClassVar[bool] = False
    """Whether the entries are read by score, highest first, instead of by key."""
    debounce: ClassVar[timedelta | None] = None
    """The interval in which a client sends only the newest of its values for a key."""

    def can_publish_key(self, client: Client, key: str, *args: Any, **kwargs: Any) -> Any:
        """Whether this subscriber may set the key. By default a class with its own `on_publish` allows it.

        Args:
            client: the connection that wants to set the key.
            key: the key.
            **values: what `pattern` captures.

        Returns:
            A true value to allow it; a false one refuses it with error 103.
        """
        return type(self).on_publish is not MapChannel.on_publish

    def can_remove_key(self, client: Client, key: str, *args: Any, **kwargs: Any) -> Any:
        """Whether this subscriber may remove the key. By default a class with its own `on_remove` allows it.

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
            The data to store, a `MapEntry` to set another key, or None to change nothing.
        """
        return data

    def on_remove(self, client: Client, key: str, *args: Any, **kwargs: Any) -> Any:
        """A client removed a key.

        Args:
            client: the connection that removed the key.
            key: the key.
            **values: what `pattern` captures.

        Returns:
            The key to remove, or None to change nothing.
        """
        return key
