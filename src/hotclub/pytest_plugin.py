"""The pytest plugin with the fixture `hotclub_client`. Pytest loads it by the entry point of the package."""

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hotclub.testing import HotclubClient


@pytest.fixture
def hotclub_client(request: pytest.FixtureRequest) -> "Iterator[HotclubClient]":
    """A `hotclub.testing.HotclubClient` for a plain or an async test. Its site ends with the test."""
    # This module imports models, and Django loads the apps after pytest has loaded its plugins.
    from hotclub.testing.fixtures import client_for_test  # noqa: PLC0415

    if "db" in request.fixturenames:
        # The site must start inside the transaction of the test.
        request.getfixturevalue("db")
    with client_for_test(asynchronous=inspect.iscoroutinefunction(request.function)) as client:
        yield client
