"""The pytest plugin: the fixture `hotclub_client`. Installed with the package, which loads it by its entry point."""

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hotclub.testing import HotclubClient


@pytest.fixture
def hotclub_client(request: pytest.FixtureRequest) -> "Iterator[HotclubClient]":
    """A `hotclub.testing.HotclubClient` whose site lasts as long as the test, async or not."""
    # It needs the project's apps, which are loaded after the plugins.
    from hotclub.testing.fixtures import client_for_test  # noqa: PLC0415

    if "db" in request.fixturenames:
        # The test's transaction has to be open by now.
        request.getfixturevalue("db")
    with client_for_test(asynchronous=inspect.iscoroutinefunction(request.function)) as client:
        yield client
