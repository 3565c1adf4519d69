"""Repeats a transaction of Hotclub's own that lost against another one."""

import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

from django.db import OperationalError

Result = TypeVar("Result")

_ATTEMPTS: Final = 4
_PAUSE: Final = 0.05
"""The longest pause before the second attempt, in seconds. It doubles with each further one."""
_LOST: Final = frozenset({"40001", "40P01"})
"""PostgreSQL's codes of a serialization failure and of a deadlock."""


def retried(work: Callable[[], Result]) -> Result:
    """Do the work, and do it again when the database chose its transaction as the victim of a conflict. Synchronous.

    Args:
        work: makes and commits a transaction, and leaves nothing behind when that fails.

    Raises:
        OperationalError: the conflict remains, or another error.
    """
    for attempt in range(_ATTEMPTS - 1):
        try:
            return work()
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) not in _LOST:
                raise
        time.sleep(random.uniform(0, _PAUSE * 2**attempt))  # noqa: S311 - no secret
    return work()
