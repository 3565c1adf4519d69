"""Sign up, log in, log out, settings, and the two switches of every page."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from clubhouse.accounts.models import User

pytestmark = pytest.mark.django_db

PASSWORD = "minor swing"
FORM = {"username": "alice", "display_name": "Alice", "password1": "quintette-du", "password2": "quintette-du"}
SignIn = Callable[[User], Client]


ELSEWHERE = [
    "//evil.example/",
    "///evil.example/",
    "/\\evil.example/",
    "\\\\evil.example/",
    "/\t/evil.example/",
    " //evil.example/",
    "https://evil.example/",
    "https:evil.example",
    "https:/evil.example",
    "http://testserver:9000/",
    "http://testserver/chat/new/",
    "//testserver/chat/new/",
    "javascript:alert(1)",
    "data:text/html,x",
    "chat/new/",
    "@evil.example/",
    "/chat/\r\nSet-Cookie: a=b",
]
"""What is no path of this site; some of it is another port of its host."""


@pytest.fixture
def alice(make_user: Callable[..., User]) -> User:
    return make_user("alice")


def test_signing_up_makes_an_account_and_logs_in() -> None:
    browser = Client()
    response = browser.post("/accounts/signup/", FORM, follow=True)
    assert response.redirect_chain == [("/chat/", 302)]
    user = User.objects.get()
    assert (user.username, user.public_name, user.check_password("quintette-du")) == ("alice", "Alice", True)
    assert not user.is_staff
    assert f'data-user="{user.pk}"' in response.text


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"username": "bob smith"}, "Enter a valid username"),
        ({"username": ""}, "This field is required."),
        ({"password2": "other"}, "password fields didn’t match"),
        ({"password1": "12345678", "password2": "12345678"}, "too common"),
        ({"display_name": "x" * 51}, "at most 50 characters"),
    ],
)
def test_signing_up_says_what_is_wrong(change: dict[str, str], error: str) -> None:
    response = Client().post("/accounts/signup/", {**FORM, **change})
    assert response.status_code == 200
    assert error in response.text
    assert not User.objects.exists()


@pytest.mark.parametrize("field", ["is_staff", "is_superuser", "theme", "id"])
def test_signing_up_sets_nothing_else(field: str) -> None:
    Client().post("/accounts/signup/", {**FORM, field: "dark" if field == "theme" else "1000"})
    user = User.objects.get()
    assert (user.is_staff, user.is_superuser, user.theme) == (False, False, "auto")
    assert user.pk != 1000


def test_a_taken_name_is_taken_in_any_case(alice: User) -> None:
    assert "already exists" in Client().post("/accounts/signup/", {**FORM, "username": "ALICE"}).text
    assert User.objects.count() == 1


def test_display_names_have_nothing_invisible() -> None:
    Client().post("/accounts/signup/", {**FORM, "display_name": " \u202eecilA\u2066 \t\n B\u200b "})
    assert User.objects.get().display_name == "ecilA B"


def test_logging_in_and_out(alice: User) -> None:
    browser = Client()
    response = browser.post("/accounts/login/", {"username": "alice", "password": PASSWORD})
    assert response["Location"] == "/chat/"
    assert browser.get("/accounts/login/")["Location"] == "/chat/"
    assert browser.get("/accounts/logout/")["Location"] == "/"
    assert browser.get("/chat/").status_code == 200
    assert browser.post("/accounts/logout/")["Location"] == "/"
    assert browser.get("/chat/").status_code == 302


def test_a_wrong_password_is_no_way_in(alice: User) -> None:
    response = Client().post("/accounts/login/", {"username": "alice", "password": "wrong"})
    assert 'role="alert"' in response.text
    assert 'data-user=""' in response.text


@pytest.mark.parametrize("address", ["login", "signup"])
@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/chat/new/", "/chat/new/"),
        ("/chat/?a=1&b=//c#d", "/chat/?a=1&b=//c#d"),
        *((evil, "/chat/") for evil in ELSEWHERE),
    ],
)
def test_the_way_back_stays_on_this_site(alice: User, address: str, target: str, expected: str) -> None:
    form = (
        {"username": "alice", "password": PASSWORD}
        if address == "login"
        else {**FORM, "username": "bob", "display_name": ""}
    )
    assert Client().post(f"/accounts/{address}/", {**form, "next": target})["Location"] == expected


def test_the_way_out_stays_on_this_site(alice: User, sign_in: SignIn) -> None:
    for target in ELSEWHERE:
        assert sign_in(alice).post("/accounts/logout/", {"next": target})["Location"] == "/"
        assert sign_in(alice).post(f"/accounts/logout/?{urlencode({'next': target})}")["Location"] == "/"


@pytest.mark.parametrize(
    ("headers", "location"),
    [
        ({}, "/chat/"),
        ({"Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "same-origin"}, "/chat/new/"),
        ({"Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "none"}, "/chat/new/"),
        ({"Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "same-site"}, "/chat/"),
        ({"Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "cross-site"}, "/chat/"),
        ({"Sec-Fetch-Dest": "image", "Sec-Fetch-Site": "same-site"}, None),
        ({"Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-site"}, None),
        ({"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "cross-site"}, None),
    ],
)
def test_no_page_of_another_port_learns_from_a_redirect_who_is_logged_in(
    alice: User, sign_in: SignIn, headers: dict[str, str], location: str | None
) -> None:
    response = sign_in(alice).get("/accounts/login/?next=/chat/new/", headers=headers)
    assert response.headers.get("Location") == location
    for evil in ELSEWHERE:
        response = sign_in(alice).get(f"/accounts/login/?{urlencode({'next': evil})}", headers=headers)
        assert response.headers.get("Location") == (location and "/chat/")


def test_settings_are_saved(alice: User, sign_in: SignIn) -> None:
    browser = sign_in(alice)
    form = {"display_name": "Alice 王", "language": "zh-hans", "theme": "dark"}
    response = browser.post("/accounts/settings/", form, follow=True)
    assert '<html lang="zh-Hans-CN" data-theme="dark">' in response.text
    assert "设置已保存。" in response.text
    alice.refresh_from_db()
    assert (alice.public_name, alice.language, alice.theme) == ("Alice 王", "zh-hans", "dark")


@pytest.mark.parametrize("change", [{"language": "tlh"}, {"theme": "pink"}, {"display_name": "x" * 51}])
def test_settings_that_are_none_are_refused(alice: User, sign_in: SignIn, change: dict[str, str]) -> None:
    response = sign_in(alice).post(
        "/accounts/settings/", {"display_name": "A", "language": "", "theme": "auto", **change}
    )
    assert response.status_code == 200
    assert "field--error" in response.text
    assert ">alice</span>" in response.text, "the header shows who one is, not what was refused"
    alice.refresh_from_db()
    assert (alice.display_name, alice.language, alice.theme) == ("", "", "auto")


def test_changing_the_password_keeps_this_session_and_ends_the_others(alice: User, sign_in: SignIn) -> None:
    here, elsewhere = sign_in(alice), sign_in(alice)
    form = {"old_password": PASSWORD, "new_password1": "nuages-1940", "new_password2": "nuages-1940"}
    response = here.post("/accounts/settings/password/", form, follow=True)
    assert "Your password is changed." in response.text
    assert here.get("/chat/").status_code == 200
    assert elsewhere.get("/chat/").status_code == 302
    alice.refresh_from_db()
    assert alice.check_password("nuages-1940")


def test_the_settings_page_leaves_the_focus_where_it_is(alice: User, sign_in: SignIn) -> None:
    assert "autofocus" not in sign_in(alice).get("/accounts/settings/").text


def test_a_password_needs_the_old_one(alice: User, sign_in: SignIn) -> None:
    form = {"old_password": "wrong", "new_password1": "nuages-1940", "new_password2": "nuages-1940"}
    response = sign_in(alice).post("/accounts/settings/password/", form)
    assert "field--error" in response.text
    assert 'action="/accounts/settings/"' in response.text, "the whole settings page"
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


@pytest.mark.parametrize("choice", ["light", "dark", "auto"])
def test_strangers_choose_a_theme(choice: str) -> None:
    browser = Client()
    response = browser.post("/accounts/theme/", {"theme": choice, "next": "/accounts/login/"})
    assert response["Location"] == "/accounts/login/"
    assert f'data-theme="{choice}"' in browser.get("/").text


def test_strangers_choose_a_language(settings: Any) -> None:
    browser = Client(headers={"Accept-Language": "zh-CN"})
    assert 'lang="zh-Hans-CN"' in browser.get("/").text
    browser.post("/i18n/setlang/", {"language": "en"})
    assert '<html lang="en"' in browser.get("/").text
    assert browser.cookies[settings.LANGUAGE_COOKIE_NAME]["httponly"]


def test_choices_are_kept_on_the_account(alice: User, sign_in: SignIn) -> None:
    browser = sign_in(alice)
    browser.post("/accounts/theme/", {"theme": "dark"})
    browser.post("/i18n/setlang/", {"language": "zh-hans"})
    assert '<html lang="zh-Hans-CN" data-theme="dark">' in sign_in(alice).get("/").text


def test_the_account_wins_over_the_cookie(alice: User, sign_in: SignIn, settings: Any) -> None:
    User.objects.update(language="zh-hans", theme="light")
    browser = sign_in(alice)
    browser.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    browser.cookies["clubhouse_theme"] = "dark"
    assert '<html lang="zh-Hans-CN" data-theme="light">' in browser.get("/").text


@pytest.mark.parametrize("address", ["/accounts/theme/", "/i18n/setlang/"])
def test_choices_that_are_none_are_refused(address: str) -> None:
    assert Client().post(address, {"theme": "pink", "language": "tlh"}).status_code == 400
    assert Client().get(address)["Location"] == "/"
    assert Client().put(address).status_code == 405
    assert Client(enforce_csrf_checks=True).post(address, {"theme": "dark", "language": "en"}).status_code == 403


@pytest.mark.parametrize("target", [*ELSEWHERE, ""])
def test_a_choice_leads_back_to_this_site_only(target: str) -> None:
    browser = Client(headers={"Referer": "https://evil.example/"})
    assert browser.post("/accounts/theme/", {"theme": "dark", "next": target})["Location"] == "/"
    browser = Client(headers={"Referer": "http://testserver/chat/"})
    assert browser.post("/accounts/theme/", {"theme": "dark", "next": target})["Location"] == "http://testserver/chat/"
