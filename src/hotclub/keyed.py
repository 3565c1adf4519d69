"""Channels of keys and values: maps, whose values are published, and shared polls, whose values are asked for."""

# ruff: noqa: ARG002 - the hooks below are there to be overridden; their arguments are the contract

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, Literal

from hotclub.channels import Channel
from hotclub.client import Client


@dataclass(frozen=True, slots=True)
class MapEntry:
    """What a map's `on_publish` may return to set another key than the client named, or more than its data."""

    key: str
    data: Any
    tags: Mapping[str, str] = field(default_factory=dict)
    score: int = 0


@dataclass(frozen=True, slots=True)
class Polled:
    """The value of a key, as `SharedPollChannel.poll` returns it.

    `version` grows with every change of the value. A key that is `removed` is followed by nobody any more.
    """

    key: str
    data: Any = None
    version: int = 0
    removed: bool = False


@dataclass(frozen=True, slots=True)
class PollResult:
    """What `SharedPollChannel.poll` returns when versions can begin anew: another `epoch` than before says so."""

    items: Iterable[Polled]
    epoch: str = ""


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


class SharedPollChannel(Channel, abstract=True):
    """A namespace of shared polls: clients follow keys, and `poll` is asked for the values of all of them together.

    However many clients look at a key, it is asked for once per `interval`. A client may follow what a signature of the
    server allows, see `sign_keys`.
    """

    interval: ClassVar[timedelta] = timedelta(seconds=10)
    batch_size: ClassVar[int] = 1000
    """Most keys in one call of `poll`."""
    max_keys: ClassVar[int] = 5000
    """Most keys that one connection may follow in one channel."""
    timeout: ClassVar[timedelta] = timedelta(seconds=30)
    """How long `poll` may take; what it returns later is ignored, and the keys are asked for again."""
    versioned: ClassVar[bool] = True
    """What `poll` returns has versions. Without them a value has changed when its JSON has."""

    def poll(self, keys: Mapping[str, int], *args: Any, **kwargs: Any) -> Any:
        """The values of these keys; each comes with the version that is known of it, 0 for none.

        Called with the captured values of `pattern`, plain functions in the thread pool. Return `Polled` items, or a
        `PollResult`; a key that is left out is as it was. What it raises is logged, and the keys are asked for again.
        """
        raise NotImplementedError(f"{type(self).__name__} has no poll(); write one that returns Polled items")
