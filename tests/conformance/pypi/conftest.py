"""Clients of PyPI `centrifuge-python` 0.7.0, unchanged, each test in both forms of the protocol."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.conformance.conftest import token
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


@pytest.fixture
async def enter(secured_proxy: FaultProxy, binary: bool) -> AsyncIterator[Connect]:
    """Opens connections to the secured project, through the proxy."""
    async with connecting(secured_proxy.port, binary) as connect:
        yield connect


@pytest.fixture
async def guest(enter: Connect) -> PypiClient:
    """Let into the secured project by a token that names nobody."""
    return await enter(token=token(""))
