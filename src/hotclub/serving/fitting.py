"""Finds out whether Hotclub's protocol classes fit the installed uvicorn and websockets, whose internals they build on.

The versions must be tested ones, and a trial must succeed: before the server listens, one request and two WebSockets go
through the classes in memory. Otherwise the server runs with uvicorn's own classes, on the plain ASGI interface.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from importlib.metadata import version
from typing import Any, Final

from uvicorn import Config
from uvicorn.server import ServerState

from hotclub.conf.config import Config as Settings
from hotclub.engine.observe import logger
from hotclub.engine.transports.websocket import WRITER
from hotclub.serving.door import Door

TESTED: Final[Mapping[str, tuple[str, str]]] = {"uvicorn": ("0.52.1", "0.55"), "websockets": ("17", "18")}
"""The versions that the classes are tested with, from the first up to before the second. As in `pyproject.toml`."""

_PATIENCE: Final = 5.0
"""Seconds that the trial may take. It takes milliseconds."""
_REQUEST: Final = b"GET / HTTP/1.1\r\nHost: trial\r\n\r\n"
_UPGRADE: Final = (
    b"GET / HTTP/1.1\r\nHost: trial\r\nConnection: %bUpgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dHJpYWwgb2YgdHJpYWwhIQ==\r\n\r\n"
)
_MASKED: Final = b"\x81\x85\x00\x00\x00\x00trial"
"""The text "trial" in one frame of a client."""
_ANSWER: Final = b"\x81\x05trial"

Protocols = dict[str, Any]
"""Options of uvicorn: which classes it uses for HTTP and WebSocket."""


class DoesNotFit(Exception):
    """The installed uvicorn or websockets is not what the classes are made for. The message says why."""


def protocols(settings: Settings, door: Door) -> Protocols | None:
    """Return Hotclub's protocol classes for uvicorn; None if they do not fit, and the log tells of it."""
    try:
        check_versions()
        chosen = _own(settings, door)
        asyncio.run(_try(chosen))
    except Exception as reason:  # noqa: BLE001 - whatever changed in uvicorn, the site is served
        why = str(reason) if isinstance(reason, DoesNotFit) else f"a trial failed with {reason!r:.200}"
        logger.warning(
            "Hotclub's fast path does not fit: %s. Tested are %s. The site is served by uvicorn's own classes on the "
            "plain ASGI interface: slower, without compression, without bounds on request heads, bodies and fragments",
            *(why, ", ".join(f"{name}>={first},<{end}" for name, (first, end) in TESTED.items())),
        )
        return None
    return chosen


def check_versions() -> None:
    """Raise DoesNotFit for an installed version that is not a tested one."""
    for name, (first, end) in TESTED.items():
        installed = version(name)
        if not _number(first) <= _number(installed) < _number(end):
            raise DoesNotFit(f"{name} {installed} is installed")


def _number(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _own(settings: Settings, door: Door) -> Protocols:
    # Not imported above: these modules may fail to import with another uvicorn.
    http = import_module("hotclub.serving.uvicorn").HttpProtocol
    websocket = import_module("hotclub.serving.websocket").WebSocketProtocol
    return {
        "http": partial(http, limits=settings.limits, server=settings.server, door=door),
        "ws": partial(websocket, limits=settings.limits, compression=settings.compression),
    }


async def _try(chosen: Protocols) -> None:
    """Let a request and two WebSockets go through the classes.

    Raises:
        DoesNotFit: the answer is another than expected.
        Exception: the classes failed.
    """
    config = Config(_application, **chosen, log_config=None, lifespan="off", ws_per_message_deflate=False)
    config.load()
    async with asyncio.timeout(_PATIENCE):
        line = _Line(config)
        line.receive(_REQUEST)
        await line.wrote(b"HTTP/1.1 204")
        line.lose()
        # The second handshake is none that browsers send, which uvicorn and websockets read themselves.
        for more in (b"", b"trial, "):
            line = _Line(config)
            line.receive(_UPGRADE % more)
            await line.wrote(b"HTTP/1.1 101")
            line.receive(_MASKED)
            await line.wrote(_ANSWER)
            line.lose()


async def _application(scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
    """Answer a request with 204, and the first message of a WebSocket with itself, by the fast path."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    await receive()
    await send({"type": "websocket.accept"})
    message = await receive()
    text = message["text"].encode()
    scope["extensions"][WRITER].write([b"\x81" + bytes([len(text)]) + text])
    await receive()


class _Line(asyncio.Transport):
    """A connection in memory, with the protocol that uvicorn would make for it."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self._written = b""
        self._news = asyncio.Event()
        make: Any = config.http_protocol_class
        self._protocol: Any = make(
            config=config, server_state=ServerState(), app_state={}, _loop=asyncio.get_running_loop()
        )
        self._protocol.connection_made(self)

    def receive(self, data: bytes) -> None:
        """Give bytes of the peer to the protocol."""
        self._protocol.data_received(data)

    async def wrote(self, expected: bytes) -> None:
        """Wait until the protocol has written these bytes.

        Raises:
            DoesNotFit: the protocol has ended the connection instead.
        """
        while expected not in self._written:
            if self._written and self.is_closing():
                raise DoesNotFit(f"a trial was answered with {self._written[:60]!r}")
            self._news.clear()
            await self._news.wait()

    def lose(self) -> None:
        """End the connection."""
        self._protocol.connection_lost(None)

    # asyncio.Transport

    def write(self, data: Any) -> None:
        self._written += data
        self._news.set()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def is_closing(self) -> bool:
        return self._is_closing

    _is_closing = False

    def close(self) -> None:
        self._is_closing = True
        self._news.set()

    abort = close

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing waits in this transport."""

    def pause_reading(self) -> None:
        """The trial sends no more than it waits for."""

    def resume_reading(self) -> None:
        """See `pause_reading`."""
