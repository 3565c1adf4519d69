"""Shared polls: channels of keys whose values the application is asked for."""

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
    """What JSON can hold."""
    version: int = 0
    """A number that grows with every change of the value."""
    removed: bool = False
    """Whether the key is gone; its followers are told, and follow it no longer."""


@dataclass(frozen=True, slots=True)
class PollResult:
    """What `SharedPollChannel.poll` returns when versions can begin anew."""

    items: Iterable[Polled]
    """The values."""
    epoch: str = ""
    """What the versions count in. Another epoch than before makes every follower begin anew."""


class SharedPollChannel(Channel, abstract=True):
    """A namespace of shared polls: clients follow keys, and Hotclub asks `poll` for the values of all of them together.

    Hotclub asks for a key once per `interval`, however many clients follow it. A client may follow the keys that a
    signature of the server allows, see `hotclub.polls.sign_keys`.

    Options and hooks are those of `Channel` and these, without `history` and `filters`.
    """

    interval: ClassVar[timedelta] = timedelta(seconds=10)
    """The time between two calls of `poll`."""
    batch_size: ClassVar[int] = 1000
    """The most keys in one call of `poll`."""
    max_keys: ClassVar[int] = 5000
    """The most keys that one connection may follow in one channel."""
    timeout: ClassVar[timedelta] = timedelta(seconds=30)
    """How long `poll` may take. Hotclub ignores a later result, and asks for the keys again."""
    versioned: ClassVar[bool] = True
    """Whether what `poll` returns has versions. Without versions a value has changed when its JSON has."""

    def poll(self, keys: Mapping[str, int], *args: Any, **kwargs: Any) -> Any:
        """The values of these keys. Hotclub logs what the hook raises, and asks for the keys again.

        Args:
            keys: each key with the version of the value that its followers have, 0 for none.
            **values: what `pattern` captures.

        Returns:
            `Polled` items, or a `PollResult`. A key that is left out is unchanged.
        """
        raise NotImplementedError(f"{type(self).__name__} has no poll(); write one that returns Polled items")
