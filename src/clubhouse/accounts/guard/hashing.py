"""Bounds how many passwords are hashed at once: a hash takes a third of a second of a processor, by intention."""

import threading
from types import TracebackType
from typing import Final

from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from clubhouse.accounts.guard.errors import TooBusy

WAITING: Final = 40
"""The most passwords that wait; a further one is refused at once."""

PATIENCE: Final = 10.0
"""The seconds after which a password that waits is refused."""


class Turnstile:
    """Lets a few threads through at a time. Others wait for a bounded time, in a queue of bounded length."""

    def __init__(self, at_once: int, *, waiting: int = WAITING, patience: float = PATIENCE) -> None:
        """`at_once` threads may be inside, `waiting` more may wait, each for `patience` seconds."""
        self._places = threading.Semaphore(at_once)
        self._queue = threading.Semaphore(at_once + waiting)
        self._patience = patience

    def __enter__(self) -> None:
        """Wait for a place.

        Raises:
            TooBusy: the queue is full, or no place became free in time.
        """
        if not self._queue.acquire(blocking=False):
            raise TooBusy(self._patience)
        if not self._places.acquire(timeout=self._patience):
            self._queue.release()
            raise TooBusy(self._patience)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._places.release()
        self._queue.release()


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
            TooBusy: too many passwords wait already.
        """
        with self._turnstile:
            return super().encode(password, salt, iterations)
