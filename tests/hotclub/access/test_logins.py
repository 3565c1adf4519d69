"""Many logins are found with few queries, and each as if it had been asked for alone."""

import asyncio
from typing import Any

import pytest
from django.contrib.auth.backends import ModelBackend
from django.contrib.sessions.backends import db

from hotclub.access.logins import Logins
from hotclub.access.session import authenticate_all, reads_together
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
