"""Clients of PyPI `centrifuge-python` 0.7.0, unchanged, each test in both forms of the protocol."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from tests.conformance.conftest import Conformance, token
from tests.support.proxy import FaultProxy
from tests.support.pypi import PypiClient

Connect = Callable[..., Awaitable[PypiClient]]


@pytest.fixture(params=[False, True], ids=["json", "protobuf"])
def binary(request: pytest.FixtureRequest) -> bool:
    chosen: bool = request.param
    return chosen


@pytest.fixture
def user(name: str) -> str:
    """Somebody whom no other test signs in."""
    return f"9{name[1:]}"


@contextlib.asynccontextmanager
async def connecting(port: int, binary: bool) -> AsyncIterator[Connect]:
    """Opens connections to a port, in this form unless told otherwise, until the block ends."""
    usual: dict[str, Any] = {"use_protobuf": binary, "min_reconnect_delay": 0.02, "max_reconnect_delay": 0.2}
    async with contextlib.AsyncExitStack() as stack:

        async def connect(**options: Any) -> PypiClient:
            return await stack.enter_async_context(PypiClient.connected(port, **{**usual, **options}))

        yield connect


@pytest.fixture
async def connect(proxy: FaultProxy, binary: bool) -> AsyncIterator[Connect]:
    """Opens connections to the conformance project, through the proxy."""
    async with connecting(proxy.port, binary) as connect:
        yield connect


@pytest.fixture
async def client(connect: Connect, user: str) -> PypiClient:
    return await connect(token=token(user, info={"name": "Ann"}))


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conformance]:
    """The project that grants nothing by itself."""
    folder = tmp_path_factory.mktemp("guarded")
    server = Conformance(folder, "tests.conformance.guarded", {"CONFORMANCE_DATA_DIR": str(folder)})
    server.manage("migrate", "-v", "0")
    server.start_blocking()
    yield server
    server.stop()


@pytest.fixture
async def guarded_proxy(guarded: Conformance) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(guarded.port) as proxy:
        yield proxy


@pytest.fixture
async def enter(guarded_proxy: FaultProxy, binary: bool) -> AsyncIterator[Connect]:
    """Opens connections to the guarded project, through the proxy."""
    async with connecting(guarded_proxy.port, binary) as connect:
        yield connect
