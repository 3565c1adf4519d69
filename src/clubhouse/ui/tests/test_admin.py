"""The admin site works under the content security policy, and adds nothing that only the services may add."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.test import Client

from clubhouse.accounts.models import User
from clubhouse.chat import services

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


@pytest.mark.parametrize("page", ["/admin/chat/membership/add/", "/admin/chat/message/add/"])
def test_what_the_services_do_is_not_done_by_hand(admin: Client, page: str) -> None:
    assert admin.get(page).status_code == 403
