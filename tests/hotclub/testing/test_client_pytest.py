"""The test client under pytest, with pytest-django's database and without."""

import asyncio
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model

import hotclub
from hotclub.pytest_plugin import hotclub_client
from hotclub.runtime.node import current_node, set_current_node
from hotclub.serving.service import Service
from hotclub.testing import HotclubClient
from tests.hotclub.testing.club import declared, make_user
from tests.support.processes import REPOSITORY

__all__ = ["hotclub_client"]


@pytest.fixture(autouse=True)
def channels() -> Iterator[None]:
    with declared():
        yield
    assert current_node() is None


@pytest.fixture
def user(db: None) -> Any:
    return make_user()


def test_a_test_that_is_not_async(user: Any, hotclub_client: HotclubClient) -> None:
    hotclub_client.force_login(user)
    with hotclub_client.connect() as c:
        c.subscribe("ledger:1")
        c.publish("ledger:1", 1)
        c.assert_received("ledger:1", 1)
    assert get_user_model()._default_manager.count() == 1


async def test_an_async_test_in_a_transaction(hotclub_client: HotclubClient, user: Any) -> None:
    await get_user_model()._default_manager.acreate(username="stephane")
    hotclub_client.force_login(user)
    async with hotclub_client.connect() as c:
        assert await c.rpc("count_users") == 2
        await c.subscribe("ledger:1")
        await c.publish("ledger:1", 1)
        await c.assert_received("ledger:1", 1)
        await hotclub.apublish("ledger:1", 2)
        await c.assert_received("ledger:1", 2)


async def test_nothing_of_that_is_left(user: Any, hotclub_client: HotclubClient) -> None:
    assert await get_user_model()._default_manager.acount() == 1
    hotclub_client.force_login(user)
    async with hotclub_client.connect() as c:
        assert (await c.history("ledger:1")).publications == ()


@pytest.mark.django_db(transaction=True)
async def test_an_async_test_that_commits(hotclub_client: HotclubClient) -> None:
    user = await sync_to_async(make_user)()
    hotclub_client.force_login(user)
    async with hotclub_client.connect() as c:
        await c.subscribe("ledger:1")
        await sync_to_async(hotclub.publish)("ledger:1", 1)
        await c.assert_received("ledger:1", 1)


async def test_the_memory_lasts_between_connections(hotclub_client: HotclubClient) -> None:
    hotclub_client.force_authenticate(get_user_model()(pk=1, username="django"))
    async with hotclub_client.connect() as c:
        await c.subscribe("log:a")
        await c.publish("log:a", 1)
    async with hotclub_client.connect() as c:
        assert [item.data for item in (await c.history("log:a")).publications] == [1]


async def test_a_hook_that_hangs_fails_the_test_and_not_the_run(
    hotclub_client: HotclubClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hotclub.testing import site, wire
    from tests.hotclub.testing.club import Log

    async def hang(*_args: object, **_kwargs: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Log, "on_publish", hang)
    monkeypatch.setattr(wire, "TIMEOUT", 0.05)
    monkeypatch.setattr(site, "TIMEOUT", 0.05)
    hotclub_client.force_authenticate(get_user_model()(pk=1, username="django"))
    async with hotclub_client.connect() as c:
        await c.subscribe("log:a")
        with pytest.raises(AssertionError, match="does a hook hang"):
            await c.publish("log:a", 1)
        with pytest.raises(AssertionError, match="come to rest"):
            await c.flush()


async def test_a_node_that_is_no_tests_is_left_alone(hotclub_client: HotclubClient) -> None:
    service = Service()
    await service.node.start()
    set_current_node(service.node)
    try:
        with pytest.raises(RuntimeError, match="runs in this process already"):
            await hotclub_client.connect().__aenter__()
    finally:
        await service.stop()


def test_the_package_announces_its_fixture() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"hotclub": "hotclub.pytest_plugin"}


def test_the_plugin_is_loaded_before_there_are_settings() -> None:
    code = "import hotclub.pytest_plugin; from django.conf import settings; assert not settings.configured"
    environment = {"PYTHONPATH": str(REPOSITORY / "src"), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_what_arrives_is_decoded_and_its_bytes_are_there_for_the_asking(
    user: Any, hotclub_client: HotclubClient
) -> None:
    hotclub_client.force_login(user)
    async with hotclub_client.connect() as c:
        await c.subscribe("ledger:1")
        await c.publish("ledger:1", {"text": "你好", "n": None})
        received = await c.assert_received("ledger:1", {"text": "你好", "n": None})
        assert received.raw == '{"text":"你好","n":null}'.encode()
        assert isinstance(received, hotclub.Publication)

        page = await c.history("ledger:1")
        assert page.publications[0].raw == received.raw
        assert isinstance(page, hotclub.HistoryPage)
