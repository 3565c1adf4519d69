"""Gives orders to the nodes of the site."""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar

from django.db import transaction

from hotclub.engine.node import Node
from hotclub.orders import table
from hotclub.orders.bus import Sender
from hotclub.orders.messages import Order
from hotclub.orders.perform import origin_of, perform, perform_once
from hotclub.runtime.node import after_commit, ask_node, begin_in_node, current_node, tell_node
from hotclub.runtime.tables import database

Result = TypeVar("Result")

_SENDER: Final[Sender] = table


def in_transaction() -> bool:
    """Return whether a transaction of `HOTCLUB["DATABASE"]` is open in this thread or task."""
    is_open: bool = transaction.get_connection(database()).in_atomic_block
    return is_open


def _commits_by_hand() -> bool:
    """Whether the project has turned autocommit off for `HOTCLUB["DATABASE"]`. Asks no database."""
    connection = transaction.get_connection(database())
    if connection.connection is None:
        return not connection.settings_dict["AUTOCOMMIT"]
    return not connection.autocommit


def send(order: Order) -> None:
    """Give an order to every node of the site when the current transaction commits. Synchronous.

    A node reads the order within `RELAY_INTERVAL`. A node that cannot read for longer than `PATIENCE` makes its clients
    subscribe again instead.

    Raises:
        ImproperlyConfigured: the database is neither SQLite nor PostgreSQL.
        NotMigrated: the table of orders is missing.
        DatabaseError: the order could not be inserted.
    """
    _SENDER.send(order, "")


def everywhere(order: Order) -> None:
    """Give an order to every node as `send` does; the node of this process performs it at the commit. Synchronous.

    Raises:
        ImproperlyConfigured, NotMigrated, DatabaseError: as `send`. Outside a transaction the node of this process
            performs the order all the same.
    """
    node = current_node()
    if node is None:
        send(order)
    elif in_transaction():
        # Django drops this callback when an earlier callback of the project raises. The reader performs the order then.
        row = _SENDER.send(order, origin_of(node))
        after_commit(lambda: (number := row()) and tell_node(node, perform_once, node, number, order))
    elif _commits_by_hand():
        # The project commits by itself, and Django does not tell when. The reader performs the order after that.
        send(order)
    else:
        # The node comes first, so that it performs the order even when the database fails.
        tell_node(node, perform, node, order)
        _SENDER.send(order, node.id)


def carry_out(orders: Iterable[Order], work: Callable[[Node], Coroutine[Any, Any, Result]]) -> Result | None:
    """Do work in the node of this process: at the commit, or now outside a transaction. Synchronous.

    A process without a node sends orders instead.

    Args:
        orders: the orders that have another node do the work.
        work: makes the coroutine that does the work in a node.

    Returns:
        The result of the coroutine. None inside a transaction and in a process without a node.

    Raises:
        ImproperlyConfigured, NotMigrated, DatabaseError: as `send`, in a process without a node.
        Exception: outside a transaction, as `ask_node`.
    """
    node = current_node()
    if node is None:
        for order in orders:
            send(order)
        return None
    if in_transaction():
        after_commit(lambda: begin_in_node(node, work(node)))
        return None
    return ask_node(node, work(node))
