"""Giving orders out."""

from typing import Final

from django.db import transaction

from hotclub.orders import table
from hotclub.orders.bus import Sender
from hotclub.orders.messages import Order
from hotclub.orders.perform import perform
from hotclub.runtime.node import after_commit, current_node, tell_node
from hotclub.runtime.tables import database

_SENDER: Final[Sender] = table


def send(order: Order) -> None:
    """Give the order to every node of the site, with the commit of the current transaction. Synchronous.

    A node gets it within `RELAY_INTERVAL`, also one that could not be reached for a while; a node that was away for too
    long asks anew about everything it has granted.
    """
    _SENDER.send(order, "")


def everywhere(order: Order) -> None:
    """`send`, but the node of this process performs the order at the commit itself, without waiting for the others'
    way. Synchronous."""
    node = current_node()
    if node is None:
        send(order)
    elif transaction.get_connection(database()).in_atomic_block:
        was_committed = _SENDER.send(order, node.id)
        after_commit(lambda: was_committed() and tell_node(node, perform, node, order))
    else:
        # First, so that a failing database ends this process's connections all the same.
        tell_node(node, perform, node, order)
        _SENDER.send(order, node.id)
