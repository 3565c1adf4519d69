"""The way of orders from process to process, as its two ends see it.

Today the way is a table (`orders/table.py`, `orders/read.py`); an engine with a bus of its own takes the place of both.
"""

from collections.abc import Callable
from typing import Protocol

from hotclub.orders.messages import Order


class Sender(Protocol):
    """The end in any process."""

    def send(self, order: Order, origin: str) -> Callable[[], bool]:
        """Give an order out, with the commit of the caller's transaction. Synchronous.

        Args:
            order: what to do.
            origin: the id of the node that does it of its own accord, "" for none.

        Returns:
            To be asked after the commit, in the same thread: whether the order was committed too, which it was not if
            a savepoint has been rolled back.
        """
        ...


class Inbox(Protocol):
    """The end in a process with a node. Called in the thread of the node's event loop; must not block."""

    def receive(self, order: Order, origin: str) -> None:
        """An order has come: once, after its commit, and in the order of ids as far as they came together."""
        ...

    def missed(self, reason: str) -> None:
        """Orders may have been missed, so that nothing granted up to now is proven any more."""
        ...
