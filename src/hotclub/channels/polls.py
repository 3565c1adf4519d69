"""The classes for shared polls in an app's `channels.py`. Hotclub asks the app for the values of their keys."""

# ruff: noqa: D417 - `**values` stands for the captured values

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from hotclub.channels.base import Channel


@dataclass(frozen=True, slots=True)
class Polled:
    """The value of a key, as `SharedPollChannel.poll` returns it."""

    key: str
    """The key."""
    data: Any = None
    """The value: data that JSON can hold."""
    version: int = 0
    """A number that grows with every change of the value."""
    removed: bool = False
    """Whether the key is gone. Hotclub tells the clients that follow the key, and they stop following it."""


@dataclass(frozen=True, slots=True)
class PollResult:
    """A result of `SharedPollChannel.poll` whose versions may restart."""

    items: Iterable[Polled]
    """The values."""
    epoch: str = ""
    """The name of the current series of versions. A new epoch makes every follower start again."""


class SharedPollChannel(Channel, abstract=True):
    """A namespace of shared polls: clients follow keys, and Hotclub asks `poll` for the values of all of them together.

    Hotclub asks for a key once per `interval`, however many clients follow it. A client may follow the keys that a
    signature of the server allows, see `hotclub.polls.sign_keys`.

    The class has the options and hooks of `Channel`, without `history` and `filters`, and the following ones.
    """

    interval: ClassVar[timedelta] = timedelta(seconds=10)
    """The time between two calls of `poll`."""
    batch_size: ClassVar[int] = 1000
    """The most keys in one call of `poll`."""
    max_keys: ClassVar[int] = 5000
    """The most keys that one connection may follow in one channel."""
    timeout: ClassVar[timedelta] = timedelta(seconds=30)
    """How long `poll` may take. Hotclub ignores a later result, and asks for the keys again once the call has ended."""
    versioned: ClassVar[bool] = True
    """Whether the results of `poll` have versions. Without versions Hotclub compares the JSON of the values."""

    def poll(self, keys: Mapping[str, int], *args: Any, **kwargs: Any) -> Any:
        """Returns the values of these keys. Hotclub logs an exception of the hook, and asks for the keys again.

        Args:
            keys: each key with the version of the value that its followers have, 0 for none.
            **values: what `pattern` captures.

        Returns:
            `Polled` items, or a `PollResult`. A key that is left out is unchanged.
        """
        raise NotImplementedError(f"{type(self).__name__} has no poll(); write one that returns Polled items")
