"""Gives orders to the nodes of the site."""

from typing import Final

from django.db import transaction

from hotclub.orders import table
from hotclub.orders.bus import Sender
from hotclub.orders.messages import Order
from hotclub.orders.perform import origin_of, perform, perform_once
from hotclub.runtime.node import after_commit, current_node, tell_node
from hotclub.runtime.tables import database

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
    if node is None:
        send(order)
    elif transaction.get_connection(database()).in_atomic_block:
        # Django drops this callback when an earlier callback of the project raises. The reader performs the order then.
        row = _SENDER.send(order, origin_of(node))
        after_commit(lambda: (number := row()) and tell_node(node, perform_once, node, number, order))
    else:
        # The node comes first, so that it performs the order even when the database fails.
        tell_node(node, perform, node, order)
        _SENDER.send(order, node.id)
