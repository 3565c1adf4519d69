"""A uvicorn server for the test's own event loop that ends at once. The original checks for its end every 100 ms."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn


class PromptServer(uvicorn.Server):
    """Ends by `end`, and leaves the signals to pytest."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Begin to shut down; `serve` returns when it has."""
        self.should_exit = True
        self._ending.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self._ending.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """The steps of the original, in its order, without its pauses."""
        for listener in self.servers:
            listener.close()
        for given in sockets or ():
            given.close()
        connections: set[Any] = self.server_state.connections
        for connection in list(connections):
            connection.shutdown()
        while connections or self.server_state.tasks:  # noqa: ASYNC110 - no event tells of a connection's end
            await asyncio.sleep(0.001)
        for listener in self.servers:
            await listener.wait_closed()
        await self.lifespan.shutdown()
