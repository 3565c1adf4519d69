"""The conformance project, served as a site is: by `serve`, in a process of its own, with its HTTP API to publish."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.listener import Response
from tests.support.processes import Server

_numbers = itertools.count(1)


class Conformance(Server):
    """The running project."""

    async def api(self, method: str, **parameters: Any) -> Any:
        """Call a method of the HTTP API and return its result."""
        return await self.api_raw(method, json.dumps(parameters).encode())

    async def api_raw(self, method: str, body: bytes) -> Any:
        """`api` with a body as it is, to the byte."""
        headers = {"x-api-key": "test-api-key", "content-type": "application/json"}
        async with await Response.open(self.port, f"/api/{method}", body=body, headers=headers) as response:
            answer = json.loads(b"".join([piece async for piece in response.pieces()]))
        assert response.status == 200, answer
        return answer["result"]

    async def publish(self, channel: str, data: Any, **parameters: Any) -> Any:
        return await self.api("publish", channel=channel, data=data, **parameters)

    async def publish_all(self, channel: str, data: list[Any]) -> None:
        """One after the other, each when the one before was accepted."""
        for item in data:
            await self.publish(channel, item)
            await asyncio.sleep(0)


@pytest.fixture(scope="session")
def conformance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conformance]:
    folder = tmp_path_factory.mktemp("conformance")
    server = Conformance(folder, "tests.conformance.project", {"CONFORMANCE_DATA_DIR": str(folder)})
    server.manage("migrate", "-v", "0")
    server.start_blocking()
    yield server
    server.stop()


@pytest.fixture
def name() -> str:
    """A channel's name, for behind the colon, that no other test uses."""
    return f"t{next(_numbers)}"
