"""Which combinations of transport and form `make test` runs; the others wait for `make test-all`.

A test of a transport itself, or the first test of its kind, is marked `smoke`, and so may be one of its parameters.
Such a test runs on every transport with both commands.
"""

from collections.abc import Iterable
from typing import Any

import pytest


def mostly(always: Iterable[str], values: Iterable[str]) -> list[Any]:
    """The values for `parametrize`. `make test` runs only those in `always`, except for a smoke test."""
    kept = set(always)
    return [value if value in kept else pytest.param(value, marks=pytest.mark.matrix) for value in values]


def smoke(value: Any, name: str) -> Any:
    """A value with which a test runs on every transport in `make test`."""
    return pytest.param(value, marks=pytest.mark.smoke, id=name)


def keep_smoke(item: pytest.Item) -> None:
    """Have `make test` run a smoke test with all values."""
    if item.get_closest_marker("smoke"):
        item.own_markers[:] = [mark for mark in item.own_markers if mark.name != "matrix"]
