"""Shared polls: channels of keys whose values the application is asked for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from hotclub.channels.base import Channel


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
