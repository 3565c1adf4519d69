"""Which combinations of transport and form `make test` runs; the others wait for `make test-all`.

A test whose own business is the transport, or the first of its kind, is marked `smoke`, and so may be one of the values
that it is run with: it runs on every transport in both.
"""

from collections.abc import Iterable
from typing import Any

import pytest


def mostly(always: Iterable[str], values: Iterable[str]) -> list[Any]:
    """The values for `parametrize`, of which `make test` runs these alone unless the test is a smoke test."""
    kept = set(always)
    return [value if value in kept else pytest.param(value, marks=pytest.mark.matrix) for value in values]


def smoke(value: Any, name: str) -> Any:
    """A value with which a test runs on every transport in `make test`."""
    return pytest.param(value, marks=pytest.mark.smoke, id=name)


def keep_smoke(item: pytest.Item) -> None:
    """A smoke test is not left out."""
    if item.get_closest_marker("smoke"):
        item.own_markers[:] = [mark for mark in item.own_markers if mark.name != "matrix"]
