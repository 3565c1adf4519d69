"""Leases: entries that are gone unless renewed. Pure: the caller brings the time (seconds, monotonic)."""

from collections.abc import Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Leases(Generic[Key, Value]):
    """A mapping whose entries expire `ttl` seconds after they were last touched."""

    __slots__ = ("_entries", "_ttl")

    def __init__(self, ttl: float) -> None:
        self._ttl = ttl
        # Renewal moves an entry to the end, so the oldest lease always stands first.
        self._entries: dict[Key, tuple[float, Value]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def touch(self, key: Key, value: Value, now: float) -> None:
        """Add an entry, or renew its lease and replace its value."""
        self._entries.pop(key, None)
        self._entries[key] = (now + self._ttl, value)

    def get(self, key: Key) -> Value | None:
        """The value of an entry, None without one. An entry that is over counts until `expire` is called."""
        entry = self._entries.get(key)
        return None if entry is None else entry[1]

    def drop(self, key: Key) -> bool:
        """Remove an entry; False when there was none."""
        return self._entries.pop(key, None) is not None

    def expire(self, now: float) -> list[tuple[Key, Value]]:
        """Remove every entry whose lease has run out, and return the removed entries, oldest lease first."""
        expired = list(self._expired(now))
        for key, _ in expired:
            del self._entries[key]
        return expired

    def _expired(self, now: float) -> Iterator[tuple[Key, Value]]:
        for key, (until, value) in self._entries.items():
            if until > now:
                return
            yield key, value

    def items(self) -> Iterator[tuple[Key, Value]]:
        """The entries, oldest lease first. An entry that is over counts until `expire` is called."""
        return ((key, value) for key, (_, value) in self._entries.items())
