"""A queue and an event for one event loop that take little memory while no task waits.

The queue and the event of asyncio keep a deque each. An empty deque takes 760 bytes, and an idle connection has several
of them.
"""

import asyncio
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """An unbounded queue with one reader. It has the methods of `asyncio.Queue` that a connection needs."""

    __slots__ = ("_items", "_waiter")

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._waiter: asyncio.Future[None] | None = None

    def put_nowait(self, item: Item) -> None:
        """Append an item, and wake the reader."""
        self._items.append(item)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def get(self) -> Item:
        """Take the oldest item, and wait for one if the queue is empty. A cancelled call takes no item."""
        while not self._items:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._items.pop(0)

    def qsize(self) -> int:
        """Return the number of items."""
        return len(self._items)

    def empty(self) -> bool:
        """Return whether the queue has no items."""
        return not self._items


class Gate:
    """An event like `asyncio.Event`, but set at first. All waiters share a future, which exists while it is not set."""

    __slots__ = ("_opening",)

    def __init__(self) -> None:
        self._opening: asyncio.Future[None] | None = None

    def is_set(self) -> bool:
        """Return whether the gate is open."""
        return self._opening is None

    def set(self) -> None:
        """Open the gate, and wake all waiters."""
        opening, self._opening = self._opening, None
        if opening is not None and not opening.done():
            opening.set_result(None)

    def clear(self) -> None:
        """Close the gate."""
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_future()

    async def wait(self) -> bool:
        """Wait until the gate is open, and return True. A cancelled call leaves the other waiters waiting."""
        while self._opening is not None:
            await asyncio.shield(self._opening)
        return True
