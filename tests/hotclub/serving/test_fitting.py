"""A uvicorn that Hotclub's protocol classes do not fit still serves the site, on the plain ASGI interface."""

import importlib.metadata
import logging
import threading
import tomllib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.sync.client import connect

from hotclub.conf.config import Config
from hotclub.engine.transports.websocket import WRITER
from hotclub.serving import fitting, server
from hotclub.serving.door import Door
from tests.support.processes import REPOSITORY


def chosen_by(*, compression: bool = False) -> dict[str, Any] | None:
    settings = Config(compression=compression)
    return fitting.protocols(settings, Door(settings.server))


def test_the_installed_versions_fit(caplog: pytest.LogCaptureFixture) -> None:
    for compression in (False, True):
        chosen = chosen_by(compression=compression)
        assert chosen is not None
        assert chosen["ws"].func.__name__ == "WebSocketProtocol"
        assert chosen["http"].func.__name__ == "HttpProtocol"
    assert caplog.records == []


def test_the_tested_range_is_the_one_that_is_installed_from() -> None:
    needed = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"]
    assert {f"{name}>={first},<{end}" for name, (first, end) in fitting.TESTED.items()} <= set(needed)


@pytest.mark.parametrize(
    ("name", "installed"), [("uvicorn", "0.55.0"), ("uvicorn", "0.52.0"), ("uvicorn", "1.0"), ("websockets", "18.0.1")]
)
def test_another_version_falls_back_and_says_so(
    name: str, installed: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    known = importlib.metadata.version
    monkeypatch.setattr(fitting, "version", lambda asked: installed if asked == name else known(asked))

    assert chosen_by() is None

    [record] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert f"{name} {installed} is installed" in record.getMessage()
    assert "uvicorn>=0.52.1,<0.55" in record.getMessage()


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (HttpToolsProtocol, "on_headers_complete"),
        (HttpToolsProtocol, "on_header"),
        (HttpToolsProtocol, "data_received"),
        (WebSocketsSansIOProtocol, "run_asgi"),
        (WebSocketsSansIOProtocol, "handle_connect"),
        (WebSocketsSansIOProtocol, "data_received"),
        (WebSocketsSansIOProtocol, "handle_text"),
    ],
)
def test_a_missing_private_name_falls_back_and_says_so(
    owner: type, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr(owner, name)
    monkeypatch.setattr(fitting, "_PATIENCE", 0.5)

    assert chosen_by() is None

    assert "does not fit" in caplog.text


def test_a_module_that_cannot_be_imported_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(fitting, "import_module", fail)

    assert chosen_by() is None


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """A page, and a WebSocket that tells whether the fast path is there."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"page"})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "fast" if WRITER in scope["extensions"] else "plain"})
        await receive()


@pytest.fixture
def unfit(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server that runs on a uvicorn of another version."""
    monkeypatch.setattr(fitting, "TESTED", {"uvicorn": ("99", "100")})
    ready, urls = threading.Event(), list[str]()
    servers: list[Any] = []
    made = server._PlainServer.__init__

    def note(self: Any, *args: Any) -> None:
        servers.append(self)
        made(self, *args)

    monkeypatch.setattr(server._PlainServer, "__init__", note)

    def announce(url: str) -> None:
        urls.append(url)
        ready.set()

    listener = server.listen("127.0.0.1", 0)
    options: dict[str, Any] = {"listener": listener, "settings": Config(), "on_ready": announce}
    serving = threading.Thread(target=server.run, args=(echo,), kwargs=options)
    serving.start()
    assert ready.wait(20)
    yield urls[0]
    servers[0].should_exit = True
    serving.join(20)


def test_an_unfit_uvicorn_serves_pages_and_sockets(unfit: str) -> None:
    assert httpx.get(unfit).text == "page"
    with connect(unfit.replace("http", "ws")) as socket:
        assert socket.recv() == "plain"
