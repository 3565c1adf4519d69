"""Leases: entries that are gone unless renewed. Pure: the caller brings the time (seconds, monotonic)."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Leases(Generic[Key, Value]):
    """A mapping whose entries expire `ttl` seconds after they were last touched."""

    __slots__ = ("_ttl", "_until", "_values")

    def __init__(self, ttl: float) -> None:
        self._ttl = ttl
        # Renewal moves a key to the end, so the oldest lease always stands first. To come to the first key, a plain
        # dictionary would pass through the places of all that were removed before it.
        self._until: OrderedDict[Key, float] = OrderedDict()
        # Apart, because a dictionary of the bare values is copied in a tenth of the time.
        self._values: dict[Key, Value] = {}

    def __len__(self) -> int:
        return len(self._until)

    def touch(self, key: Key, value: Value, now: float) -> None:
        """Add an entry, or renew its lease and replace its value."""
        self._until[key] = now + self._ttl
        self._until.move_to_end(key)
        self._values[key] = value

    def get(self, key: Key, now: float | None = None) -> Value | None:
        """The value of an entry, None without one. Without `now`, an entry that is over counts until `expire`."""
        if now is not None and self._until.get(key, now) <= now:
            return None
        return self._values.get(key)

    def drop(self, key: Key) -> bool:
        """Remove an entry; False when there was none."""
        self._values.pop(key, None)
        return self._until.pop(key, None) is not None

    def expire(self, now: float, most: int | None = None) -> list[tuple[Key, Value]]:
        """Remove the entries whose lease has run out, oldest lease first, and return them.

        Args:
            now: the time.
            most: the most entries to remove; None for all. Removing many takes long.
        """
        expired = list(islice(self._expired(now), most))
        for key, _ in expired:
            del self._until[key], self._values[key]
        return expired

    def next_end(self) -> float | None:
        """When the oldest lease runs out; None without entries."""
        return next(iter(self._until.values()), None)

    def _expired(self, now: float) -> Iterator[tuple[Key, Value]]:
        for key, until in self._until.items():
            if until > now:
                return
            yield key, self._values[key]

    def keys(self) -> Iterator[Key]:
        """The keys, oldest lease first. The key of an entry that is over counts until `expire` is called."""
        return iter(self._until)

    def items(self) -> Iterator[tuple[Key, Value]]:
        """The entries, oldest lease first. An entry that is over counts until `expire` is called."""
        return ((key, self._values[key]) for key in self._until)

    def snapshot(self) -> Mapping[Key, Value]:
        """The entries as they are now, in any order. One that is over counts until `expire` is called."""
        return self._values.copy()
