"""Few passwords are hashed at once, and the others wait in a queue that no address fills alone."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from clubhouse.accounts.guard import hashing
from clubhouse.accounts.guard.errors import TooBusy


def test_a_few_passwords_are_hashed_at_once_and_a_few_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    inside: list[int] = []
    most, leave = Counter[int](), threading.Event()

    def slow(*_arguments: Any) -> str:
        inside.append(1)
        most[len(inside)] += 1
        assert leave.wait(10)
        inside.pop()
        return "hash"

    monkeypatch.setattr(PBKDF2PasswordHasher, "encode", slow)
    hasher = hashing.BoundedPasswordHasher()
    turnstile = hashing.Turnstile(2, waiting=3, patience=10)
    monkeypatch.setattr(hasher, "_turnstile", turnstile)
    with ThreadPoolExecutor(5) as threads:
        answers = [threads.submit(hasher.encode, "password", "salt") for _ in range(5)]
        while turnstile.waiting < 3:
            pass
        with pytest.raises(TooBusy):
            hasher.encode("password", "salt")
        leave.set()
        assert [answer.result(10) for answer in answers] == ["hash"] * 5
    assert max(most) == 2
    assert hasher.encode("password", "salt") == "hash"


def test_a_password_does_not_wait_for_ever() -> None:
    turnstile = hashing.Turnstile(1, patience=0.01)
    with turnstile.passing(), pytest.raises(TooBusy), turnstile.passing():
        pass
    with turnstile.passing():
        assert turnstile.waiting == 0


@contextmanager
def crowd(
    turnstile: hashing.Turnstile, order: list[str], free: threading.Event
) -> Iterator[Callable[[str], Future[None]]]:
    """Start threads that pass through for an address, and write it down when they do; they stay inside until `free`."""

    def pass_through(address: str) -> None:
        with turnstile.passing(address):
            order.append(address)
            assert free.wait(10)

    with ThreadPoolExecutor(9) as threads:
        yield lambda address: threads.submit(pass_through, address)


def test_one_address_cannot_fill_the_queue_for_the_others() -> None:
    turnstile, order, free = hashing.Turnstile(1, waiting=4, patience=10), list[str](), threading.Event()
    with crowd(turnstile, order, free) as ask:
        first = ask("flood")
        while not order:
            pass
        flood = []
        for number in range(4):
            flood.append(ask("flood"))
            while turnstile.waiting <= number:
                pass
        assert isinstance(ask("flood").exception(10), TooBusy)
        ann = ask("ann")
        assert isinstance(flood[3].exception(10), TooBusy), "the last of the most"
        bob = ask("bob")
        assert isinstance(flood[2].exception(10), TooBusy)
        assert isinstance(ask("ann").exception(10), TooBusy)
        free.set()
        for answer in (first, *flood[:2], ann, bob):
            answer.result(10)
    assert order == ["flood", "flood", "ann", "bob", "flood"], "the addresses take turns"


def test_the_hashes_are_djangos_own() -> None:
    bounded, own = hashing.BoundedPasswordHasher(), PBKDF2PasswordHasher()
    assert bounded.encode("password", "salt", 10) == own.encode("password", "salt", 10)
    assert bounded.verify("password", own.encode("password", "salt", 10))
