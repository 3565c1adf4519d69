"""Counts the connections of a server process, and shares them among the addresses of the peers.

A connection is silent before and within a request head, and between two requests. Silent connections give way where
there is no room for another one. The trusted proxies speak for many clients, so no bound on one address holds for them.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol

from hotclub.access.handshake import is_trusted
from hotclub.conf.values import ServerLimits
from hotclub.engine.places import Places, network_of
from hotclub.engine.transports.base import LOOK_AGAIN

RETRY_AFTER: Final = 5
"""The seconds after which a connection that was turned away may come back. Silent connections have gone by then."""
LOOKS: Final = 2
"""So many turns of the loop may pass until the bytes that have arrived at a connection are read."""
_TURNED_AWAY: Final = 16
"""So many connections at one time wait for their request to be told that they are turned away."""
_OWN_FILES: Final = 64
_MOST_OWN_FILES: Final = 2_048
_OWN_SHARE: Final = 4
"""One in so many open files is kept for databases, logs and uploads, at least and at most the numbers above."""
_UNKNOWN_LIMIT: Final = 65_536


class Visitor(Protocol):
    """A connection, as the door sees it."""

    def drop(self) -> None:
        """End the silent connection and give its pass back, in favour of another connection."""
        ...


class Pass:
    """The right of one connection to be open, from `Door.enter` until `leave`. Nothing here is done twice."""

    __slots__ = ("_door", "_inside", "_silent", "_visitor", "group", "proxy")

    def __init__(self, door: "Door", visitor: Visitor, group: str, *, proxy: bool) -> None:
        self.group = group
        self.proxy = proxy
        self._door = door
        self._visitor: Visitor | None = visitor
        self._inside = True
        self._silent = False

    def falls_silent(self) -> None:
        """Note that the connection waits for a request head, or for the end of one."""
        if self._inside and not self._silent and not self.proxy and self._visitor is not None:
            self._silent = True
            self._door.silence(self.group, self._visitor)

    def speaks(self) -> None:
        """Note that a request head is complete."""
        if self._silent and self._visitor is not None:
            self._silent = False
            self._door.silent.leave(self.group, self._visitor)

    def never_silent(self) -> None:
        """Note that the connection sends no more request heads. Its protocol object for HTTP is forgotten: of an idle
        WebSocket it would be a fifth of the memory."""
        self.speaks()
        self._visitor = None

    def leave(self) -> None:
        """Note the end of the connection."""
        if self._inside:
            self._inside = False
            self.speaks()
            self._door.leave(self.group)


class Door:
    """The connections of one server process."""

    def __init__(
        self,
        limits: ServerLimits,
        trusted: tuple[str, ...] = (),
        *,
        files: int | None = None,
        patience: float = 5.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Make a door that no connection has passed.

        Args:
            limits: the bounds.
            trusted: the trusted proxies, as in `TRUSTED_PROXIES`.
            files: how many files the process may open; None for an unknown number.
            patience: the seconds for which a silent connection is safe. A crowd that comes at once opens thousands of
                connections before it sends the first request.
            clock: returns seconds and never goes back.
        """
        self.most = most_connections(limits.sockets, files)
        """The most connections at one time."""
        self.silent: Places[Visitor] = Places()
        self._per_address = limits.sockets_per_address or max(1, self.most * 3 // 4)
        self._silent_per_address = limits.silent_per_address
        self._trusted = trusted
        self._patience = patience
        self._clock = clock
        self._open = 0
        self._by_group: Counter[str] = Counter()
        self._waiting = 0
        self._judged: set[str] = set()
        """The addresses whose oldest silent connections will be dropped."""

    def __len__(self) -> int:
        return self._open

    def enter(self, visitor: Visitor, address: str) -> Pass | None:
        """Let a connection in, if need be in place of a silent one. Return None for one that is turned away.

        Args:
            visitor: the connection.
            address: the address of its peer, "" for a Unix socket.
        """
        group, proxy = network_of(address), is_trusted(address, self._trusted)
        if not proxy and self._by_group[group] >= self._per_address:
            return None
        if self._open >= self.most:
            other = self.silent.yields_to(group)
            if other is None:
                return None
            other.drop()
        self._open += 1
        self._by_group[group] += 1
        return Pass(self, visitor, group, proxy=proxy)

    def leave(self, group: str) -> None:
        """Forget a connection of this group. For `Pass`."""
        self._open -= 1
        self._by_group[group] -= 1
        if not self._by_group[group]:
            del self._by_group[group]

    def silence(self, group: str, visitor: Visitor) -> None:
        """Count a connection as silent. Of too many silent ones of an address, the oldest are dropped soon. For `Pass`.

        In a busy process, requests that have arrived may be unread. The loop reads them before the connections are
        looked at again.
        """
        now = self._clock()
        self.silent.enter(group, visitor, now)
        if self._has_too_many(group, now - self._patience) and group not in self._judged:
            self._judged.add(group)
            asyncio.get_running_loop().call_later(LOOK_AGAIN, self._judge, group, now - self._patience, LOOKS)

    def _has_too_many(self, group: str, since: float) -> Visitor | None:
        """Return the oldest silent connection of an address that has too many, if it was silent at this time."""
        if self._silent_per_address is None or self.silent.held(group) <= self._silent_per_address:
            return None
        oldest = self.silent.oldest(group)
        return oldest[0] if oldest is not None and oldest[1] < since else None

    def _judge(self, group: str, since: float, looks: int) -> None:
        if looks:
            asyncio.get_running_loop().call_later(LOOK_AGAIN, self._judge, group, since, looks - 1)
            return
        self._judged.discard(group)
        while (oldest := self._has_too_many(group, since)) is not None:
            oldest.drop()

    def may_wait(self) -> bool:
        """Take one of the places in which connections wait to be told that they are turned away, if one is free.

        `waits_no_more` gives it back.
        """
        if self._waiting >= _TURNED_AWAY:
            return False
        self._waiting += 1
        return True

    def waits_no_more(self) -> None:
        """See `may_wait`."""
        self._waiting -= 1


def most_connections(wanted: int | None, files: int | None) -> int:
    """Return how many connections a process may have.

    Args:
        wanted: the number in the settings, None for as many as possible.
        files: how many files the process may open, None for an unknown number.
    """
    files = _UNKNOWN_LIMIT if files is None else files
    possible = max(1, files - min(max(files // _OWN_SHARE, _OWN_FILES), _MOST_OWN_FILES))
    return possible if wanted is None else min(wanted, possible)
