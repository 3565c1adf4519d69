"""The result of the `ON_CONNECT` hook."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """A result of the `ON_CONNECT` hook that gives the client data or subscribes the connection to channels."""

    data: Any = None
    """JSON for the client, sent with the connect reply."""
    channels: Mapping[str, Any] | Iterable[str] = ()
    """The names of channels, or a mapping from each name to the data of that subscription. Hotclub does not ask their
    `can_subscribe`."""

    def subscriptions(self) -> dict[str, Any]:
        """Return the data of the subscription to each channel, None for no data."""
        if isinstance(self.channels, Mapping):
            return dict(self.channels)
        return dict.fromkeys(self.channels)
