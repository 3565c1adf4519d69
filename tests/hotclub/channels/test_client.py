"""What hooks know of a connection."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser

from hotclub.channels.client import Client


def test_nobody_has_no_id() -> None:
    client = Client(id="c", user=AnonymousUser())

    assert client.is_anonymous
    assert client.user_id == ""


def test_a_user_is_named_by_primary_key() -> None:
    client = Client(id="c", user=get_user_model()(pk=3))

    assert not client.is_anonymous
    assert client.user_id == "3"


@pytest.mark.parametrize("cache", ["_perm_cache", "_user_perm_cache", "_group_perm_cache"])
def test_permissions_can_be_forgotten(cache: str) -> None:
    user = get_user_model()(pk=3)
    user.__dict__[cache] = {"old"}

    Client(id="c", user=user).forget_permissions()

    assert cache not in user.__dict__


def test_secrets_stay_out_of_logs() -> None:
    client = Client(
        id="c", user=AnonymousUser(), headers={"cookie": "s3cret"}, session_key="s3cret", auth_hash="s3cret"
    )

    assert "s3cret" not in repr(client)
