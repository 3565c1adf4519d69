"""What the `ON_CONNECT` hook may return."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """What an `ON_CONNECT` hook returns to give the client data or to subscribe the connection to channels."""

    data: Any = None
    """JSON for the client, which comes with the connect reply."""
    channels: Mapping[str, Any] | Iterable[str] = ()
    """The names of channels, or a mapping from each name to the data of that subscription. Hotclub does not ask their
    `can_subscribe`."""

    def subscriptions(self) -> dict[str, Any]:
        """Every channel with its data, None for no data."""
        if isinstance(self.channels, Mapping):
            return dict(self.channels)
        return dict.fromkeys(self.channels)
