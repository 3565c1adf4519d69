"""What the `ON_CONNECT` hook may return."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """The answer of an `ON_CONNECT` hook that also subscribes the connection to channels.

    `data` goes to the client with the connect reply. `channels` are names, or a mapping from each name to the data that
    goes with that subscription; their `can_subscribe` is not asked.
    """

    data: Any = None
    channels: Mapping[str, Any] | Iterable[str] = ()

    def subscriptions(self) -> dict[str, Any]:
        """Every channel with its data, None for no data."""
        if isinstance(self.channels, Mapping):
            return dict(self.channels)
        return dict.fromkeys(self.channels)
