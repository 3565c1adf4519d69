"""Ties the end of connections to the commit of the change that ends their login, in whichever database that is.

- The change is in Hotclub's own database: the order is a row of the same transaction. Nothing can part them.
- The change is in another database: the order leaves when that database has committed. It does not wait for a
  transaction of Hotclub's database that happens to be open, whose rollback would take the order with it.
- The project commits by itself (autocommit is off) in another database: Django does not tell when, and the regular look
  at logins finds the change.

A failure never fails the change: the regular look at logins ends the connections then.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator

from django.db import connections, transaction

from hotclub.access.ended import revoke_login
from hotclub.access.session import keeps_no_sessions
from hotclub.conf.config import get_config
from hotclub.engine.observe import logger
from hotclub.orders.messages import EndConnections, LookAtLogins
from hotclub.orders.send import everywhere
from hotclub.runtime.tables import database
from hotclub.runtime.transactions import after_commit, commit_is_certain


class Ending:
    """What ends with a login: connections, and for a `login` that may open others also its tokens and cookies."""

    def __init__(self, *orders: EndConnections | LookAtLogins, login: str = "") -> None:
        self._orders = orders
        self._login = login

    def perform(self) -> None:
        """Write it to Hotclub's database. Raises the errors of `everywhere`."""
        if self._login and (get_config().tokens is not None or keeps_no_sessions()):
            revoke_login(self._login)
        for order in self._orders:
            everywhere(order)


def end_with_commit(using: str, ending: Ending, is_so: Callable[[], bool] = lambda: True) -> None:
    """End connections with the commit of the transaction that is open in a database, or now without one.

    Args:
        using: the alias of the database with the change, "" for a change outside of databases.
        ending: what ends.
        is_so: whether the committed rows show the change. It is asked where Django may have kept the callback of a
            savepoint that was rolled back.
    """
    with _logging_failure():
        if using in ("", database()):
            with _savepoint():
                ending.perform()
            return
        connection = transaction.get_connection(using)
        if connection.in_atomic_block:
            certain = commit_is_certain(using)
            after_commit(lambda: _leave(ending) if certain or is_so() else None, using)
        elif connection.get_autocommit():
            _leave(ending)


def _leave(ending: Ending) -> None:
    """Perform the ending in a transaction of its own."""
    if _is_in_transaction_of_project():
        threading.Thread(target=_perform_and_close, args=(ending,), name="hotclub ending").start()
    else:
        ending.perform()


def _perform_and_close(ending: Ending) -> None:
    with _logging_failure():
        try:
            ending.perform()
        finally:
            # The thread ends, and nobody else could close its connection.
            connections[database()].close()


def _is_in_transaction_of_project() -> bool:
    """Whether this thread has a transaction open in Hotclub's database, apart from the one around a `TestCase`."""
    connection = transaction.get_connection(database())
    return any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)


@contextlib.contextmanager
def _savepoint() -> Iterator[None]:
    """Keep the transaction of the change usable when a statement of the block fails."""
    if transaction.get_connection(database()).in_atomic_block:
        with transaction.atomic(using=database()):
            yield
    else:
        yield


@contextlib.contextmanager
def _logging_failure() -> Iterator[None]:
    try:
        yield
    except Exception:  # noqa: BLE001 - whatever fails here must not fail the log-out
        logger.exception("The connections of a login that is over could not be ended at once")
