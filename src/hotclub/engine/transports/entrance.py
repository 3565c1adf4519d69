"""Admits transports while the node serves them soon, and tells the others when to come back.

A transport waits in the entrance from its acceptance to the answer of its connect command. How many may wait depends on
how fast the node answers: a client that would wait for longer than its patience is better told a time to return. All
addresses share the places evenly, so no address keeps another one out.
"""

import random
from collections.abc import Callable
from statistics import median
from time import monotonic
from typing import Final

from hotclub.engine.codes import Close
from hotclub.engine.errors import Disconnect
from hotclub.engine.places import Places, network_of
from hotclub.engine.session import Session

PATIENCE: Final = 2.5
"""Seconds that an admitted client may wait for the answer to its connect command. SDKs give up after five."""
LONGEST_RETRY: Final = 20
"""The longest time to return that a client is told, in seconds. SDKs wait for no longer, either."""
_FEWEST: Final = 64
"""So many transports may always wait: a short queue says nothing about the speed of the node."""
_RATE: Final = 1_000.0
"""Answers per second, until they are measured."""
_BATCH: Final = 32
"""Answers from which the speed of the node is judged."""


class Crowded(Exception):
    """The node admits no further transport of this address now. In `retry_after` whole seconds it does."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


class Place:
    """The place of one transport in the entrance, until its connect command is answered or the transport has gone."""

    __slots__ = ("_entrance", "_session", "ahead", "group", "lost", "since")

    def __init__(self, entrance: "Entrance", group: str, since: float, ahead: int) -> None:
        """`ahead` is the number of transports that waited before this one. `since` is the time of the clock."""
        self.group = group
        self.since = since
        self.ahead = ahead
        self.lost = False
        """Whether the place was given to another address."""
        self._entrance = entrance
        self._session: Session | None = None

    def take(self, session: Session) -> None:
        """Note whose place it is. The session ends at once if the place was given to another address meanwhile."""
        self._session = session
        session.on_answered = self.answered
        if self.lost:
            self.give_up()

    def answered(self) -> None:
        """Leave the entrance because the connect command was answered. Idempotent."""
        if self._entrance.leave(self):
            self._entrance.learn(self)

    def leave(self) -> None:
        """Leave the entrance. Idempotent."""
        self._entrance.leave(self)

    def give_up(self) -> None:
        """Leave the entrance for another address, and tell the client when to come back."""
        self.leave()
        self.lost = True
        if self._session is not None:
            wait = self._entrance.time_to_return()
            reason = Disconnect(Close.TOO_MANY_REQUESTS, f"too many connections are waiting, retry after {wait} s")
            self._session.close(reason)


class Entrance:
    """The transports of a node that wait for the answer to their connect command."""

    def __init__(
        self, most: int, *, clock: Callable[[], float] = monotonic, spread: Callable[[], float] = random.random
    ) -> None:
        """Make an empty entrance.

        Args:
            most: the most transports that may wait.
            clock: returns seconds and never goes back.
            spread: returns random numbers from 0 to 1, which spread the times to return.
        """
        self.transports = 0
        """How many transports are open, the connected ones included."""
        self._most = most
        self._clock = clock
        self._spread = spread
        self._places: Places[Place] = Places()
        self._open = min(most, max(_FEWEST, int(_RATE * PATIENCE)))
        """The most transports that may wait at the present speed of the node."""
        self._rate = _RATE
        self._answered: list[tuple[float, int]] = []
        """For each transport of the present batch, the seconds that it waited and the number of those before it."""
        self._batch_began = clock()
        self._was_full = False
        self._next_turn = 0.0

    def __len__(self) -> int:
        return len(self._places)

    @property
    def open(self) -> int:
        """The number of transports that may wait at the present speed of the node."""
        return self._open

    def enter(self, address: str) -> Place:
        """Give a place to a transport of this address. In a full entrance the greediest address gives one up.

        Raises:
            Crowded: the entrance is full, and this address has its share of it.
        """
        group = network_of(address)
        if len(self._places) >= self._open:
            self._was_full = True
            other = self._places.yields_to(group)
            if other is None:
                raise Crowded(self.time_to_return())
            other.give_up()
        place = Place(self, group, self._clock(), len(self._places))
        self._places.enter(group, place)
        return place

    def leave(self, place: Place) -> bool:
        """Take back a place. Return whether the transport had it until now."""
        waiting = len(self._places)
        self._places.leave(place.group, place)
        return len(self._places) < waiting

    def learn(self, place: Place) -> None:
        """Judge the speed of the node by the answer to the transport of this place."""
        now = self._clock()
        self._answered.append((now - place.since, place.ahead))
        if len(self._answered) < _BATCH:
            return
        if self._was_full:
            self._rate = _BATCH / max(now - self._batch_began, 1e-3)
        if median(wait for wait, _ in self._answered) > PATIENCE:
            self._open = max(_FEWEST, int(median(ahead / wait for wait, ahead in self._answered) * PATIENCE))
        elif self._was_full:
            self._open = max(self._open, int(self._rate * PATIENCE))
        self._open = min(self._open, self._most)
        self._answered.clear()
        self._batch_began, self._was_full = now, len(self._places) >= self._open

    def time_to_return(self) -> int:
        """Return in how many seconds a refused client finds a place. The node gives as many clients each second as it
        serves."""
        now = self._clock()
        self._next_turn = max(self._next_turn, now) + 1 / self._rate
        wait = self._next_turn - now
        if wait > LONGEST_RETRY:
            wait = LONGEST_RETRY * (1 + self._spread()) / 2
        return min(LONGEST_RETRY, 1 + int(wait))
