"""Many logins are found with few queries, and each as if it had been asked for alone."""

import asyncio
from typing import Any

import pytest
from django.contrib.auth.backends import ModelBackend
from django.contrib.sessions.backends import db
from django.db import DataError

from hotclub.access import logins as module
from hotclub.access.logins import Logins
from hotclub.access.session import authenticate_all, reads_together
from hotclub.runtime.pool import HookPool
from hotclub.testing.threads import InlinePool
from tests.hotclub.conftest import amake_person, make_person

pytestmark = pytest.mark.django_db(transaction=True)
PEOPLE = 40


class HeldPool(InlinePool):
    """A pool whose calls wait until the test lets them go."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()
        self.free = asyncio.Event()

    async def run(self, func: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.begun.set()
        await self.free.wait()
        return await super().run(func, *args, **kwargs)


class SessionStore(db.SessionStore):
    """A store with its own encoding, which fails for one session."""

    def decode(self, session_data: bytes | str) -> dict[str, Any]:
        if self.session_key == self.broken:
            raise LookupError("this session is broken")
        return super().decode(session_data)

    broken = ""


class SlowBackend(ModelBackend):
    """A backend that finds its users itself."""

    def get_user(self, user_id: Any) -> Any:
        return super().get_user(user_id)


def test_a_crowd_takes_two_queries(django_assert_num_queries: Any) -> None:
    people = [make_person(f"person {number}") for number in range(PEOPLE)]
    with django_assert_num_queries(2):
        found = authenticate_all({person.session_key for person in people})

    assert {key: login.user for key, login in found.items()} == {person.session_key: person.user for person in people}


async def test_a_crowd_takes_one_call_of_the_pool() -> None:
    people = [await amake_person(f"person {number}") for number in range(3)]
    pool = InlinePool()
    logins = Logins(pool)
    found = await asyncio.gather(*(logins.find(person.session_key) for person in people))

    assert [login and login.user for login in found] == [person.user for person in people]
    assert pool.calls == 1


async def test_who_asks_during_a_look_is_answered_by_the_next_one() -> None:
    person = await amake_person()
    pool = HeldPool()
    logins = Logins(pool)
    first = asyncio.ensure_future(logins.find(person.session_key))
    await pool.begun.wait()
    second = asyncio.ensure_future(logins.find(person.session_key))
    await asyncio.sleep(0)
    pool.free.set()

    assert await first is not None
    assert await second is not None
    assert pool.calls == 2


async def test_two_windows_of_one_browser_do_not_share_a_user() -> None:
    person = await amake_person()
    logins = Logins(InlinePool())
    one, other = await asyncio.gather(logins.find(person.session_key), logins.find(person.session_key))

    assert one is not None
    assert other is not None
    assert one.user == other.user
    assert one.user is not other.user
    assert one.user._state is not other.user._state


async def test_a_connection_that_goes_away_leaves_the_others_their_answers() -> None:
    person, friend = [await amake_person(name) for name in ("ann", "bob")]
    pool = HeldPool()
    logins = Logins(pool)
    gone, stays = (asyncio.ensure_future(logins.find(one.session_key)) for one in (person, friend))
    await pool.begun.wait()
    gone.cancel()
    pool.free.set()

    assert (await stays) is not None
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_a_session_that_cannot_be_read_fails_alone(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    people = [await amake_person(name) for name in ("ann", "bob", "eve")]
    settings.SESSION_ENGINE = __name__
    monkeypatch.setattr(SessionStore, "broken", people[1].session_key)
    logins = Logins(InlinePool())
    found = await asyncio.gather(*(logins.find(person.session_key) for person in people), return_exceptions=True)

    assert isinstance(found[1], LookupError)
    assert [getattr(login, "user", None) for login in (found[0], found[2])] == [people[0].user, people[2].user]


def test_a_backend_of_the_project_is_asked_for_its_users(settings: Any) -> None:
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.SlowBackend", "django.contrib.auth.backends.ModelBackend"]
    assert not reads_together()
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
    assert reads_together()
    person = make_person()
    assert authenticate_all({person.session_key, "0" * 32, "short"}).keys() == {person.session_key}


async def test_a_look_that_hangs_holds_up_nobody_who_asks_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool gives the hanging look up in its time, and the others do not wait for that."""
    monkeypatch.setattr(module, "SLOW", 0.01)
    people = [await amake_person(name) for name in ("ann", "bob", "eve")]
    pool = HeldPool()
    logins = Logins(pool)
    hangs = asyncio.ensure_future(logins.find(people[0].session_key))
    await pool.begun.wait()
    waits = asyncio.ensure_future(logins.find(people[1].session_key))
    await asyncio.sleep(0)
    monkeypatch.setattr(HeldPool, "run", InlinePool.run)

    assert await waits is not None
    assert await logins.find(people[2].session_key) is not None
    assert not hangs.done()
    pool.free.set()
    assert await hangs is not None


async def test_a_key_that_the_database_cannot_take_fails_alone_and_costs_few_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    people = [await amake_person(f"person {number}") for number in range(PEOPLE)]

    def strict(keys: set[str]) -> Any:
        if people[7].session_key in keys:
            raise DataError("no such text")
        return authenticate_all(keys)

    monkeypatch.setattr(module, "authenticate_all", strict)
    pool = InlinePool()
    logins = Logins(pool)
    found = await asyncio.gather(*(logins.find(person.session_key) for person in people), return_exceptions=True)

    assert [number for number, login in enumerate(found) if isinstance(login, Exception)] == [7]
    assert pool.calls < PEOPLE / 2


async def test_one_browser_with_many_windows_is_answered_in_many_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each window has its own copy of the user, and the loop does not make thousands of them at one time."""
    monkeypatch.setattr(module, "MOST_TOGETHER", 10)
    person = await amake_person()
    pool = InlinePool()
    logins = Logins(pool)
    found = await asyncio.gather(*(logins.find(person.session_key) for _ in range(100)))

    assert len({id(login.user) for login in found if login is not None}) == 100
    assert pool.calls == 10


async def test_a_pool_that_stops_leaves_nobody_waiting() -> None:
    person = await amake_person()
    pool = HookPool(1)
    logins = Logins(pool)
    await pool.close()
    with pytest.raises(RuntimeError, match="closed"):
        await asyncio.gather(*(logins.find(person.session_key) for _ in range(3)))
    with pytest.raises(RuntimeError, match="closed"):
        await logins.find(person.session_key)


@pytest.mark.parametrize("key", ["\0" * 32, "a" * 31 + "\0", "a" * 5_000])
def test_no_database_is_asked_for_what_cannot_be_a_key(key: str, django_assert_num_queries: Any) -> None:
    """PostgreSQL answers a text with NUL with an error, and a cookie may contain one as an escape."""
    person = make_person()
    with django_assert_num_queries(0):
        assert authenticate_all({key}) == {}
    assert authenticate_all({key, person.session_key, "é" * 32}).keys() == {person.session_key}
