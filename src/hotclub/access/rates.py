"""How much one address or one user may ask for: token buckets in bounded memory, and counts of open connections.

All of it belongs to the node's event loop and never waits. The defaults are far above what a person does, and above
what an office behind one address does when all its connections come back at once.
"""

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from ipaddress import IPv6Address, ip_address
from time import monotonic
from typing import Final

from hotclub.conf.values import Rate, RateLimits
from hotclub.engine.codes import Close, Code
from hotclub.engine.errors import Disconnect, HotclubError, Refused
from hotclub.engine.limits import TokenBucket

BUCKETS: Final = 20_000
"""The most buckets in memory. Beyond it the bucket that was unused for the longest time is dropped."""

_IPV6_NETWORK: Final = 64
_EVERYBODY: Final = ""


class TooMany(HotclubError):
    """A rate is exceeded; after `wait` seconds there is room again."""

    def __init__(self, wait: float) -> None:
        super().__init__(wait)
        self.wait = max(1, math.ceil(wait))

    def as_error(self) -> Refused:
        """The answer to a command."""
        return Refused(Code.TOO_MANY_REQUESTS, f"too many requests, retry after {self.wait} s")

    def as_disconnect(self) -> Disconnect:
        """The end of a connection, whose client comes back later."""
        return Disconnect(Close.TOO_MANY_REQUESTS, f"too many requests, retry after {self.wait} s")


class Buckets:
    """One bucket per key."""

    def __init__(self, *, most: int = BUCKETS, clock: Callable[[], float] = monotonic) -> None:
        self._most = most
        self._clock = clock
        self._buckets: OrderedDict[Hashable, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: Hashable, rate: Rate) -> None:
        """Take one token of this key.

        Raises:
            TooMany: there is none.
        """
        now = self._clock()
        bucket = self._buckets.get(key)
        if bucket is None:
            while len(self._buckets) >= self._most:
                self._buckets.popitem(last=False)
            bucket = self._buckets[key] = rate.bucket(now)
        self._buckets.move_to_end(key)
        if not bucket.take(now):
            raise TooMany(bucket.wait)


class Traffic:
    """The limits of one node."""

    def __init__(self, limits: RateLimits, *, clock: Callable[[], float] = monotonic) -> None:
        self._limits = limits
        self._buckets = Buckets(clock=clock)
        self._by_address: Counter[str] = Counter()
        self._by_user: Counter[str] = Counter()

    def handshake(self, address: str) -> None:
        """Count a handshake, of which only the address is known.

        Raises:
            TooMany: the rate of this address, or of all addresses together, is exceeded.
        """
        # The address comes first, so that a flood from one address does not use up the tokens of all.
        self._take("connects_per_address", network_of(address))
        self._take("connects", _EVERYBODY)

    def connect(self, user_id: str, address: str) -> None:
        """Count a new connection of this user; `disconnect` takes it back.

        Raises:
            Disconnect: `TOO_MANY_REQUESTS` with the time to wait, or `CONNECTION_LIMIT` for too many connections at
                the same time.
        """
        if user_id:
            try:
                self._take("connects_per_user", user_id)
            except TooMany as refused:
                raise refused.as_disconnect() from None
            if _reached(self._by_user[user_id], self._limits.connections_per_user):
                raise Disconnect(Close.CONNECTION_LIMIT)
        if _reached(self._by_address[network_of(address)], self._limits.connections_per_address):
            raise Disconnect(Close.CONNECTION_LIMIT)
        self._by_user[user_id] += 1
        self._by_address[network_of(address)] += 1

    def disconnect(self, user_id: str, address: str) -> None:
        """Undo `connect`."""
        for counter, key in ((self._by_user, user_id), (self._by_address, network_of(address))):
            counter[key] -= 1
            if counter[key] <= 0:
                del counter[key]

    def subscribe(self, who: str) -> None:
        """Count a subscribe of this user. Raises Refused `TOO_MANY_REQUESTS` with the time to wait."""
        self._command("subscribes_per_user", self._limits.subscribes_per_user, who)

    def publish(self, who: str, pattern: str, own: Rate | None) -> None:
        """Count a publish of this user in a channel class. Raises Refused `TOO_MANY_REQUESTS` with the time to wait."""
        self._command(f"publishes in {pattern}", own or self._limits.publishes_per_user, who)

    def _command(self, what: str, rate: Rate | None, who: str) -> None:
        if rate is None:
            return
        try:
            self._buckets.take((what, who), rate)
        except TooMany as refused:
            raise refused.as_error() from None

    def _take(self, name: str, key: str) -> None:
        rate: Rate | None = getattr(self._limits, name)
        if rate is not None:
            self._buckets.take((name, key), rate)


def network_of(address: str) -> str:
    """The network that counts as one address: of IPv6 the /64 that one customer gets, of IPv4 the address itself."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Address(int(parsed) >> _IPV6_NETWORK << _IPV6_NETWORK))


def _reached(count: int, most: int | None) -> bool:
    return most is not None and count >= most
