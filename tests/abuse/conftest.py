"""One real server for all hostile input. After every test it must be alive, small, and quick to serve others."""

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from tests.support.clubhouse import Site, draft, populate, prepare
from tests.support.emulated import ProtobufClient
from tests.support.processes import PROJECT, Server
from tests.support.wire import WireClient

LIMITS = {
    "CONNECT_TIMEOUT": 1.0,
    "CLOSE_TIMEOUT": 1.0,
    "UNAUTHENTICATED_CONNECTIONS": 20,
    "PING_INTERVAL": 2.0,
    "PONG_TIMEOUT": 1.0,
}
"""Time-outs that a test can wait for. The bounds on sizes and numbers are the defaults."""


def runs_on(clients: Mapping[str, type[WireClient]]) -> Any:
    """Run every test of a module on each of these transports: it gives the module its `WireClient`.

    Except for smoke tests, `make test` runs them on WebSockets alone, in each form: the commands are the same.
    `OtherClient` is a client of the other form of the protocol.
    """

    @pytest.fixture(
        params=[pytest.param(kind, marks=_marks(name), id=name) for name, kind in clients.items()], autouse=True
    )
    def everywhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        kind: type[WireClient] = request.param
        monkeypatch.setattr(request.module, "WireClient", kind)
        if hasattr(request.module, "OtherClient"):
            monkeypatch.setattr(
                request.module, "OtherClient", WireClient if kind.form == "protobuf" else ProtobufClient
            )

    return everywhere


def _marks(name: str) -> list[pytest.MarkDecorator]:
    return [] if name.startswith("websocket-") else [pytest.mark.matrix]


async def subscriber(kind: type[WireClient], server: Server, channel: str) -> WireClient:
    """Somebody who is in the channel."""
    client = await kind.connected(server.port)
    await client.subscribe(channel)
    return client


STRICT = (5, 3_600)
"""How many connections one address may open, and in how many seconds."""

_FIELD = r"""\w+=(?:\d+|'[ -~]*'|"[ -~]*")"""
_LINE = re.compile(
    rf"(?:Ended a connection|Refused a request|Refused a command): {_FIELD}(?: {_FIELD})*"
    r"|Serving http://[ -~]+ — Ctrl-C stops it\."
    r"|Left out the forwarded headers of a request from [0-9a-f.:]+, which is not in [ -~]+"
    r"|WARNING:  (?:Invalid HTTP request received|Unsupported upgrade request)\."
    # Of a hook that fails, which is the project's own fault: whose it is, and where.
    r"|(?:A hook of|The hook) [ -~]+ failed|Traceback \(most recent call last\):|  .*|\w*Error: .{0,40}"
)
_LONGEST_LINE = 800
LOG_PERIOD = 3_600
"""Longer than all tests take. The count of what one test has caused would stand among the lines of a later test."""


class Said:
    """What a server has put on its log since this was made."""

    def __init__(self, server: Server) -> None:
        self._log = server.log
        self._start = self._log.stat().st_size

    @property
    def lines(self) -> list[str]:
        return self._log.read_bytes()[self._start :].decode().split("\n")[:-1]

    def check(self) -> None:
        """Nobody can put on it what looks like another line, nor much, nor what was sent in confidence."""
        for line in self.lines:
            assert _LINE.fullmatch(line), line
            assert len(line) <= _LONGEST_LINE, line


@pytest.fixture(scope="session")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    # The tests come from one address, faster than the default allows.
    settings = {
        "LIMITS": LIMITS,
        "LOG_PERIOD": LOG_PERIOD,
        "RATES": {"CONNECTS_PER_ADDRESS": None, "CONNECTS": None},
    }
    environment = {"PROJECT_HOTCLUB": json.dumps(settings)}
    with Server.serving(tmp_path_factory.mktemp("abuse"), PROJECT, environment) as server:
        yield server


@pytest.fixture
async def server(_server: Server) -> AsyncIterator[Server]:
    """The victim, watched by somebody with a connection of their own, before, during and after."""
    pid, memory, said = _server.pid, _server.memory, Said(_server)
    async with await WireClient.connected(_server.port) as witness:
        await witness.subscribe("memory:witness")
        yield _server
        assert _server.alive, _server.tail()
        assert _server.pid == pid
        sent = uuid4().hex
        with _server.works_less_than(1):
            await witness.publish("memory:witness", sent)
            await witness.expect(lambda item: item.get("push", {}).get("pub", {}).get("data") == sent)
    async with await WireClient.connected(_server.port) as newcomer:
        await newcomer.subscribe("memory:witness")
    assert _server.memory - memory < 16 * 2**20
    said.check()


@pytest.fixture(scope="session")
def _strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"LOG_PERIOD": LOG_PERIOD, "RATES": {"CONNECTS_PER_ADDRESS": STRICT, "CONNECTS": (400, 4)}}
    environment = {"PROJECT_HOTCLUB": json.dumps(settings)}
    with Server.serving(tmp_path_factory.mktemp("strict"), PROJECT, environment) as server:
        yield server


@pytest.fixture
async def strict(_strict: Server) -> AsyncIterator[Server]:
    """A server that soon has enough of an address, watched from another one."""
    memory, said = _strict.memory, Said(_strict)
    yield _strict
    assert _strict.alive, _strict.tail()
    assert _strict.memory - memory < 16 * 2**20
    said.check()


@dataclass
class Room:
    """The real site with a room that Alice and Bob are in and Mallory is not, and how they connect to it."""

    site: Site
    name: str = "Lobby"

    @property
    def server(self) -> Server:
        return self.site.server

    @property
    def port(self) -> int:
        return self.site.server.port

    @property
    def channel(self) -> str:
        return self.site.channel(self.name)

    async def client(self, person: str, port: int | None = None) -> WireClient:
        port = port or self.port
        return await WireClient.connected(port, headers=self.site.people[person].headers(port))


@pytest.fixture(scope="session")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = prepare(tmp_path_factory.mktemp("abused") / "site")
    server = Server(directory, environment={"CLUBHOUSE_CHAT_RATE": "off"})
    site = populate(server, people=("Alice", "Bob", "Mallory"), members=("Alice", "Bob"))
    server.start_blocking()
    yield site
    server.stop()


@pytest.fixture
async def room(_site: Site) -> AsyncIterator[Room]:
    """The room, watched by Bob, who is still served when the test is over."""
    room = Room(_site)
    pid, said = room.server.pid, Said(room.server)
    async with await room.client("Bob") as witness:
        await witness.subscribe(room.channel)
        yield room
        assert room.server.alive, room.server.tail()
        assert room.server.pid == pid
        message = draft("still here")
        await witness.publish(room.channel, message)
        await witness.expect(
            lambda item: (
                item.get("push", {}).get("pub", {}).get("data", {}).get("message", {}).get("client_id") == message["id"]
            )
        )
        said.check()
