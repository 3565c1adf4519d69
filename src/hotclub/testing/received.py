"""What a test's connection is told of its subscriptions, with JSON decoded."""

from dataclasses import dataclass
from typing import Any, Self

from hotclub.engine.model import Position
from hotclub.engine.protocol.messages import SubscribePush, SubscribeResult
from hotclub.runtime.encoding import decode


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A subscription that the server has granted.

    `position` is None in channels without recovery. `data` is what the channel's `on_subscribe` returned. `recovered`
    says whether everything after the position that was asked for has come; `was_recovering`, whether a position was
    asked for.
    """

    position: Position | None
    data: Any
    recovered: bool
    was_recovering: bool

    @classmethod
    def of(cls, granted: SubscribeResult | SubscribePush) -> Self:
        """What the wire says of a subscription."""
        position = Position(granted.epoch, granted.offset) if granted.epoch else None
        if isinstance(granted, SubscribePush):
            return cls(position, decode(granted.data), recovered=False, was_recovering=False)
        if position is not None and granted.publications:
            position = Position(granted.epoch, granted.publications[-1].offset)
        return cls(position, decode(granted.data), granted.recovered, granted.was_recovering)
