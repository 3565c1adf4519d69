"""No two people have names that look alike, and every name can be seen."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from clubhouse.accounts.data import person
from clubhouse.accounts.lookalikes import LONGEST, keys_of
from clubhouse.accounts.models import ClaimedName, User
from clubhouse.accounts.names import BadName

pytestmark = pytest.mark.django_db

FORM = {"username": "carol", "display_name": "", "password1": "quintette-du", "password2": "quintette-du"}
PROFILE = {"language": "", "theme": "auto"}
SignIn = Callable[[User], Client]


@pytest.fixture
def alice(make_user: Callable[..., User]) -> User:
    return make_user("alice", display_name="Alice")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("alice", "аlice"),
        ("alice", "ALICE"),
        ("alice", "ΑLICE"),
        ("alice", "ａｌｉｃｅ"),
        ("alice", "𝒶lice"),
        ("alice", "ⓐlice"),
        ("alice", "al\u200bi\u034fce"),
        ("coco", "сосо"),
        ("paypal", "paypaI"),
        ("paypal", "paypa1"),
        ("mary", "rnary"),
        ("google", "g00gle"),
        ("lois", "ǀois"),
        ("Strasse", "Straße"),
        ("ロ", "口"),
    ],
)
def test_names_that_look_alike_have_a_key_in_common(one: str, other: str) -> None:
    assert keys_of(one) & keys_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("alice", "alicia"),
        ("alice", "allce"),
        ("王伟", "王薇"),
        ("田中", "中田"),
        ("さくら", "サクラ"),
        ("José", "Jose"),
        ("Анна", "Алла"),
        ("user1", "user2"),
    ],
)
def test_names_that_do_not_look_alike_have_none(one: str, other: str) -> None:
    assert not keys_of(one) & keys_of(other)


def test_a_long_key_fits_its_column() -> None:
    assert {len(key) <= LONGEST for key in keys_of("ﷺ" * 150)} == {True}


@pytest.mark.parametrize("field", ["username", "display_name"])
@pytest.mark.parametrize("name", ["аlice", "Alice", "alicе", "AIice", "ａlice"])
def test_signing_up_with_a_name_that_looks_like_somebody_elses_is_refused(alice: User, field: str, name: str) -> None:
    response = Client().post("/accounts/signup/", {**FORM, field: name})
    assert response.status_code == 200
    assert "field--error" in response.text
    assert User.objects.count() == 1


@pytest.mark.parametrize("name", ["\u3164", "\u2800", "\u115f", "\u034f", "\u3164\u3164bob", "b\u115fob"])
def test_a_user_name_that_cannot_be_seen_is_refused(name: str) -> None:
    response = Client().post("/accounts/signup/", {**FORM, "username": name})
    assert response.status_code == 200
    assert "field--error" in response.text
    assert not User.objects.exists()


@pytest.mark.parametrize("name", ["\u3164", "\u2800\u2800", "\u115f\u1160", "\u034f", "\ufe0f", "\u200d", "\U000e0041"])
def test_a_display_name_that_cannot_be_seen_is_empty(name: str) -> None:
    Client().post("/accounts/signup/", {**FORM, "display_name": name})
    assert User.objects.get().public_name == "carol"


def test_settings_refuse_somebody_elses_name_and_keep_ones_own(
    alice: User, make_user: Callable[..., User], sign_in: SignIn
) -> None:
    bob = make_user("bob", display_name="Bob")
    browser = sign_in(bob)
    assert "looks too much like" in browser.post("/accounts/settings/", {**PROFILE, "display_name": "Аlice"}).text
    for own in ("BOB", "Bob 王", "bob", ""):
        assert browser.post("/accounts/settings/", {**PROFILE, "display_name": own}).status_code == 302, own
    assert browser.post("/accounts/settings/", {**PROFILE, "display_name": "小李"}).status_code == 302
    assert sign_in(alice).post("/accounts/settings/", {**PROFILE, "display_name": "小李"}).status_code == 200


def test_a_name_that_is_given_up_is_free(alice: User, make_user: Callable[..., User]) -> None:
    alice.display_name = "Queen"
    alice.save()
    with pytest.raises(BadName):
        make_user("queen")
    alice.display_name = ""
    alice.save(update_fields=["display_name"])
    make_user("queen").delete()
    assert set(ClaimedName.objects.values_list("key", flat=True)) == keys_of("alice")


def test_every_way_to_store_a_user_claims_the_names(alice: User) -> None:
    with pytest.raises(BadName, match="taken"):
        User.objects.create(username="аlice")
    with pytest.raises(BadName, match="cannot be seen"):
        User.objects.create_user("bob\u3164")
    with pytest.raises(CommandError, match="taken"):
        call_command("createsuperuser", username="аlice", email="", interactive=False)
    assert User.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_who_take_a_name_at_the_same_time_one_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clubhouse.accounts.names.check_names", lambda *_: None)

    def sign_up(name: str) -> bool:
        try:
            return Client().post("/accounts/signup/", {**FORM, "username": name}).status_code == 302
        finally:
            connection.close()

    names = ["carol", "саrol", "carоl", "carol"]
    with ThreadPoolExecutor(len(names)) as threads:
        assert sum(threads.map(sign_up, names)) == 1
    assert User.objects.count() == 1


def test_names_from_before_the_rule_stay_until_they_are_changed(make_user: Callable[..., User]) -> None:
    first, second = make_user("alice"), make_user("mallory")
    User.objects.filter(pk=second.pk).update(username="аlice", display_name="Alice")
    ClaimedName.objects.all().delete()
    *_, claim = import_module("clubhouse.accounts.migrations.0003_claimed_names").Migration.operations
    claim.code(apps, None)
    assert set(ClaimedName.objects.values_list("user", "key")) == {(first.pk, key) for key in keys_of("Alice")}
    second.refresh_from_db()
    second.set_password("another password")
    second.save()
    second.display_name = "Mallory"
    second.save()
    second.display_name = "Alice"
    with pytest.raises(BadName):
        second.save()


def test_the_user_name_goes_wherever_another_display_name_goes(make_user: Callable[..., User]) -> None:
    assert person(make_user("alice", display_name="ALICE")).keys() == {"id", "name"}
    assert person(make_user("bob"))["name"] == "bob"
    mallory = make_user("mallory", display_name="The admin")
    assert person(mallory) == {"id": str(mallory.pk), "name": "The admin", "username": "mallory"}


def test_pages_show_the_user_name_beside_another_display_name(make_user: Callable[..., User], sign_in: SignIn) -> None:
    page: Any = sign_in(make_user("mallory", display_name="The admin")).get("/accounts/settings/")
    assert '<bdi class="username">@mallory</bdi>' in page.text
    assert '<bdi class="username">' not in sign_in(make_user("bob", display_name="Bob")).get("/accounts/settings/").text
