"""Grants of connections that have gone, kept for when their clients come back (protocol §3.5).

The application grants the channels of a connect reply anew at the next connect. The channels to which the server
subscribed a connection later are named by the client alone, which could name any. So the node keeps their grants.
"""

import math
from typing import Final

from msgspec import Struct, structs

from hotclub.engine.leases import Leases
from hotclub.engine.port import SubscribeGrant
from hotclub.engine.target import Target

TTL: Final = 600.0
"""Seconds for which a grant is kept after its connection has gone."""
MOST: Final = 10_000
"""The most grants that are kept at one time. Beyond it the oldest grant is forgotten."""

_Key = tuple[str, str, str]


class Given(Struct, frozen=True):
    """A grant, and when it expires, in seconds on the sessions' clock; 0 is never."""

    grant: SubscribeGrant
    until: float = 0.0

    @classmethod
    def at(cls, now: float, grant: SubscribeGrant) -> "Given":
        """A grant that is made at `now`."""
        return cls(grant, now + grant.ttl if grant.ttl else 0.0)

    def left(self, now: float) -> SubscribeGrant | None:
        """The grant, with the seconds that are left at `now` as its `ttl`; None once it has expired."""
        if not self.until:
            return self.grant
        return structs.replace(self.grant, ttl=math.ceil(self.until - now)) if self.until > now else None


class Departed:
    """Grants by user, login and channel. Anonymous connections cannot be told apart, so their grants are not kept."""

    def __init__(self, *, most: int = MOST) -> None:
        self._most = most
        self._kept: Leases[_Key, tuple[Given, str]] = Leases(TTL)
        self._of_user: dict[str, set[_Key]] = {}

    def remember(self, user_id: str, login: str, client_id: str, channel: str, given: Given, now: float) -> None:
        """Keep the grant of a channel that a connection had when it ended at `now`."""
        if not user_id:
            return
        self.expire(now)
        while len(self._kept) >= self._most:
            self._drop(next(self._kept.keys()))
        key = user_id, login, channel
        self._kept.touch(key, (given, client_id), now)
        self._of_user.setdefault(user_id, set()).add(key)

    def recall(self, user_id: str, login: str, channel: str, now: float) -> SubscribeGrant | None:
        """The grant of the channel that is kept for this user and login; None when none is kept or it has expired."""
        self.expire(now)
        found = self._kept.get((user_id, login, channel))
        return None if found is None else found[0].left(now)

    def drop(self, user_id: str, login: str, channel: str) -> None:
        """Forget a grant, because a connection of this user and login is subscribed again. Idempotent."""
        self._drop((user_id, login, channel))

    def forget(self, target: Target, channel: str = "") -> None:
        """Forget the grants that the server takes back.

        Args:
            target: the connections that had the grants.
            channel: the channel of the grants, "" for every channel.
        """
        keys = self._of_user.get(target.user_id, ()) if target.user_id is not None else [*self._kept.keys()]
        for key in list(keys):
            _, login, name = key
            found = self._kept.get(key)
            if (
                found is not None
                and channel in ("", name)
                and target.login_id in (None, login)
                and target.client_id in (None, found[1])
            ):
                self._drop(key)

    def expire(self, now: float) -> None:
        """Forget the grants whose time is over; to be called now and then."""
        for key, _ in self._kept.expire(now):
            self._unlist(key)

    def _drop(self, key: _Key) -> None:
        if self._kept.drop(key):
            self._unlist(key)

    def _unlist(self, key: _Key) -> None:
        keys = self._of_user[key[0]]
        keys.discard(key)
        if not keys:
            del self._of_user[key[0]]
