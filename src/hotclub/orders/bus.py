"""The two ends of the way that orders take between processes.

`orders/table.py` and `orders/read.py` are the ends over a table. An engine with its own bus replaces both.
"""

from collections.abc import Sequence
from typing import Protocol

from hotclub.orders.messages import Order


class Sender(Protocol):
    """The end that gives orders out; every process has one."""

    def send(self, order: Order, origin: str) -> int:
        """Give an order to the other processes when the caller's transaction commits. Synchronous.

        Args:
            order: the order.
            origin: the id of the node that performs the order by itself and skips it on arrival, "" for none.

        Returns:
            The id of the order's row.
        """
        ...

    def committed(self, sent: Sequence[tuple[int, Order]]) -> list[tuple[int, Order]]:
        """Return those of the orders, each with its id, that the commit has kept. Synchronous, after the commit.

        Orders of a savepoint that was rolled back are not among them.
        """
        ...


class Inbox(Protocol):
    """The end that takes orders in a process with a node.

    Both methods run in the thread of the node's event loop and must not block.
    """

    def receive(self, order: Order, origin: str, number: int) -> None:
        """Take an order after its commit. Each order arrives once.

        Orders that one look at the table finds arrive in the order of their ids.

        Args:
            order: the order.
            origin: the node that performs the order by itself, as in `Sender.send`.
            number: the id of the order's row.
        """
        ...

    def missed(self, reason: str) -> None:
        """Doubt every grant made up to now, because orders that end grants may have been missed.

        Args:
            reason: why orders may have been missed, for the log.
        """
        ...
