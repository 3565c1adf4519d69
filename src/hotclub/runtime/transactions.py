"""What belongs to a transaction of the project: whether one is open, and what is to be done at its commit.

Django calls `on_commit` callbacks for what `atomic()` keeps. It also calls them for what the project's own code has
taken back: `savepoint_rollback()`, or `ROLLBACK TO` in SQL. So `after_commit` watches the transaction's statements.
"""

import re
from collections.abc import Callable, Collection
from typing import Any, Final, Generic, TypeVar

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import TransactionManagementError

from hotclub.conf.config import get_config

Item = TypeVar("Item")

_COMMENTS: Final = re.compile(r"--[^\n]*(?:\n|$)|/\*.*?\*/", re.DOTALL)
_SAVEPOINT: Final = re.compile(
    r"""(?P<verb>savepoint|release(?:\s+savepoint)?|rollback(?:\s+(?:work|transaction))?\s+to(?:\s+savepoint)?)
    \s+(?P<name>"[^"]+"|[^\s;]+)""",
    re.IGNORECASE | re.VERBOSE,
)
_BEGINNINGS: Final = ("s", "S", "r", "R", " ", "\n", "\t", "-", "/", ";")


class AutocommitIsOff(TransactionManagementError):
    """The project's code has turned autocommit off, so Hotclub cannot tell when, or whether, the transaction commits.

    Write `with transaction.atomic():` around the call, with autocommit on.
    """

    def __init__(self, alias: str) -> None:
        super().__init__(
            f"Autocommit is off for the database {alias!r}, so a rollback() would not take back what Hotclub does. "
            "Leave autocommit on, and use transaction.atomic()."
        )


def in_transaction(using: str = "") -> bool:
    """Return whether a transaction is open in this thread or task.

    Args:
        using: the alias of the database, "" for `HOTCLUB["DATABASE"]`.

    Raises:
        AutocommitIsOff: the project's code has turned autocommit off. `atomic()` does not commit then.
    """
    connection = transaction.get_connection(using or get_config().database)
    if commits_by_hand(connection.alias):
        raise AutocommitIsOff(connection.alias)
    is_open: bool = connection.in_atomic_block
    return is_open


def commits_by_hand(using: str = "") -> bool:
    """Return whether the project's code has turned autocommit off. Asks no database.

    Args:
        using: the alias of the database, "" for `HOTCLUB["DATABASE"]`.
    """
    connection = transaction.get_connection(using or get_config().database)
    if connection.in_atomic_block:
        return not connection.commit_on_exit
    if connection.connection is None:
        return not connection.settings_dict["AUTOCOMMIT"]
    return not connection.autocommit


def commit_is_certain(using: str = "") -> bool:
    """Return whether Django drops the callbacks of every savepoint that the current transaction rolls back.

    Django drops them when `atomic()` rolls a savepoint back, and not when the project's own code does.

    Args:
        using: the alias of the database, "" for `HOTCLUB["DATABASE"]`.
    """
    connection = transaction.get_connection(using or get_config().database)
    return not connection.in_atomic_block or not connection.savepoint_state


def after_commit(callback: Callable[[], object], using: str = "") -> None:
    """Call back after the commit of the current transaction, or now without one. An error of the callback is logged.

    Nothing is called for a part of the transaction that was rolled back, by `atomic()`, by `savepoint_rollback()` or by
    SQL that went through a cursor of Django.

    Args:
        callback: a function. Django logs the name of the function, which a `functools.partial` does not have.
        using: the alias of the transaction's database, "" for `HOTCLUB["DATABASE"]`.

    Raises:
        AutocommitIsOff: the project's code has turned autocommit off.
    """
    alias = using or get_config().database
    if in_transaction(alias):
        callback = _watch(transaction.get_connection(alias)).add(callback)
    transaction.on_commit(callback, using=alias, robust=True)


class _Pending:
    """A callback that waits for the commit, and that a rollback to a savepoint makes do nothing."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self.__qualname__ = callback.__qualname__
        self._callback: Callable[[], object] | None = callback

    def __call__(self) -> None:
        if self._callback is not None:
            self._callback()

    def drop(self) -> None:
        self._callback = None


class _Watch:
    """Sees the savepoints of one connection, from the first `add` on, as a wrapper of its statements."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        self._events: list[str | _Pending] = []
        """In their order, the callbacks and the names of the savepoints of the transaction."""

    def add(self, callback: Callable[[], object]) -> _Pending:
        """Return the callback in a form that a rollback to an earlier savepoint makes do nothing."""
        # After a rollback of the whole transaction Django has forgotten the callbacks, and the events are old.
        if not any(isinstance(entry[1], _Pending) for entry in self._connection.run_on_commit):
            self._events.clear()
        pending = _Pending(callback)
        self._events.append(pending)
        return pending

    def __call__(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        """Run a statement, and note what it does to savepoints. See `connection.execute_wrapper`."""
        result = execute(sql, params, many, context)
        if self._events and isinstance(sql, str) and sql.startswith(_BEGINNINGS):
            for statement in _COMMENTS.sub(" ", sql).split(";"):
                found = _SAVEPOINT.match(statement.strip())
                if found is not None:
                    self._note(found["verb"].lower(), found["name"])
        return result

    def _note(self, verb: str, name: str) -> None:
        name = name[1:-1] if name.startswith('"') else name.lower()
        if verb == "savepoint":
            self._events.append(name)
            return
        # A savepoint that was made before the first callback is not among the events.
        place = max((index for index, event in enumerate(self._events) if event == name), default=-1)
        if verb.startswith("release"):
            later = self._events[place:] if place >= 0 else self._events
            kept = [event for event in later if isinstance(event, _Pending)]
            self._events[max(place, 0) :] = kept
            return
        for event in self._events[place + 1 :]:
            if isinstance(event, _Pending):
                event.drop()
        del self._events[place + 1 :]


def _watch(connection: BaseDatabaseWrapper) -> _Watch:
    """Return the watch of a connection. It stays with the connection."""
    for wrapper in connection.execute_wrappers:
        if isinstance(wrapper, _Watch):
            return wrapper
    watch = _Watch(connection)
    # `connection.execute_wrapper` of the project takes the last wrapper away when its block ends.
    connection.execute_wrappers.insert(0, watch)
    return watch


class _Batch(Generic[Item]):
    """The items of the calls of `once_kept` in one transaction, and which of them the commit has kept."""

    def __init__(self, keep: Callable[[list[Item]], Collection[Item]]) -> None:
        self.keep = keep
        self.items: list[Item] = []
        self._kept: set[int] | None = None

    @property
    def open(self) -> bool:
        """Whether items may be added."""
        return self._kept is None

    def kept(self, item: Item) -> bool:
        """Return whether the commit has kept the item. The first call asks for all of them."""
        if self._kept is None:
            self._kept = {id(one) for one in self.keep(self.items)}
        return id(item) in self._kept


class _IfKept(Generic[Item]):
    """The callback of one call of `once_kept`."""

    def __init__(self, batch: _Batch[Item], item: Item, work: Callable[[Item], object]) -> None:
        self.__qualname__ = work.__qualname__
        self.batch = batch
        self._item = item
        self._work = work

    def __call__(self) -> None:
        if self.batch.kept(self._item):
            self._work(self._item)


def once_kept(
    item: Item, keep: Callable[[list[Item]], Collection[Item]], work: Callable[[Item], object], using: str
) -> None:
    """Call `work` with the item after the commit, if the commit has kept it. An error of a callback is logged.

    All items of a transaction that are looked for by the same `keep` share one call of it.

    Args:
        item: what was written.
        keep: looks into the database after the commit, and returns those of the items, the objects themselves, whose
            rows are there.
        work: a function or method.
        using: the alias of the transaction's database.
    """
    batch = _Batch(keep)
    for entry in transaction.get_connection(using).run_on_commit:
        callback: object = entry[1]
        if isinstance(callback, _IfKept) and callback.batch.keep == keep and callback.batch.open:
            batch = callback.batch
            break
    batch.items.append(item)
    transaction.on_commit(_IfKept(batch, item, work), using=using, robust=True)
