"""The demo data."""

from io import StringIO
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.core.management import call_command
from django.test import Client

from clubhouse.accounts.models import User
from clubhouse.chat.demo import PASSWORD, ROOMS
from clubhouse.chat.models import Membership, Message, Room

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def local(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]


def _demo() -> str:
    output = StringIO()
    call_command("demo", stdout=output)
    return output.getvalue()


def test_the_demo_says_how_to_log_in() -> None:
    assert _demo() == "Demo accounts: alice / bob, password: hotclub-demo\n"
    assert all(authenticate(username=name, password=PASSWORD) for name in ("alice", "bob"))
    assert Client().login(username="alice", password=PASSWORD)
    assert _demo() == "Demo accounts: alice / bob, password: hotclub-demo\n"


def test_the_demo_talks_in_two_languages_and_in_the_past() -> None:
    _demo()
    texts = " ".join(Message.objects.values_list("text", flat=True))
    assert "hello" in texts.lower()
    assert "星期六" in " ".join(Room.objects.values_list("topic", flat=True))
    for room in Room.objects.all():
        times = list(room.messages.order_by("offset").values_list("created", flat=True))
        assert times == sorted(times)


def test_a_second_time_changes_nothing() -> None:
    _demo()
    User.objects.filter(username="alice").update(display_name="Changed")
    Message.objects.filter(room__name=ROOMS[0].name).delete()
    before = [list(model.objects.order_by("pk").values()) for model in (User, Room, Membership, Message)]
    _demo()
    assert before == [list(model.objects.order_by("pk").values()) for model in (User, Room, Membership, Message)]


@pytest.mark.parametrize("host", ["*", "club.example", "192.168.1.5"])
def test_where_others_can_reach_the_site_the_password_is_random_and_printed_once(settings: Any, host: str) -> None:
    settings.ALLOWED_HOSTS = ["localhost", host]
    printed = _demo()
    password = printed.split()[-1]
    assert len(password) == 16
    assert all(authenticate(username=name, password=password) for name in ("alice", "bob"))
    assert not authenticate(username="alice", password=PASSWORD)
    assert password not in _demo()
    assert authenticate(username="alice", password=password)


def test_the_public_password_ends_when_others_can_reach_the_site(settings: Any) -> None:
    _demo()
    bob = User.objects.get(username="bob")
    bob.set_password("chosen by bob")
    bob.save()
    settings.ALLOWED_HOSTS = ["*"]
    first, second = _demo().splitlines()
    assert first.startswith("Demo accounts: alice, password: ")
    assert second == "Demo accounts: bob, with the password that they have."
    assert authenticate(username="alice", password=first.split()[-1])
    assert not authenticate(username="alice", password=PASSWORD)
    assert authenticate(username="bob", password="chosen by bob")


def test_the_demo_writes_nothing_in_the_name_of_somebody_else(make_user: Any) -> None:
    make_user("bob", display_name="The real Bob")
    assert _demo() == "No demo data: somebody else has an account named bob.\n"
    assert User.objects.get().display_name == "The real Bob"
    assert not Room.objects.exists()
