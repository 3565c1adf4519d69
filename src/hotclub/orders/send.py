"""Gives orders to the nodes of the site."""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar

from hotclub.engine.node import Node
from hotclub.orders import table
from hotclub.orders.bus import Sender
from hotclub.orders.messages import Order
from hotclub.orders.perform import origin_of, perform, perform_once
from hotclub.runtime.node import ask_node, begin_in_node, current_node, tell_node
from hotclub.runtime.tables import database
from hotclub.runtime.transactions import after_commit, commits_by_hand, in_transaction, once_kept

Result = TypeVar("Result")

_SENDER: Final[Sender] = table


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
    if node is None or commits_by_hand():
        # Where the project commits by itself, Django does not tell when. The readers perform the order after that.
        send(order)
    elif in_transaction():
        # Django drops this callback when an earlier callback of the project raises. The reader performs the order then.
        once_kept((_SENDER.send(order, origin_of(node)), order), _SENDER.committed, _perform_kept, database())
    else:
        # The node comes first, so that it performs the order even when the database fails.
        tell_node(node, perform, node, order)
        _SENDER.send(order, node.id)


def _perform_kept(sent: tuple[int, Order]) -> None:
    node = current_node()
    if node is not None:
        tell_node(node, perform_once, node, *sent)


def carry_out(orders: Iterable[Order], work: Callable[[Node], Coroutine[Any, Any, Result]]) -> Result | None:
    """Do work in the node of this process: at the commit, or now outside a transaction. Synchronous.

    A process without a node sends orders instead. The commit does not wait for the node: its loop begins the work when
    it comes to it. Work that fails then is logged and counted. It is lost when the process ends before, and when an
    `on_commit` callback of the project raises before it.

    Args:
        orders: the orders that have another node do the work.
        work: makes the coroutine that does the work in a node.

    Returns:
        The result of the coroutine. None inside a transaction and in a process without a node.

    Raises:
        ImproperlyConfigured, NotMigrated, DatabaseError: as `send`, in a process without a node.
        AutocommitIsOff: the project's code has turned autocommit off.
        Exception: outside a transaction, as `ask_node`.
    """
    node = current_node()
    within = in_transaction()
    if node is None:
        for order in orders:
            send(order)
        return None
    if within:
        after_commit(lambda: begin_in_node(node, work(node)))
        return None
    return ask_node(node, work(node))
