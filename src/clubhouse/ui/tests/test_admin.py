"""The admin site works under the content security policy, and adds nothing that only the services may add."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.test import Client

import hotclub
from clubhouse.accounts.models import User
from clubhouse.chat import services
from clubhouse.chat.models import Room

PAGES = [
    "/admin/",
    "/admin/accounts/user/",
    "/admin/accounts/user/add/",
    "/admin/chat/room/",
    "/admin/chat/room/add/",
    "/admin/chat/membership/",
    "/admin/chat/message/",
]


@pytest.fixture
def admin(make_user: Callable[..., User], sign_in: Callable[[User], Client]) -> Client:
    user = make_user("root", is_staff=True, is_superuser=True)
    room = services.create_room(user, "Swing")
    services.post_message(room.pk, user, uuid4(), "hello")
    return sign_in(user)


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens(admin: Client, page: str) -> None:
    assert admin.get(page).status_code == 200


def test_who_is_deleted_from_a_room_reads_nothing_more_in_it(
    admin: Client, make_user: Callable[..., User], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[tuple[str, User | None]] = []
    monkeypatch.setattr(hotclub, "unsubscribe", lambda channel, user=None, code=0: ended.append((channel, user)))
    room, member = Room.objects.get(), make_user("member")
    membership = services.join_room(member, room)
    admin.post(f"/admin/chat/membership/{membership.pk}/delete/", {"post": "yes"})
    assert ended == [(room.channel, member), (room.typing_channel, member)]
    ended.clear()
    again = services.join_room(member, room)
    action = {"action": "delete_selected", "_selected_action": [again.pk], "post": "yes"}
    admin.post("/admin/chat/membership/", action)
    assert ended == [(room.channel, member), (room.typing_channel, member)]
    ended.clear()
    other = services.create_room(member, "Other")
    admin.post(f"/admin/chat/room/{other.pk}/delete/", {"post": "yes"})
    action = {"action": "delete_selected", "_selected_action": [room.pk], "post": "yes"}
    admin.post("/admin/chat/room/", action)
    assert not Room.objects.exists()
    assert ended == [(name, None) for one in (other, room) for name in (f"chat:{one.pk}", f"chat-typing:{one.pk}")]


@pytest.mark.parametrize("page", ["/admin/chat/membership/add/", "/admin/chat/message/add/"])
def test_what_the_services_do_is_not_done_by_hand(admin: Client, page: str) -> None:
    assert admin.get(page).status_code == 403
