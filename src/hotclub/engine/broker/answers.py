"""What was answered to each idempotency key, where a store in memory remembers it."""

from hashlib import blake2b
from typing import Final

from hotclub.engine.broker.base import IDEMPOTENCY_TTL
from hotclub.engine.errors import IdempotencyConflict
from hotclub.engine.leases import Leases
from hotclub.engine.model import Position

MOST: Final = 200_000
"""The most keys that are remembered at one time, some 60 MB. Beyond it the oldest key is forgotten."""
_AT_ONE_TIME: Final = 100
"""How many keys are forgotten in one call: each call adds one at most, so they do not pile up."""


class Answers:
    """The positions of what was stored with an idempotency key, for `IDEMPOTENCY_TTL` seconds. "" is no key.

    Keys and contents are kept as digests, so their size costs nothing. Pure: the caller brings the time (seconds,
    monotonic).
    """

    __slots__ = ("_kept", "_most")

    def __init__(self, *, most: int = MOST) -> None:
        """`most` is how many keys are remembered at one time."""
        self._most = most
        self._kept: Leases[bytes, tuple[Position, bytes]] = Leases(IDEMPOTENCY_TTL)

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, channel: str, key: str, content: bytes, now: float) -> Position | None:
        """The position of the first message with this key, None when this is the first.

        Args:
            channel: the name of the channel.
            key: the idempotency key.
            content: the digest of what has to be the same when a key is repeated, see `digest`.
            now: the time.

        Raises:
            IdempotencyConflict: the key was used for another content.
        """
        if not key:
            return None
        self.expire(now)
        found = self._kept.get(digest(channel.encode(), key.encode()), now)
        if found is None:
            return None
        position, former = found
        if former != content:
            raise IdempotencyConflict(channel, key)
        return position

    def keep(self, channel: str, key: str, content: bytes, position: Position, now: float) -> None:
        """Remember where the message with this key was stored. Arguments as `find`."""
        if not key:
            return
        if len(self._kept) >= self._most:
            self._kept.drop(next(self._kept.keys()))
        self._kept.touch(digest(channel.encode(), key.encode()), (position, content), now)

    def expire(self, now: float) -> bool:
        """Forget keys whose time is over. Returns whether there may be more of them."""
        return len(self._kept.expire(now, _AT_ONE_TIME)) == _AT_ONE_TIME


def digest(*parts: bytes) -> bytes:
    """A digest of the parts. Other parts, or the same bytes cut in another way, have another digest."""
    hashed = blake2b(digest_size=16)
    for part in parts:
        hashed.update(len(part).to_bytes(8, "big"))
        hashed.update(part)
    return hashed.digest()
