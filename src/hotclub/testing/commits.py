"""`on_commit` callbacks in a test, whose own transaction never commits."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

from asgiref.sync import sync_to_async
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

Result = TypeVar("Result")

_logger = logging.getLogger("hotclub.testing")


def committing(call: Callable[[], Result]) -> Result:
    """Make a call as a site makes it, whose transactions do commit.

    The `on_commit` callbacks of the call run after it, although the transaction of the test around it does not commit.
    """
    before = [(connection, len(connection.run_on_commit)) for connection in _in_transaction()]
    try:
        return call()
    finally:
        for connection, known in before:
            _run_after(connection, known)


@asynccontextmanager
async def acapture_on_commit_callbacks(
    *, using: str = DEFAULT_DB_ALIAS, execute: bool = False
) -> AsyncIterator[list[Callable[[], Any]]]:
    """`TestCase.captureOnCommitCallbacks` for async tests: looks at the connection that `sync_to_async` code uses.

    Yields a list that holds the callbacks of the block when the block is left. The callbacks of commands that a test's
    connection sent have run by then, and are not in the list.

    Args:
        using: the alias of the database.
        execute: call the callbacks when the block is left.
    """
    callbacks: list[Callable[[], Any]] = []
    known = await sync_to_async(lambda: len(connections[using].run_on_commit))()
    try:
        yield callbacks
    finally:
        await sync_to_async(_capture)(connections, using, known, callbacks, execute)


def _capture(alive: Any, using: str, known: int, callbacks: list[Callable[[], Any]], execute: bool) -> None:
    connection: BaseDatabaseWrapper = alive[using]
    if execute:
        callbacks += _run_after(connection, known)
    else:
        callbacks += [callback for _savepoints, callback, _robust in _waiting(connection)[known:]]


def _in_transaction() -> list[BaseDatabaseWrapper]:
    return [connection for connection in connections.all(initialized_only=True) if connection.in_atomic_block]


def _waiting(connection: BaseDatabaseWrapper) -> list[tuple[set[str], Callable[[], Any], bool]]:
    """The callbacks that wait for the commit, each with its savepoints and whether its errors are only logged."""
    waiting: Any = connection.run_on_commit
    return cast("list[tuple[set[str], Callable[[], Any], bool]]", waiting)


def _run_after(connection: BaseDatabaseWrapper, known: int) -> list[Callable[[], Any]]:
    """Call every callback after the first `known`, those that the called ones register included. Returns them."""
    called: list[Callable[[], Any]] = []
    waiting = _waiting(connection)
    while len(waiting) > known:
        _savepoints, callback, robust = waiting.pop(known)
        called.append(callback)
        try:
            callback()
        except Exception:
            if not robust:
                raise
            _logger.exception("What was to be done after a commit failed")
    return called
