"""What the server subscribed connections to that are gone, for when their clients come back (protocol §3.5).

The channels that a connect reply grants are granted again by the next one. Those that came later, by the server's own
doing, are known to nobody but the client, whose word is none: so the node remembers them.
"""

import math
from typing import Final

from msgspec import Struct, structs

from hotclub.engine.application import SubscribeGrant
from hotclub.engine.bus import Target
from hotclub.engine.leases import Leases

TTL: Final = 600.0
"""Seconds for which a client may be away."""
MOST: Final = 50_000
"""Subscriptions remembered at one time; of more, the oldest are forgotten."""

_Key = tuple[str, str, str]


class Given(Struct, frozen=True):
    """A grant, and when it is over (seconds, on the sessions' clock); 0 for never."""

    grant: SubscribeGrant
    until: float = 0.0

    @classmethod
    def at(cls, now: float, grant: SubscribeGrant) -> "Given":
        """A grant as it is made."""
        return cls(grant, now + grant.ttl if grant.ttl else 0.0)

    def left(self, now: float) -> SubscribeGrant | None:
        """What is left of it, None for nothing."""
        if not self.until:
            return self.grant
        return structs.replace(self.grant, ttl=math.ceil(self.until - now)) if self.until > now else None


class Departed:
    """Grants by user, login and channel. Those of anonymous connections are not kept: nobody could tell them apart."""

    def __init__(self, *, most: int = MOST) -> None:
        self._most = most
        self._kept: Leases[_Key, tuple[Given, str]] = Leases(TTL)

    def remember(self, user_id: str, login: str, client_id: str, channel: str, given: Given, now: float) -> None:
        """This connection, which had that grant, is gone."""
        if not user_id:
            return
        self._kept.expire(now)
        while len(self._kept) >= self._most:
            self._kept.drop(next(self._kept.items())[0])
        self._kept.touch((user_id, login, channel), (given, client_id), now)

    def recall(self, user_id: str, login: str, channel: str, now: float) -> SubscribeGrant | None:
        """What a connection of this user and login had of the channel when it went."""
        self._kept.expire(now)
        found = self._kept.get((user_id, login, channel))
        return None if found is None else found[0].left(now)

    def forget(self, target: Target, channel: str = "") -> None:
        """The server has ended what `target` names: its subscription to the channel, or for "" all of them."""
        for key, (_, client_id) in list(self._kept.items()):
            user_id, login, name = key
            if (
                channel in ("", name)
                and target.user_id in (None, user_id)
                and target.session_id in (None, login)
                and target.client_id in (None, client_id)
            ):
                self._kept.drop(key)
