"""Limits the requests and connections of one address and of one user, with token buckets in bounded memory.

The limits belong to the node's event loop and never wait. The defaults are above the rate at which an office behind one
address reconnects.
"""

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from time import monotonic
from typing import Final

from hotclub.conf.values import Rate, RateLimits
from hotclub.engine.codes import Close, Code
from hotclub.engine.errors import Disconnect, HotclubError, Refused
from hotclub.engine.limits import TokenBucket
from hotclub.engine.places import network_of

BUCKETS: Final = 20_000
"""The most buckets in memory. For a further one, the bucket that was unused for the longest time is dropped."""

_EVERYBODY: Final = ""


class TooMany(HotclubError):
    """A rate is exceeded. After `wait` whole seconds, at least 1, there is room again."""

    def __init__(self, wait: float) -> None:
        super().__init__(wait)
        self.wait = max(1, math.ceil(wait))

    def as_error(self) -> Refused:
        """Return the error as the answer to a command."""
        return Refused(Code.TOO_MANY_REQUESTS, f"too many requests, retry after {self.wait} s")

    def as_disconnect(self) -> Disconnect:
        """Return the error as the end of a connection. The code lets the client reconnect."""
        return Disconnect(Close.TOO_MANY_REQUESTS, f"too many requests, retry after {self.wait} s")


class Buckets:
    """Token buckets by key."""

    def __init__(self, *, most: int = BUCKETS, clock: Callable[[], float] = monotonic) -> None:
        """`most` is the most buckets in memory. `clock` returns seconds and never goes back."""
        self._most = most
        self._clock = clock
        self._buckets: OrderedDict[Hashable, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: Hashable, rate: Rate) -> None:
        """Take one token of a key. A new key gets a full bucket of this rate.

        Raises:
            TooMany: the bucket is empty.
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

    def look(self, key: Hashable) -> None:
        """Leave the bucket of a key as it is.

        Raises:
            TooMany: the bucket is empty.
        """
        bucket = self._buckets.get(key)
        if bucket is not None and not bucket.holds(self._clock()):
            raise TooMany(bucket.wait)


class Traffic:
    """The limits of one node. `RATES` sets them."""

    def __init__(self, limits: RateLimits, *, clock: Callable[[], float] = monotonic) -> None:
        self._limits = limits
        self._buckets = Buckets(clock=clock)
        self._by_address: Counter[str] = Counter()
        self._by_user: Counter[str] = Counter()

    def handshake(self, address: str) -> None:
        """Count a handshake of an address. The user is not known yet.

        Raises:
            TooMany: the rate of this address, or of all addresses together, is exceeded.
        """
        # The address comes first, so that a flood from one address does not use up the tokens of all.
        self._take("connects_per_address", network_of(address))
        self._take("connects", _EVERYBODY)

    def connect(self, user_id: str, address: str) -> None:
        """Count a new connection of a user. `disconnect` must follow when the connection ends.

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
        """Count the end of a connection that `connect` has counted."""
        for counter, key in ((self._by_user, user_id), (self._by_address, network_of(address))):
            counter[key] -= 1
            if counter[key] <= 0:
                del counter[key]

    def subscribe(self, who: str) -> None:
        """Count a subscribe of the user `who`. Raises Refused `TOO_MANY_REQUESTS` with the time to wait."""
        self._command("subscribes_per_user", self._limits.subscribes_per_user, who)

    def publish(self, who: str, pattern: str, own: Rate | None) -> None:
        """Count a publish of a user in a channel class.

        Args:
            who: the user.
            pattern: the pattern of the channel class.
            own: the rate of the channel class, None for the one of `RATES`.

        Raises:
            Refused: `TOO_MANY_REQUESTS` with the time to wait.
        """
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


def _reached(count: int, most: int | None) -> bool:
    return most is not None and count >= most
