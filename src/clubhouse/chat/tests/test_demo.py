"""The demo data."""

from io import StringIO

import pytest
from django.contrib.auth import authenticate
from django.core.management import call_command
from django.test import Client

from clubhouse.accounts.models import User
from clubhouse.chat.demo import PASSWORD, ROOMS
from clubhouse.chat.models import Membership, Message, Room

pytestmark = pytest.mark.django_db


def _demo() -> str:
    output = StringIO()
    call_command("demo", stdout=output)
    return output.getvalue()


def test_the_demo_says_how_to_log_in() -> None:
    assert _demo() == "Demo accounts: alice / bob, password: hotclub-demo\n"
    assert all(authenticate(username=name, password=PASSWORD) for name in ("alice", "bob"))
    assert Client().login(username="alice", password=PASSWORD)


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
