"""Runs uvicorn with Hotclub's protocol classes, for `hotclub_serve` and `runserver`. Other ASGI servers work, too."""

import asyncio
import contextlib
import errno
import gc
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from random import random
from types import FrameType
from typing import Any, Final

from django.utils.translation import gettext as _
from uvicorn import Config, Server
from uvicorn.config import LOGGING_CONFIG
from uvicorn.server import ServerState

from hotclub.conf.config import Config as Settings
from hotclub.engine.errors import HotclubError
from hotclub.engine.limits import Limits
from hotclub.runtime.node import current_node
from hotclub.serving.door import Door
from hotclub.serving.fitting import protocols
from hotclub.serving.guard import Guard, leave

_BACKLOG: Final = 2_048
_LAST_PORT: Final = 65_535
_LOOK: Final = 0.05
"""Seconds between two looks whether everything is over that a stop waits for."""
_CLOSE_SECONDS: Final = 1
"""Seconds for connections that were closed, and for requests that were cancelled, after the drain."""
_LAST_SECONDS: Final = 4.3
"""Seconds after the drain time by which the process ends, whatever hangs."""
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


class _PlainServer(Server):
    """A uvicorn server that calls `on_ready` with its URL once it answers requests."""

    def __init__(self, config: Config, on_ready: Callable[[str], None] | None, guard: "Guard | None") -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._guard = guard

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self._guard is not None:
            self._guard.hear()
        await super().startup(sockets)
        if self._on_ready is not None and self.started and sockets:
            self._on_ready(_url(sockets[0]))


class _Server(_PlainServer):
    """A server that drains when it stops. It relies on uvicorn's internals."""

    def __init__(
        self, config: Config, limits: Limits, on_ready: Callable[[str], None] | None, guard: "Guard | None"
    ) -> None:
        super().__init__(config, on_ready, guard)
        self._limits = limits
        self._spread = limits.drain_spread

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            leave(128 + sig)
        if sig == signal.SIGINT:
            # A person waits at the terminal.
            self._spread = 0.0
        super().handle_exit(sig, frame)
        if self._guard is not None:
            self._guard.arm()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close every connection at a moment of its own, once its commands are answered; then stop as uvicorn does.

        What is not over after `drain_time` is closed, and then cancelled.
        """
        loop = asyncio.get_running_loop()
        node = current_node()
        if node is not None:
            node.leaving = True
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        end = loop.time() + self._limits.drain_time
        state, known = self.server_state, set[Any]()
        while (state.connections or state.tasks) and loop.time() < end:
            # A connection may have been accepted or upgraded since the last look.
            for connection in state.connections - known:
                known.add(connection)
                moment = random() * min(self._spread, self._limits.drain_time)  # noqa: S311 - spreads load; nobody gains by guessing it
                loop.call_later(moment, _close, state, connection)
            await asyncio.sleep(_LOOK)
        await super().shutdown(sockets)
        if self._guard is not None:
            await _end_tasks()


def _close(state: ServerState, connection: Any) -> None:
    if connection in state.connections:
        connection.shutdown()


async def _end_tasks() -> None:
    """Cancel every other task, and end the process when one of them does not end."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks and (await asyncio.wait(tasks, timeout=1.0))[1]:
        leave(0)


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

    In the main thread, a signal ends the process within `limits.drain_time` and a few seconds, with status 0: when a
    call hangs then, the function does not return. A second signal ends the process at once.

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
    patience = limits.connect_timeout / 2
    door = Door(settings.server, settings.trusted_proxies, files=raise_file_limit(), patience=patience)
    chosen = protocols(settings, door)
    fits = chosen is not None
    config = Config(
        app,
        loop=loop,
        **(chosen or {}),
        ws_max_size=limits.message_bytes,
        ws_per_message_deflate=False,
        log_config=LOGGING_CONFIG,
        log_level=log_level,
        access_log=access_log,
        server_header=False,
        # `TRUSTED_PROXIES` decides which proxies are believed. uvicorn would believe every process on this machine.
        proxy_headers=False,
        timeout_graceful_shutdown=_CLOSE_SECONDS if fits else int(limits.drain_time),
    )
    _collect_seldom()
    in_main = threading.current_thread() is threading.main_thread()
    guard = Guard(limits.drain_time + _LAST_SECONDS) if in_main else None
    server = _Server(config, limits, on_ready, guard) if fits else _PlainServer(config, on_ready, guard)
    with contextlib.closing(listener), _quiet_termination(server, guard), contextlib.suppress(KeyboardInterrupt):
        server.run([listener])
    if guard is not None:
        guard.end()


def _collect_seldom() -> None:
    """Make the collector of cycles run less often, and leave out what has been imported.

    A connect makes more than a hundred objects that stay, so by default every seventh connect starts a collection.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


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
def _quiet_termination(server: Server, guard: "Guard | None") -> Iterator[None]:
    """Have a SIGTERM that comes before uvicorn listens to signals stop the server, too. uvicorn raises the signal again
    after its shutdown, where it does nothing, so that the process ends with status 0."""
    if guard is None:
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        server.should_exit = True
        guard.arm()

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
