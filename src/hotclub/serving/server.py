"""uvicorn with our protocol classes, for `hotclub_serve` and `runserver`. Any other ASGI server can run a site, too."""

import contextlib
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

from hotclub.engine.errors import HotclubError
from hotclub.engine.limits import Limits
from hotclub.engine.observe import FloodFilter, logger
from hotclub.serving.uvicorn import HttpProtocol, WebSocketProtocol

_BACKLOG: Final = 2_048
_DRAIN_SECONDS: Final = 10


class CannotListen(HotclubError):
    """The address cannot be listened on, most often because another process does already."""

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
    """A server that says when it answers."""

    def __init__(self, config: Config, on_ready: Callable[[str], None] | None) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._on_ready is not None and self.started and sockets:
            self._on_ready(_url(sockets[0]))


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address; port 0 takes any free one.

    Raises:
        CannotListen: somebody else listens there, or the address is not this machine's.
    """
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
        # Two servers can share an address until one of them listens.
        listener.listen(_BACKLOG)
    except OSError as reason:
        listener.close()
        raise CannotListen(host, port, reason) from reason
    return listener


def run(  # noqa: PLR0913 - options, each by its name
    app: Callable[..., Any],
    *,
    listener: socket.socket,
    limits: Limits,
    compression: bool = False,
    log_level: str = "info",
    access_log: bool = False,
    loop: str = "auto",
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve an ASGI application until SIGINT or SIGTERM, then close every connection and return.

    `listener` is closed at the end. `on_ready` gets the URL as soon as requests are answered.
    """
    config = Config(
        app,
        loop=loop,
        http=partial(HttpProtocol, limits=limits),  # type: ignore[arg-type]
        ws=partial(WebSocketProtocol, limits=limits, compression=compression),  # type: ignore[arg-type]
        ws_max_size=limits.message_bytes,
        ws_per_message_deflate=False,
        log_config=LOGGING_CONFIG,
        log_level=log_level,
        access_log=access_log,
        server_header=False,
        # Whom to believe about the client is a setting of the project, and not whoever connects from this machine.
        proxy_headers=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    raise_file_limit()
    server = _Server(config, on_ready)
    with contextlib.closing(listener), _quiet_termination(), _bounded_log(), contextlib.suppress(KeyboardInterrupt):
        server.run([listener])


@contextlib.contextmanager
def _bounded_log() -> Iterator[None]:
    flood = FloodFilter()
    logger.addFilter(flood)
    try:
        yield
    finally:
        logger.removeFilter(flood)


def raise_file_limit() -> None:
    """Allow this process as many open files as it may have: each connection is one, and the usual 1,024 are few."""
    try:
        resource = import_module("resource")
    except ImportError:  # Windows has no such limits
        return
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Some systems call their limit infinite and refuse to set it so; then the old one stays.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def _quiet_termination() -> Iterator[None]:
    """Uvicorn raises the signals that stopped it once more when it is done. Being asked to stop is no failure."""
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
