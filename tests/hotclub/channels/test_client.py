"""What hooks know of a connection."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser

from hotclub.channels.client import Client, CommandData, TokenUser, handling
from hotclub.engine.model import EMPTY


def test_nobody_has_no_id() -> None:
    client = Client(id="c", user=AnonymousUser())

    assert client.is_anonymous
    assert client.user_id == ""


def test_a_user_is_named_by_primary_key() -> None:
    client = Client(id="c", user=get_user_model()(pk=3))

    assert not client.is_anonymous
    assert client.user_id == "3"


def in_a_call(client: Client) -> Any:
    """The user that a hook sees which is called now."""
    with handling(client, CommandData(EMPTY)):
        assert client.user is client.user
        return client.user


@pytest.mark.parametrize("cache", ["_perm_cache", "_user_perm_cache", "_group_perm_cache", "_prefetched_objects_cache"])
def test_every_call_sees_a_user_of_its_own_without_its_caches(cache: str) -> None:
    user = get_user_model()(pk=3, username="django")
    user.__dict__["tenant"] = "a"
    user.__dict__[cache] = {"old"}
    client = Client(id="c", user=user)

    one, other = in_a_call(client), in_a_call(client)

    assert len({id(one), id(other), id(user)}) == 3
    assert one == user
    assert (one.username, one.tenant, one._state.db, one._state.adding) == ("django", "a", None, True)
    assert one._state is not user._state
    assert cache not in vars(one)
    assert cache in vars(user)
    assert client.user is user


def test_what_a_user_has_computed_is_not_shared() -> None:
    class Loaded(get_user_model()):  # type: ignore[misc]
        class Meta:
            app_label = "tests"
            proxy = True

        @cached_property
        def rooms(self) -> list[int]:
            return []

    user = Loaded(pk=3)
    assert user.rooms == []
    assert "rooms" not in vars(in_a_call(Client(id="c", user=user)))


@pytest.mark.parametrize("user", [AnonymousUser(), TokenUser("somebody")])
def test_users_without_a_row_are_not_shared_either(user: Any) -> None:
    client = Client(id="c", user=user)
    mine = in_a_call(client)
    assert mine is not user
    assert (mine == user, mine.pk, mine.is_anonymous) == (True, user.pk, user.is_anonymous)


def test_a_user_that_a_hook_sets_stays() -> None:
    client = Client(id="c", user=AnonymousUser())
    with handling(client, CommandData(EMPTY)):
        assert client.is_anonymous
        client.user = TokenUser("somebody")
        assert client.user_id == "somebody"
    assert client.user_id == "somebody"


def test_calls_of_one_connection_in_two_threads_do_not_touch_each_other_s_permissions() -> None:
    user = get_user_model()(pk=3, is_active=True)
    client = Client(id="c", user=user)
    together = threading.Barrier(4)

    def call() -> bool:
        for number in range(200):
            together.wait(10)
            with handling(client, CommandData(EMPTY)):
                assert not hasattr(client.user, "_perm_cache")
                client.user._perm_cache = {number}
                together.wait(10)
                assert client.user._perm_cache == {number}
                del client.user._perm_cache
        return True

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(lambda _: call(), range(4)))


def test_secrets_stay_out_of_logs() -> None:
    client = Client(
        id="c", user=AnonymousUser(), headers={"cookie": "s3cret"}, session_key="s3cret", auth_hash="s3cret"
    )

    assert "s3cret" not in repr(client)
