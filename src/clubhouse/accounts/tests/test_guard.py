"""The limits of log-in, sign-up and the change of a password, and what the log says of them."""

import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import aauthenticate, authenticate
from django.contrib.auth.hashers import get_hashers
from django.db import connection
from django.http import HttpRequest
from django.test import Client
from django.utils import timezone

from clubhouse.accounts.guard import hashing, limits
from clubhouse.accounts.guard.errors import TooBusy, TooManyAttempts
from clubhouse.accounts.guard.log import LINES, Sparingly, logger
from clubhouse.accounts.models import Allowance, User

pytestmark = pytest.mark.django_db

PASSWORD = "minor swing"
MOST = 6
"""LOG_IN_RATE, in 600 s."""
MOST_OF_ADDRESS = 9
MOST_OF_ACCOUNT = 8
SIGN_UP = {"username": "carol", "display_name": "Carol", "password1": "quintette-du", "password2": "quintette-du"}
SignIn = Callable[[User], Client]


@pytest.fixture
def alice(make_user: Callable[..., User]) -> User:
    return make_user("alice")


@pytest.fixture(autouse=True)
def few(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that a short test reaches, and a log that no earlier test has filled."""
    settings.LOG_IN_RATE_PER_ADDRESS = (MOST_OF_ADDRESS, 600)
    settings.LOG_IN_RATE_PER_ACCOUNT = (MOST_OF_ACCOUNT, 3600)
    monkeypatch.setattr(logger, "filters", [])


def log_in(name: str, password: str = "wrong", *, client: Client | None = None, address: str = "192.0.2.1") -> Any:
    form = {"username": name, "password": password}
    return (client or Client()).post("/accounts/login/", form, REMOTE_ADDR=address)


def use_up(name: str, address: str = "192.0.2.1") -> None:
    for _ in range(MOST):
        assert log_in(name, address=address).status_code == 200


def make_room(seconds: float) -> None:
    """Let time pass for all buckets."""
    for row in Allowance.objects.all():
        Allowance.objects.filter(pk=row.pk).update(full_at=row.full_at - timedelta(seconds=seconds))


@pytest.mark.parametrize("name", ["alice", "nobody", "gone"])
def test_a_log_in_is_refused_after_some_failures_whether_the_account_exists_or_not(
    alice: User, make_user: Callable[..., User], name: str
) -> None:
    make_user("gone", is_active=False)
    use_up(name)
    response = log_in(name, PASSWORD)
    assert response.status_code == 429
    assert 90 <= int(response["Retry-After"]) <= 100
    assert "Too many attempts" in response.text
    assert "Try again in" in response.text
    assert not response.wsgi_request.user.is_authenticated


def test_the_refusal_speaks_the_readers_language(alice: User) -> None:
    use_up("alice")
    assert "尝试次数过多" in log_in("alice", client=Client(headers={"Accept-Language": "zh-CN"})).text


def test_the_answer_to_a_wrong_name_is_the_answer_to_a_wrong_password(alice: User) -> None:
    User.objects.create_user("gone", password=PASSWORD, is_active=False)

    def errors(name: str, password: str) -> str:
        return str(log_in(name, password).text).partition('role="alert"')[2].partition("</div>")[0]

    assert errors("alice", "wrong") == errors("nobody", "wrong") == errors("gone", PASSWORD) != ""


def test_a_name_is_hashed_once_whether_the_account_exists_or_not(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    User.objects.create_user("gone", password=PASSWORD, is_active=False)
    User.objects.create_user("guest", password=None)
    (hasher, *_) = get_hashers()
    encode, hashed = hasher.encode, Counter[str]()

    def counted(password: str, salt: str) -> str:
        hashed[name] += 1
        return encode(password, salt)

    monkeypatch.setattr(hasher, "encode", counted)
    for name in ("alice", "nobody", "gone", "guest"):
        log_in(name)
    assert hashed == {"alice": 1, "nobody": 1, "gone": 1, "guest": 1}


def test_the_admin_sites_log_in_has_the_same_limits(alice: User) -> None:
    for _ in range(MOST):
        Client().post("/admin/login/", {"username": "alice", "password": "wrong"}, REMOTE_ADDR="192.0.2.1")
    assert log_in("alice").status_code == 429
    assert (
        Client().post("/admin/login/", {"username": "alice", "password": PASSWORD}, REMOTE_ADDR="192.0.2.1").status_code
        == 429
    )


def test_writing_a_name_in_another_way_gives_no_further_tries(alice: User) -> None:
    use_up("alice")
    for name in ("ALICE", "ａｌｉｃｅ", "Alice "):
        assert log_in(name).status_code == 429, name


def test_one_address_has_few_failures_at_whatever_names() -> None:
    answers = [log_in(f"name{number}").status_code for number in range(MOST_OF_ADDRESS + 1)]
    assert answers == [200] * MOST_OF_ADDRESS + [429]
    assert log_in("name", address="192.0.2.2").status_code == 200


def test_the_addresses_of_one_ipv6_customer_count_as_one() -> None:
    for number in range(MOST_OF_ADDRESS):
        log_in(f"name{number}", address=f"2001:db8:0:1::{number:x}")
    assert log_in("name", address="2001:db8:0:1:ffff::1").status_code == 429
    assert log_in("name", address="2001:db8:0:2::1").status_code == 200


def test_an_account_has_few_failures_from_whatever_addresses(alice: User) -> None:
    answers = [log_in("alice", address=f"192.0.2.{number}").status_code for number in range(MOST_OF_ACCOUNT + 1)]
    assert answers == [200] * MOST_OF_ACCOUNT + [429]


def test_an_attacker_locks_nobody_out_of_a_browser_that_knows_the_account(alice: User) -> None:
    home = Client()
    log_in("alice", PASSWORD, client=home)
    home.post("/accounts/logout/")
    for number in range(MOST_OF_ACCOUNT + 1):
        log_in("alice", address=f"198.51.100.{number}")
    use_up("bob")
    assert log_in("alice", PASSWORD, address="192.0.2.1").status_code == 429
    assert log_in("alice", PASSWORD, client=home, address="192.0.2.1").status_code == 302


def test_a_known_browser_has_tries_of_its_own_and_few(alice: User) -> None:
    home = Client()
    log_in("alice", PASSWORD, client=home)
    home.post("/accounts/logout/")
    answers = [log_in("alice", client=home, address=f"192.0.2.{number}").status_code for number in range(MOST + 1)]
    assert answers == [200] * MOST + [429]


def test_a_browser_is_known_for_its_own_accounts_only(alice: User, make_user: Callable[..., User]) -> None:
    make_user("mallory")
    browser = Client()
    log_in("mallory", PASSWORD, client=browser)
    browser.post("/accounts/logout/")
    answers = [log_in("alice", client=browser).status_code for _ in range(MOST + 1)]
    assert answers == [200] * MOST + [429]


def test_a_cookie_that_nobody_signed_is_not_believed(alice: User, settings: Any) -> None:
    browser = Client()
    browser.cookies[settings.BROWSER_COOKIE_NAME] = "W10:1abc:forged"
    answers = [log_in("alice", client=browser).status_code for _ in range(MOST + 1)]
    assert answers == [200] * MOST + [429]


def test_the_cookie_is_for_the_server_alone_and_tells_no_name(alice: User, settings: Any) -> None:
    response = log_in("alice", PASSWORD)
    cookie = response.cookies[settings.BROWSER_COOKIE_NAME]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")
    assert "alice" not in cookie.value
    assert settings.BROWSER_COOKIE_NAME not in log_in("alice").cookies


def test_a_log_in_costs_no_tries(alice: User) -> None:
    for _ in range(MOST_OF_ADDRESS + 1):
        assert log_in("alice", PASSWORD).status_code == 302


def test_logging_in_gives_nobody_elses_tries_back(alice: User, make_user: Callable[..., User]) -> None:
    make_user("mallory")
    use_up("alice")
    log_in("mallory", PASSWORD)
    assert log_in("alice").status_code == 429


def test_a_refused_try_does_not_make_the_wait_longer(alice: User) -> None:
    use_up("alice")
    first = int(log_in("alice")["Retry-After"])
    for _ in range(10):
        assert int(log_in("alice")["Retry-After"]) <= first
    make_room(first)
    assert log_in("alice", PASSWORD).status_code == 302


def test_tries_come_back_with_time_and_their_rows_go(alice: User) -> None:
    use_up("alice")
    make_room(100)
    assert [log_in("alice").status_code for _ in range(2)] == [200, 429]
    make_room(7_200)
    use_up("bob")
    assert Allowance.objects.count() == 3


def test_a_clock_that_was_wrong_locks_nobody_out_for_long(alice: User) -> None:
    use_up("alice")
    Allowance.objects.update(full_at=timezone.now() + timedelta(days=400))
    assert int(log_in("alice")["Retry-After"]) <= 100


def test_the_table_tells_neither_names_nor_addresses(alice: User) -> None:
    log_in("alice")
    assert all(len(key) == 64 and int(key, 16) for key in Allowance.objects.values_list("key", flat=True))


@pytest.mark.django_db(transaction=True)
def test_tries_at_the_same_time_are_all_counted() -> None:
    wanted = limits.bucket((3, 60), "test", "somebody")

    def attempt(_: int) -> bool:
        try:
            limits.take(wanted)
        except TooManyAttempts:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(attempt, range(8))) == 3


def test_tries_that_are_given_back_can_be_taken_again() -> None:
    wanted = limits.bucket((1, 60), "test", "somebody")
    limits.take(wanted)
    with pytest.raises(TooManyAttempts):
        limits.take(wanted)
    limits.give_back(wanted)
    limits.take(wanted)


def test_a_key_of_two_parts_is_no_key_of_one() -> None:
    keys = {
        limits.bucket((1, 1), *parts)[0].key for parts in (("a", "b", "c"), ("a", "bc"), ("ab", "c"), ("a", 'b","c'))
    }
    assert len(keys) == 4


@pytest.mark.parametrize("request_of", [lambda: None, HttpRequest])
def test_programs_without_an_address_are_limited_by_the_account(alice: User, request_of: Callable[[], Any]) -> None:
    for _ in range(MOST_OF_ACCOUNT):
        assert authenticate(request_of(), username="alice", password="wrong") is None
    with pytest.raises(TooManyAttempts):
        authenticate(request_of(), username="alice", password=PASSWORD)


@pytest.mark.django_db(transaction=True)
async def test_async_code_is_limited_too() -> None:
    for _ in range(MOST_OF_ACCOUNT):
        assert await aauthenticate(None, username="alice", password="wrong") is None
    with pytest.raises(TooManyAttempts):
        await aauthenticate(None, username="alice", password="wrong")


def test_limits_can_be_switched_off(alice: User, settings: Any) -> None:
    settings.LOG_IN_RATE = settings.LOG_IN_RATE_PER_ADDRESS = settings.LOG_IN_RATE_PER_ACCOUNT = None
    assert {log_in("alice").status_code for _ in range(MOST_OF_ADDRESS + 1)} == {200}


def test_one_address_signs_up_a_bounded_number_of_times(settings: Any) -> None:
    settings.SIGN_UP_RATE = (2, 3600)
    answers = [Client().post("/accounts/signup/", {**SIGN_UP, "username": "?"}).status_code for _ in range(2)]
    response = Client().post("/accounts/signup/", SIGN_UP)
    assert [*answers, response.status_code] == [200, 200, 429]
    assert not User.objects.exists()
    assert Client().get("/accounts/signup/").status_code == 200


def test_a_thief_of_a_session_cannot_guess_the_password(alice: User, sign_in: SignIn) -> None:
    thief = sign_in(alice)
    form = {"old_password": "wrong", "new_password1": "nuages-1940", "new_password2": "nuages-1940"}
    answers = [thief.post("/accounts/settings/password/", form).status_code for _ in range(MOST + 1)]
    assert answers == [200] * MOST + [429]
    assert thief.get("/accounts/settings/password/")["Location"] == "/accounts/settings/"
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    assert thief.post("/admin/password_change/", form)["Location"] == "/accounts/settings/"


def test_failures_are_logged_without_the_password_and_on_one_line(
    alice: User, caplog: pytest.LogCaptureFixture
) -> None:
    log_in("alice\u202e\x1b[31m", "secret")
    use_up("alice")
    log_in("alice", "secret")
    lines = caplog.messages
    assert r"Log-in failed: name='alice\u202e\x1b[31m' address='192.0.2.1'" in lines
    assert any(line.startswith("Log-in refused for") and "name='alice' address='192.0.2.1'" in line for line in lines)
    assert "secret" not in caplog.text


def test_a_flood_of_failures_leaves_a_bounded_log(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1.0]
    monkeypatch.setattr("clubhouse.accounts.guard.log.monotonic", lambda: now[0])
    sparingly = Sparingly()

    def passed() -> str | None:
        record = logging.LogRecord("clubhouse.accounts", logging.WARNING, "", 1, "failed: %s", ("x",), None)
        return record.getMessage() if sparingly.filter(record) else None

    assert [passed() for _ in range(LINES + 5)] == ["failed: x"] * LINES + [None] * 5
    now[0] += 60
    assert passed() == "failed: x (left out 5 lines)"
    assert passed() == "failed: x"


def test_the_queue_knows_the_address_of_a_request(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def encode(*_: Any) -> str:
        asked.append(hashing._asker.get())
        return "hash"

    monkeypatch.setattr(get_hashers()[0], "encode", encode)
    log_in("alice")
    log_in("alice", address="2001:db8::1")
    assert asked[0] == "192.0.2.1/32"
    assert asked[-1] == "2001:db8::/64"
    assert hashing._asker.get() == ""


def test_a_busy_site_says_when_to_come_back(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: Any) -> str:
        raise TooBusy(5)

    monkeypatch.setattr(get_hashers()[0], "encode", busy)
    response = log_in("alice")
    assert (response.status_code, response["Retry-After"]) == (503, "5")
    assert "Try again in 5 seconds." in response.text
    assert {log_in("alice").status_code for _ in range(MOST + 1)} == {503}, "what is not looked at costs no try"
