"""The chat's pages and its JSON."""

import json
import re
from collections.abc import Callable
from importlib import import_module
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.test import Client

from clubhouse.accounts.models import User
from clubhouse.chat import queries, services
from clubhouse.chat.forms import RoomForm
from clubhouse.chat.models import Membership, Message, Room
from clubhouse.chat.names import ClaimedRoomName, RoomNameTaken
from clubhouse.chat.tests.test_markup import HOSTILE

SignIn = Callable[[User], Client]

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(make_user: Callable[..., User]) -> User:
    return make_user("alice", display_name="Alice")


@pytest.fixture
def bob(make_user: Callable[..., User]) -> User:
    return make_user("bob")


@pytest.fixture
def room(alice: User) -> Room:
    return services.create_room(alice, "Swing", "Django Reinhardt")


def _room_data(html: str) -> dict[str, Any]:
    found = re.search(r'<script id="room-data" type="application/json">(.*?)</script>', html, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


@pytest.mark.parametrize("path", ["/chat/", "/chat/new/", "/chat/{room}/", "/chat/{room}/join/", "/chat/{room}/send/"])
def test_pages_ask_strangers_to_log_in(room: Room, path: str) -> None:
    address = path.format(room=room.pk)
    response = Client().get(address)
    assert (response.status_code, response["Location"]) == (302, f"/accounts/login/?next={address}")


def test_the_list_shows_ones_rooms_and_the_others(room: Room, bob: User, sign_in: SignIn) -> None:
    services.create_room(bob, "周末爬山")
    html = sign_in(bob).get("/chat/").content.decode()
    joined, _, others = html.partition('class="rooms"')
    assert "周末爬山" in joined
    assert "周末爬山" not in others
    assert "Swing" in others
    assert "1 member" in others


@pytest.mark.parametrize(
    ("unread", "shown"), [(1, "1 unread message"), (3, "3 unread messages"), (120, "100 unread messages")]
)
def test_the_list_says_how_much_is_unread(
    room: Room, alice: User, bob: User, sign_in: SignIn, unread: int, shown: str
) -> None:
    services.join_room(bob, room)
    Message.objects.bulk_create(
        Message(room=room, author=alice, client_id=uuid4(), text="x", html="x", offset=10 + number)
        for number in range(unread)
    )
    html = sign_in(bob).get("/chat/").content.decode()
    assert shown in html
    assert (">99+<" in html) is (unread > 99)


def test_empty_lists_lead_on(alice: User, sign_in: SignIn) -> None:
    html = sign_in(alice).get("/chat/").content.decode()
    assert "You have not joined a room yet." in html
    assert "There are no rooms yet." in html
    assert html.count('href="/chat/new/"') == 2


def test_a_room_is_made_and_entered(alice: User, sign_in: SignIn) -> None:
    response = sign_in(alice).post("/chat/new/", {"name": "  New\u202e \t room ", "topic": ""})
    room = Room.objects.get()
    assert room.name == "New room"
    assert response["Location"] == f"/chat/{room.pk}/"
    assert services.is_member(room.pk, alice)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("", "This field is required."),
        ("\u200b", "This field is required."),
        ("Swing", "A room with this name already exists."),
        ("x" * 61, "at most 60 characters"),
    ],
)
def test_a_room_needs_a_name_of_its_own(room: Room, alice: User, sign_in: SignIn, name: str, error: str) -> None:
    response = sign_in(alice).post("/chat/new/", {"name": name})
    assert response.status_code == 200
    assert error in response.content.decode()
    assert Room.objects.count() == 1


def test_a_name_that_was_taken_meanwhile_is_said(
    room: Room, alice: User, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RoomForm, "validate_unique", lambda _form: None)
    assert "A room with this name already exists." in sign_in(alice).post("/chat/new/", {"name": "Swing"}).text


@pytest.mark.parametrize("name", ["Swіng", "SWING", "Ｓｗｉｎｇ", "Swing\ufe0f"])
def test_a_room_has_no_name_that_looks_like_the_name_of_another(
    room: Room, alice: User, bob: User, sign_in: SignIn, name: str
) -> None:
    for user in (alice, bob):
        response = sign_in(user).post("/chat/new/", {"name": name})
        assert response.status_code == 200
        assert "The name of another room looks too much like this one." in response.text
    assert Room.objects.count() == 1


def test_rooms_of_all_kinds_of_names_stand_side_by_side(room: Room, alice: User, sign_in: SignIn) -> None:
    names = [
        "周末爬山",
        "周末登山",
        "周未爬山活动",
        "Swing 2",
        "Swings",
        "スイング",
        "Свинг",
        "🎸",
        "🎸🎸",
        "你好",
        "您好",
        "读书会",
        "讀書會",
    ]
    browser = sign_in(alice)
    for name in names:
        assert browser.post("/chat/new/", {"name": name}).status_code == 302, name
    assert {*Room.objects.values_list("name", flat=True)} == {"Swing", *names}


def test_a_name_that_came_to_look_alike_meanwhile_is_said(
    room: Room, alice: User, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Room, "clean", lambda _room: None)
    response = sign_in(alice).post("/chat/new/", {"name": "Swіng"})
    assert "The name of another room looks too much like this one." in response.text
    assert Room.objects.count() == 1


def test_a_room_that_is_renamed_or_deleted_leaves_its_name_to_others(room: Room, alice: User) -> None:
    room.name = "Bebop"
    room.save()
    other = services.create_room(alice, "Ѕwing")
    with pytest.raises(RoomNameTaken):
        services.create_room(alice, "Вebop")
    services.delete_room(room)
    assert services.create_room(alice, "Вebop").pk != other.pk


def test_rooms_that_look_alike_from_earlier_on_keep_their_names(room: Room) -> None:
    """The migration claims the names of the older rooms first."""
    ClaimedRoomName.objects.all().delete()
    Room.objects.bulk_create([Room(name="Ѕwing")])
    later = Room.objects.get(name="Ѕwing")
    migration = import_module("clubhouse.chat.migrations.0002_claimed_room_names")
    *_, claim = migration.Migration.operations

    claim.code(apps, None)

    assert {*ClaimedRoomName.objects.values_list("room", flat=True)} == {room.pk}
    later.topic = "Manouche"
    later.full_clean(exclude=["created_by"])
    later.save()
    assert Room.objects.get(pk=later.pk).topic == "Manouche"


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("name", ["\u3164", "\u2800 \u2800", "\u115f", "\u034f", "\u200b", "\ufe0f"])
def test_a_room_needs_a_name_that_can_be_seen(alice: User, sign_in: SignIn, name: str) -> None:
    response = sign_in(alice).post("/chat/new/", {"name": name, "topic": name})
    assert response.status_code == 200
    assert "This field is required." in response.text
    assert not Room.objects.exists()


def test_the_room_page_holds_what_the_island_needs(room: Room, alice: User, bob: User, sign_in: SignIn) -> None:
    services.join_room(bob, room)
    message = services.post_message(room.pk, bob, uuid4(), "**hi**")
    html = sign_in(alice).get(f"/chat/{room.pk}/").content.decode()
    data = _room_data(html)
    assert data["room"] == {"id": room.pk, "name": "Swing", "topic": "Django Reinhardt"}
    assert data["me"] == {"id": str(alice.pk), "name": "Alice"}
    assert data["members"] == [data["me"], {"id": str(bob.pk), "name": "bob"}]
    assert data["more"] is False
    assert data["epoch"]
    assert data["offset"] == message.offset
    assert data["last_read"] == 0
    (shown,) = data["messages"]
    assert shown["offset"] == message.offset
    assert shown["client_id"] == str(message.client_id)
    assert shown["html"] == "<p><strong>hi</strong></p>"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", shown["created"])
    assert "<p><strong>hi</strong></p>" in html.partition("room-data")[0], "readable without scripts"


def test_others_see_the_way_in_and_nothing_that_was_said(room: Room, alice: User, bob: User, sign_in: SignIn) -> None:
    services.post_message(room.pk, alice, uuid4(), "between us")
    browser = sign_in(bob)
    html = browser.get(f"/chat/{room.pk}/").content.decode()
    assert "Join the room" in html
    assert "between us" not in html
    assert "room-data" not in html
    browser.post(f"/chat/{room.pk}/join/")
    assert services.is_member(room.pk, bob)
    browser.post(f"/chat/{room.pk}/leave/")
    assert not services.is_member(room.pk, bob)
    assert "You have left Swing." in browser.get("/chat/").content.decode()


@pytest.mark.parametrize("action", ["join", "leave", "send"])
def test_links_change_nothing(room: Room, alice: User, sign_in: SignIn, action: str) -> None:
    # A log-in leads to the form that somebody has sent without one.
    assert sign_in(alice).get(f"/chat/{room.pk}/{action}/")["Location"] == f"/chat/{room.pk}/"
    assert sign_in(alice).put(f"/chat/{room.pk}/{action}/").status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    assert strict.post(f"/chat/{room.pk}/{action}/").status_code == 403
    assert Membership.objects.count() == 1


@pytest.mark.parametrize("number", [10**6, 2**63, 10**30])
@pytest.mark.parametrize("path", ["", "messages", "join/", "leave/"])
def test_unknown_rooms_are_not_found(alice: User, sign_in: SignIn, number: int, path: str) -> None:
    browser = sign_in(alice)
    send = browser.post if path in {"join/", "leave/"} else browser.get
    response = send(f"/chat/{number}/{path}")
    assert response.status_code == 404
    assert response.json() == {"error": "no such room"} if path == "messages" else "Page not found" in response.text


def test_older_messages_are_for_members_only(room: Room, bob: User, sign_in: SignIn) -> None:
    assert Client().get(f"/chat/{room.pk}/messages").status_code == 401
    assert sign_in(bob).get(f"/chat/{room.pk}/messages").status_code == 403


@pytest.mark.parametrize(("before", "expected"), [("", 50), ("11", 10), ("1", 0), ("-5", 0), (str(10**30), 50)])
def test_older_messages_come_as_json(room: Room, alice: User, sign_in: SignIn, before: str, expected: int) -> None:
    Message.objects.bulk_create(
        Message(room=room, author=alice, client_id=uuid4(), text="x", html="x", offset=number)
        for number in range(1, 61)
    )
    query = f"?before={before}" if before else ""
    page = sign_in(alice).get(f"/chat/{room.pk}/messages{query}").json()
    assert len(page["messages"]) == expected
    assert page["more"] is (expected == 50)
    assert [message["offset"] for message in page["messages"]] == sorted(m["offset"] for m in page["messages"])


def test_a_page_that_is_no_number_is_a_mistake(room: Room, alice: User, sign_in: SignIn) -> None:
    assert sign_in(alice).get(f"/chat/{room.pk}/messages?before=x").status_code == 400


def test_a_message_is_sent_without_scripts_once(room: Room, alice: User, sign_in: SignIn) -> None:
    browser = sign_in(alice)
    form = {"id": str(uuid4()), "text": "two\r\nlines"}
    for _ in range(2):
        assert browser.post(f"/chat/{room.pk}/send/", form)["Location"] == f"/chat/{room.pk}/"
    assert Message.objects.get().text == "two\nlines"


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"id": str(uuid4()), "text": " "}, "There is nothing to send."),
        ({"id": str(uuid4()), "text": "x" * 10_001}, "This is too long"),
        ({"id": "x", "text": "hello"}, "The message was not accepted."),
        ({}, "The message was not accepted."),
    ],
)
def test_a_refusal_is_said_in_words(room: Room, alice: User, sign_in: SignIn, form: dict[str, str], words: str) -> None:
    browser = sign_in(alice)
    browser.post(f"/chat/{room.pk}/send/", form)
    assert words in browser.get("/chat/").content.decode()
    assert not Message.objects.exists()


def test_who_is_too_fast_reads_how_long_to_wait(room: Room, alice: User, sign_in: SignIn, settings: Any) -> None:
    settings.CHAT_RATE = (1, 30.0)
    alice.language = "zh-hans"
    alice.save()
    browser = sign_in(alice)
    for _ in range(2):
        browser.post(f"/chat/{room.pk}/send/", {"id": str(uuid4()), "text": "x"})
    assert "操作过快，请等待 30 秒" in browser.get("/chat/").content.decode()


@pytest.mark.usefixtures("node")
def test_hostile_names_and_messages_are_text_on_every_page(alice: User, sign_in: SignIn, settings: Any) -> None:
    settings.CHAT_RATE = None
    payload = "<script>alert(1)</script>"
    alice.display_name = payload
    alice.save()
    room = services.create_room(alice, f"1{payload}", payload)
    services.create_room(
        User.objects.create(username="other"), f"2{payload}", f'"><img src=x onerror=alert(1)>{payload}'
    )
    for text in HOSTILE:
        services.post_message(room.pk, alice, uuid4(), text.replace("\x00", ""))
    browser = sign_in(alice)
    browser.post(f"/chat/{room.pk}/leave/")
    browser.post(f"/chat/{room.pk}/join/")
    for path in ("/", "/chat/", "/chat/new/", f"/chat/{room.pk}/", "/accounts/settings/"):
        html = browser.get(path).content.decode()
        scripts = re.findall(r"<script\b[^>]*>", html)
        assert all("nonce=" in script or 'type="application/json"' in script for script in scripts), scripts
        assert "<img src=x" not in html
        assert "<svg" not in html
        assert "<iframe" not in html
        assert not re.search(r"<[^>]*\son\w+=", html)


def test_limits_are_said_in_words(room: Room, bob: User, sign_in: SignIn, settings: Any) -> None:
    browser = sign_in(bob)
    settings.CHAT_ROOMS_PER_PERSON = 1
    assert browser.post("/chat/new/", {"name": "First"}).status_code == 302
    response = browser.post("/chat/new/", {"name": "Second", "topic": "kept"})
    assert "You have made 1 room, and nobody may make more." in response.text
    assert 'value="Second"' in response.text
    settings.CHAT_MEMBERSHIPS_PER_PERSON = 1
    response = browser.post(f"/chat/{room.pk}/join/", follow=True)
    assert "You are in 1 room, and nobody may be in more. Leave one first." in response.text
    assert not services.is_member(room.pk, bob)


def test_pages_of_lists_lead_to_one_another(
    alice: User, bob: User, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "ROOMS_SHOWN", 2)
    monkeypatch.setattr(queries, "MEMBERS_SHOWN", 1)
    rooms = [services.create_room(alice, f"Room {number}") for number in range(3)]
    services.join_room(bob, rooms[2])

    def leads(browser: Client, address: str) -> list[str]:
        return re.findall(r'rel="(?:prev|next)" href="([^"]+)"', browser.get(address).text)

    reader, member = sign_in(alice), sign_in(bob)
    assert leads(reader, "/chat/") == ["?rooms=2"]
    assert leads(reader, "/chat/?rooms=2") == ["?rooms=1"]
    assert leads(reader, f"/chat/{rooms[2].pk}/") == ["?rooms=1"], "the page with the room itself"
    assert leads(member, "/chat/?page=1") == []
    services.leave_room(bob, rooms[2])
    assert leads(member, "/chat/") == ["?page=2"]
    services.join_room(bob, rooms[2])
    assert leads(member, f"/chat/{rooms[2].pk}/people/") == ["?page=2"]
    assert leads(member, f"/chat/{rooms[2].pk}/people/?page=2") == ["?page=1"]
    for odd in ("?page=-1", "?page=x", "?page=99999999999", "?page=\u0663", "?rooms="):
        assert member.get(f"/chat/{odd}").status_code == 200


def test_only_members_see_who_is_in_a_room(room: Room, alice: User, bob: User, sign_in: SignIn) -> None:
    assert "Alice" in sign_in(alice).get(f"/chat/{room.pk}/people/").text
    assert sign_in(bob).get(f"/chat/{room.pk}/people/")["Location"] == f"/chat/{room.pk}/"
    assert Client().get(f"/chat/{room.pk}/people/").status_code == 302


def test_older_messages_are_reached_without_scripts(
    room: Room, alice: User, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "PAGE_SIZE", 2)
    for text in ("first", "second", "third"):
        services.post_message(room.pk, alice, uuid4(), text)
    browser = sign_in(alice)

    def shown(address: str) -> tuple[list[str], list[str]]:
        html = browser.get(address).text.partition("<hc-room")[2].partition("</hc-room>")[0]
        return re.findall(r"<p>(\w+)</p>", html), re.findall(r'<a [^>]*href="([^"]+)"', html)

    texts, (older,) = shown(f"/chat/{room.pk}/")
    assert texts == ["second", "third"]
    assert shown(f"/chat/{room.pk}/{older}") == (["first"], [f"/chat/{room.pk}/"])
