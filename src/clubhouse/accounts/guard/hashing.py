"""Bounds how many passwords are hashed at once: a hash takes a third of a second of a processor, by intention."""

import threading
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from clubhouse.accounts.guard.errors import TooBusy

WAITING: Final = 40
"""The most passwords that wait; see `Turnstile` for which of them a further one replaces."""

PATIENCE: Final = 10.0
"""The seconds after which a password that waits is refused."""

_asker: Final[ContextVar[str]] = ContextVar("clubhouse_asker", default="")
"""The address for which this thread or task works, "" for none."""


@contextmanager
def asking(address: str) -> Iterator[None]:
    """Count the passwords that are hashed within the block among those of an address."""
    token = _asker.set(address)
    try:
        yield
    finally:
        _asker.reset(token)


class _Place:
    """A place in the queue: a thread waits for the event, and then finds whether it is let in."""

    __slots__ = ("called", "is_let_in")

    def __init__(self) -> None:
        self.called = threading.Event()
        self.is_let_in = False


class Turnstile:
    """Lets a few threads through at a time. Others wait for a bounded time, in a queue of bounded length.

    The addresses in the queue take turns. Where the queue is full, a newcomer takes the last place of the address with
    the most places, unless the newcomer's own address has as many. So no address can keep the others out.
    """

    def __init__(self, at_once: int, *, waiting: int = WAITING, patience: float = PATIENCE) -> None:
        """`at_once` threads may be inside, `waiting` more may wait, each for `patience` seconds."""
        self._free = at_once
        self._most = waiting
        self._patience = patience
        self._lock = threading.Lock()
        self._queues: OrderedDict[str, deque[_Place]] = OrderedDict()
        """The places in the queue by address, the address whose turn is next first."""

    @property
    def waiting(self) -> int:
        """How many threads wait."""
        return sum(map(len, self._queues.values()))

    @contextmanager
    def passing(self, address: str = "") -> Iterator[None]:
        """Wait for a place, and hold it within the block.

        Args:
            address: for whom the thread asks, "" for nobody in particular.

        Raises:
            TooBusy: the queue is full, somebody with fewer places took this one, or no place became free in time.
        """
        place = self._join(address)
        if place is not None:
            place.called.wait(self._patience)
            with self._lock:
                if not place.is_let_in:
                    self._forget(address, place)
                    raise TooBusy(self._patience)
        try:
            yield
        finally:
            self._leave()

    def _join(self, address: str) -> _Place | None:
        """Return a place in the queue, None for a thread that may pass at once."""
        with self._lock:
            if self._free:
                self._free -= 1
                return None
            if self.waiting >= self._most:
                self._make_room(address)
            place = _Place()
            self._queues.setdefault(address, deque()).append(place)
            return place

    def _make_room(self, address: str) -> None:
        largest, places = max(self._queues.items(), key=lambda item: len(item[1]), default=("", deque[_Place]()))
        if len(places) <= len(self._queues.get(address, ())) + 1:
            raise TooBusy(self._patience)
        last = places[-1]
        self._forget(largest, last)
        last.called.set()

    def _leave(self) -> None:
        """Give the place to the address whose turn is next."""
        with self._lock:
            if not self._queues:
                self._free += 1
                return
            address = next(iter(self._queues))
            place = self._queues[address][0]
            self._queues.move_to_end(address)
            self._forget(address, place)
            place.is_let_in = True
            place.called.set()

    def _forget(self, address: str, place: _Place) -> None:
        """Take a place out of the queue. Idempotent."""
        places = self._queues.get(address)
        if places is not None and place in places:
            places.remove(place)
            if not places:
                del self._queues[address]


class BoundedPasswordHasher(PBKDF2PasswordHasher):
    """Django's default hasher, behind a turnstile. It reads and writes the same hashes.

    Every check and every new password comes through `encode`, also in the admin site and in programs. A hash releases
    the interpreter's lock, so without a bound as many hashes as requests would share the processors with all pages.
    Django makes one instance per process.
    """

    def __init__(self) -> None:
        self._turnstile = Turnstile(settings.PASSWORD_HASHES_AT_ONCE)

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        """Return the hash of the password. See the base class.

        Raises:
            TooBusy: too many passwords wait already; see `Turnstile.passing`.
        """
        with self._turnstile.passing(_asker.get()):
            return super().encode(password, salt, iterations)
