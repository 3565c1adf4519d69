"""Every test of this folder runs on both write paths: ASGI `send`, and ready-made frames on uvicorn's transport."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.support.app import WRITE_PATHS, Served, TinyApplication, serve
from tests.support.listener import BIDIRECTIONAL
from tests.support.matrix import mostly
from tests.support.npm import NpmClient
from tests.support.proxy import FaultProxy
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


@pytest.fixture(params=mostly(BIDIRECTIONAL[:2], BIDIRECTIONAL))
def wire(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A transport of the npm SDK, and the form of the protocol that it speaks over it."""
    transport, _, form = request.param.partition("-")
    return transport, form


@pytest.fixture
async def proxy(served: Served) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(served.port) as proxy:
        yield proxy


@pytest.fixture
async def client(proxy: FaultProxy, wire: tuple[str, str]) -> AsyncIterator[NpmClient]:
    """The npm SDK, connected through the proxy as "ann"."""
    async with NpmClient.start() as client:
        transport, form = wire
        await client.connect_over(proxy.port, transport, form, data={"user": "ann"})
        connected = await client.event("connected")
        assert connected["context"]["transport"] == transport
        yield client
