"""The conformance project, served as a site is: by `hotclub_serve`, in its own process; its HTTP API publishes."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import itertools
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import pytest

from tests.support.listener import BIDIRECTIONAL, Response
from tests.support.matrix import mostly
from tests.support.npm import NpmClient
from tests.support.processes import Server
from tests.support.proxy import FaultProxy, Mode

CONFORMANCE: Final = "tests.conformance.project"

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


class Backend(ThreadingHTTPServer):
    """Answers the shared polls: `values` holds data and version by key."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _BackendRequest)
        self.values: dict[str, dict[str, Any]] = {}
        self.asked: list[dict[str, Any]] = []


class _BackendRequest(BaseHTTPRequestHandler):
    server: Backend

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append(question)
        values = self.server.values
        items = [{"key": item["key"], **values[item["key"]]} for item in question["items"] if item["key"] in values]
        body = json.dumps({"result": {"items": items}}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: what was asked is in `asked`."""


def token(user: str, **claims: Any) -> str:
    """A connection token, or with `channel` a subscription token, by the project's secret."""
    parts = [{"alg": "HS256", "typ": "JWT"}, {"sub": user, **claims}]
    text = b".".join(_base64(json.dumps(part).encode()) for part in parts)
    return b".".join([text, _base64(hmac.digest(b"secret", text, "sha256"))]).decode()


def token_for(user: str, *, seconds: float = 300, **claims: Any) -> str:
    """A token that lives for some seconds: SSE has it in a URL, where no other is taken outside of insecure mode."""
    return token(user, exp=int(time.time() + seconds), **claims)


def poll_signature(user: str, channel: str, keys: Iterable[str], *, ttl: int = 60, iat: int | None = None) -> str:
    """What allows a user to follow keys of a shared poll, by the project's secret."""
    begun = int(time.time()) if iat is None else iat
    digest = hashlib.sha256("\0".join(keys).encode()).hexdigest()
    signed = f"{begun}\0{begun + ttl}\0{user}\0{channel}\0{digest}".encode()
    return f"{begun}:{begun + ttl}:{hmac.digest(b'test-poll-secret', signed, 'sha256').hex()}"


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


@pytest.fixture(scope="session")
def backend() -> Iterator[Backend]:
    server = Backend()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def conformance(tmp_path_factory: pytest.TempPathFactory, backend: Backend) -> Iterator[Conformance]:
    url = f"http://127.0.0.1:{backend.server_port}/refresh"
    environment = {"POLL_BACKEND": url, "POLL_BACKEND_PROTOBUF": url}
    with Conformance.serving(tmp_path_factory.mktemp("conformance"), CONFORMANCE, environment) as server:
        yield server


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conformance]:
    """The project that grants nothing by itself."""
    with Conformance.serving(tmp_path_factory.mktemp("secured"), "tests.conformance.secured") as server:
        yield server


@pytest.fixture
async def proxy(conformance: Conformance) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(conformance.port) as proxy:
        yield proxy


@pytest.fixture
async def secured_proxy(secured: Conformance) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(secured.port) as proxy:
        yield proxy


@pytest.fixture
def name() -> str:
    """A channel's name, for behind the colon, that no other test uses."""
    return f"t{next(_numbers)}"


@pytest.fixture(params=mostly(BIDIRECTIONAL[:2], BIDIRECTIONAL))
def wire(request: pytest.FixtureRequest) -> list[str]:
    """A transport of an SDK, and a form of the protocol on it."""
    parts: list[str] = request.param.split("-")
    return parts


@pytest.fixture
async def member(secured_proxy: FaultProxy, idle: NpmClient, wire: list[str]) -> NpmClient:
    """The npm SDK, signed in as 42 through the proxy, where not everything is allowed."""
    await idle.connect_over(secured_proxy.port, *wire, token=token_for("42"))
    await idle.event("connected")
    return idle


@contextlib.asynccontextmanager
async def away(client: NpmClient, proxy: FaultProxy) -> AsyncIterator[int]:
    """The block runs while the client has lost its connection and gets no other. Gives where its events go on."""
    seen = len(client.events)
    proxy.set_mode(Mode.REFUSE)
    assert proxy.cut() >= 1
    await client.event("connecting", start=seen)
    yield seen
    proxy.set_mode(Mode.PASS)


async def over_every_wire(scenario: Callable[[NpmClient, list[str]], Awaitable[None]]) -> None:
    """Run the scenario of a client over every wire of the npm SDK at the same time, for what takes seconds."""

    async def over(wire: str) -> None:
        async with NpmClient.start() as client:
            try:
                await scenario(client, wire.split("-"))
            except BaseException as error:
                error.add_note(f"over {wire}")
                raise

    async with asyncio.TaskGroup() as group:
        for wire in BIDIRECTIONAL:
            group.create_task(over(wire))


@pytest.fixture
async def idle() -> AsyncIterator[NpmClient]:
    """The npm SDK without a connection."""
    async with NpmClient.start() as client:
        yield client


@pytest.fixture
async def client(proxy: FaultProxy, idle: NpmClient, wire: list[str]) -> NpmClient:
    """The npm SDK, signed in as 42 by a token, through the proxy, which it does not outlive."""
    await idle.connect_over(proxy.port, *wire, token=token("42", info={"name": "Ann"}))
    await idle.event("connected")
    return idle
