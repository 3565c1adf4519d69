"""Every test of this folder runs on both write paths: ASGI `send`, and ready-made frames on uvicorn's transport."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.support.app import WRITE_PATHS, Served, TinyApplication, serve
from tests.support.wire import WireClient


@pytest.fixture(params=WRITE_PATHS)
def write_path(request: pytest.FixtureRequest) -> str:
    path: str = request.param
    return path


@pytest.fixture
async def served(write_path: str) -> AsyncIterator[Served]:
    async with serve(TinyApplication(), write_path=write_path) as server:
        yield server


@pytest.fixture
async def connect(served: Served) -> AsyncIterator[Callable[..., Awaitable[WireClient]]]:
    """Opens connections whose connect command was accepted; they are reset at the end."""
    clients: list[WireClient] = []

    async def connect(user: str = "", **data: object) -> WireClient:
        client = await WireClient.connected(served.port, data={"user": user, **data})
        clients.append(client)
        return client

    yield connect
    for client in clients:
        client.abort()
