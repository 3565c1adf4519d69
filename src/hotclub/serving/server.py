"""Runs uvicorn with Hotclub's protocol classes, for `hotclub_serve` and `runserver`. Other ASGI servers work, too."""

import contextlib
import errno
import gc
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from typing import Any, Final

from django.utils.translation import gettext as _
from uvicorn import Config, Server
from uvicorn.config import LOGGING_CONFIG

from hotclub.conf.config import Config as Settings
from hotclub.engine.errors import HotclubError
from hotclub.engine.observe import FloodFilter, logger
from hotclub.serving.door import Door
from hotclub.serving.uvicorn import HttpProtocol
from hotclub.serving.websocket import WebSocketProtocol

_BACKLOG: Final = 2_048
_LAST_PORT: Final = 65_535
_DRAIN_SECONDS: Final = 10
_COLLECT_AFTER: Final = (50_000, 50, 100)
"""When the collector of cycles looks at each generation, as `gc.set_threshold` takes it."""


class CannotListen(HotclubError):
    """The server cannot listen on the address, most often because another process does."""

    def __init__(self, host: str, port: int, reason: OSError) -> None:
        super().__init__(host, port, reason)
        self.host = host
        self.port = port
        self.reason = reason

    def __str__(self) -> str:
        where = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        return _("Cannot listen on %(where)s: %(reason)s.") % {
            "where": where,
            "reason": self.reason.strerror or self.reason,
        }


class _Server(Server):
    """A uvicorn server that calls `on_ready` with its URL once it answers requests."""

    def __init__(self, config: Config, on_ready: Callable[[str], None] | None) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._on_ready is not None and self.started and sockets:
            self._on_ready(_url(sockets[0]))


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on the address.

    Args:
        host: a host name or an IP address of this machine.
        port: the TCP port; 0 takes any free port.

    Raises:
        CannotListen: another process listens on the address, the address is not one of this machine, or the port
            is no number of a port.
    """
    if not 0 <= port <= _LAST_PORT:
        raise CannotListen(host, port, OSError(errno.EINVAL, f"a port is a number from 0 to {_LAST_PORT}"))
    try:
        family, kind, proto, _name, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, proto)
    except OSError as reason:
        raise CannotListen(host, port, reason) from reason
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # With SO_REUSEADDR two sockets can bind one address until one of them listens.
        listener.listen(_BACKLOG)
    except OSError as reason:
        listener.close()
        raise CannotListen(host, port, reason) from reason
    return listener


def run(
    app: Callable[..., Any],
    *,
    listener: socket.socket,
    settings: Settings,
    log_level: str = "info",
    access_log: bool = False,
    loop: str = "auto",
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve an ASGI application until SIGINT or SIGTERM, then close every connection and return.

    Args:
        app: the ASGI application.
        listener: the listening socket, which is closed at the end.
        settings: the settings of the project.
        log_level: the level of uvicorn's own log.
        access_log: whether uvicorn logs every HTTP request.
        loop: uvicorn's name of the event loop.
        on_ready: called with the URL once the server answers requests.
    """
    limits = settings.limits
    door = Door(settings.server, settings.trusted_proxies, files=raise_file_limit())
    config = Config(
        app,
        loop=loop,
        http=partial(HttpProtocol, limits=limits, server=settings.server, door=door),  # type: ignore[arg-type]
        ws=partial(WebSocketProtocol, limits=limits, compression=settings.compression),  # type: ignore[arg-type]
        ws_max_size=limits.message_bytes,
        ws_per_message_deflate=False,
        log_config=LOGGING_CONFIG,
        log_level=log_level,
        access_log=access_log,
        server_header=False,
        # `TRUSTED_PROXIES` decides which proxies are believed. uvicorn would believe every process on this machine.
        proxy_headers=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    _collect_seldom()
    server = _Server(config, on_ready)
    with contextlib.closing(listener), _quiet_termination(), _bounded_log(), contextlib.suppress(KeyboardInterrupt):
        server.run([listener])


def _collect_seldom() -> None:
    """Make the collector of cycles run less often, and leave out what has been imported.

    A connect makes more than a hundred objects that stay, so by default every seventh connect starts a collection.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


@contextlib.contextmanager
def _bounded_log() -> Iterator[None]:
    flood = FloodFilter()
    logger.addFilter(flood)
    try:
        yield
    finally:
        logger.removeFilter(flood)


def raise_file_limit() -> int | None:
    """Raise this process's limit of open files as far as the system allows. Each connection is an open file.

    Return the limit, None where the system has none.
    """
    try:
        resource = import_module("resource")
    except ImportError:  # Windows has no such limits
        return None
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Some systems report an infinite hard limit and refuse it as a soft limit. The old limit then stays.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft: int = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft


@contextlib.contextmanager
def _quiet_termination() -> Iterator[None]:
    """Ignore the SIGTERM that uvicorn raises again after its shutdown, so that the process ends with status 0."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, lambda _signum, _frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
