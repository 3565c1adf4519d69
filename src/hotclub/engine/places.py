"""Places that groups share evenly: when no place is free, the group with the most places gives one up."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final, Generic, TypeVar

Holder = TypeVar("Holder")

_IPV6_NETWORK: Final = 64


@lru_cache(maxsize=1_024)
def network_of(address: str) -> str:
    """Return the network that counts as one address: an IPv4 address itself, or the /64 of an IPv6 customer."""
    if ":" not in address:
        return address
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Address(int(parsed) >> _IPV6_NETWORK << _IPV6_NETWORK))


class Places(Generic[Holder]):
    """The hashable holders of places, by group. The caller decides how many places there are.

    Every operation takes the same time, whatever the number of holders.
    """

    __slots__ = ("_groups", "_largest", "_sizes", "_taken")

    def __init__(self) -> None:
        self._groups: dict[str, dict[Holder, float]] = {}
        self._sizes: dict[int, dict[str, None]] = {}
        """The groups by the number of their places."""
        self._largest = 0
        self._taken = 0

    def __len__(self) -> int:
        return self._taken

    def held(self, group: str) -> int:
        """Return the number of places that a group holds."""
        holders = self._groups.get(group)
        return 0 if holders is None else len(holders)

    def enter(self, group: str, holder: Holder, now: float = 0.0) -> None:
        """Give a place to a holder that has none. `now` is the time that `oldest` returns."""
        holders = self._groups.setdefault(group, {})
        holders[holder] = now
        self._taken += 1
        self._resized(group, len(holders) - 1, len(holders))

    def leave(self, group: str, holder: Holder) -> None:
        """Take back the place of a holder. Idempotent."""
        holders = self._groups.get(group)
        if holders is None or holders.pop(holder, None) is None:
            return
        self._taken -= 1
        if not holders:
            del self._groups[group]
        self._resized(group, len(holders) + 1, len(holders))

    def oldest(self, group: str) -> tuple[Holder, float] | None:
        """Return the holder of a group that entered first, and when it entered; None for a group without places."""
        holders = self._groups.get(group)
        return next(iter(holders.items())) if holders else None

    def yields_to(self, group: str) -> Holder | None:
        """Return the holder that gives up its place to a newcomer of this group, and keep its place until `leave`.

        It is the newest of the group with the most places, if that group has at least two places more than the
        newcomer's group. Return None if no group has: the newcomer's group has its share.
        """
        if self._largest < self.held(group) + 2:
            return None
        greediest = next(iter(self._sizes[self._largest]))
        return next(reversed(self._groups[greediest]))

    def _resized(self, group: str, before: int, after: int) -> None:
        if before:
            same = self._sizes[before]
            del same[group]
            if not same:
                del self._sizes[before]
        if after:
            self._sizes.setdefault(after, {})[group] = None
        # A size changes by one, so the largest size does, too.
        if after > self._largest or (before == self._largest and before not in self._sizes):
            self._largest = after
