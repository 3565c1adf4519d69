"""What was answered to each idempotency key, for the brokers in memory."""

from typing import Generic, TypeVar

from hotclub.engine.broker.base import IDEMPOTENCY_TTL
from hotclub.engine.errors import IdempotencyConflict
from hotclub.engine.leases import Leases
from hotclub.engine.model import Position

Content = TypeVar("Content")


class Answers(Generic[Content]):
    """The positions of what was stored with an idempotency key, for `IDEMPOTENCY_TTL` seconds. "" is no key.

    `Content` is what has to be the same when a key is repeated. Pure: the caller brings the time (seconds, monotonic).
    """

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: Leases[tuple[str, str], tuple[Position, Content]] = Leases(IDEMPOTENCY_TTL)

    def find(self, channel: str, key: str, content: Content, now: float) -> Position | None:
        """The position of the first message with this key, None when this is the first.

        Raises:
            IdempotencyConflict: the key was used for another content.
        """
        if not key:
            return None
        self.expire(now)
        found = self._kept.get((channel, key))
        if found is None:
            return None
        position, former = found
        if former != content:
            raise IdempotencyConflict(channel, key)
        return position

    def keep(self, channel: str, key: str, content: Content, position: Position, now: float) -> None:
        """Remember where the message with this key was stored."""
        if key:
            self._kept.touch((channel, key), (position, content), now)

    def expire(self, now: float) -> None:
        """Forget the keys whose time is over."""
        self._kept.expire(now)
