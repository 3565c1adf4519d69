"""The servers that are measured, and their command lines."""

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from benchmarks.dialects import CHANNELS, HOTCLUB, Dialect


@dataclass(frozen=True, slots=True)
class Peer:
    """A server with an application. With `must_deliver`, a single lost delivery fails the run.

    A peer that is no Django project (`django` false) knows neither sessions nor views.
    """

    name: str
    title: str
    dialect: Dialect
    settings: str
    command: Callable[[int], list[str]]
    """Takes a port of 127.0.0.1, and returns the arguments with which `program` starts the server there."""
    must_deliver: bool = False
    program: str = sys.executable
    environment: Mapping[str, str] = field(default_factory=dict)
    django: bool = True


_SITES: Final = "benchmarks.projects"


def uvicorn(application: str) -> Callable[[int], list[str]]:
    """Return the command of uvicorn with its fastest loop and parsers, and its defaults for the rest."""
    options = ["--loop", "uvloop", "--http", "httptools", "--ws", "websockets-sansio"]
    quiet = ["--log-level", "warning", "--no-access-log"]
    return lambda port: ["-m", "uvicorn", application, "--host", "127.0.0.1", "--port", str(port), *options, *quiet]


HOTCLUB_SERVE: Final = Peer(
    name="hotclub",
    title="Hotclub, manage.py hotclub_serve",
    dialect=HOTCLUB,
    settings=f"{_SITES}.hotclub_site.settings",
    command=lambda port: ["-m", f"{_SITES}.hotclub_site", "hotclub_serve", "--host", "127.0.0.1", "--port", str(port)],
    must_deliver=True,
)

HOTCLUB_ASGI: Final = Peer(
    name="hotclub-asgi",
    title="Hotclub, plain uvicorn",
    dialect=HOTCLUB,
    settings=f"{_SITES}.hotclub_site.settings",
    command=uvicorn(f"{_SITES}.hotclub_site.asgi:application"),
    must_deliver=True,
)

CHANNELS_MEMORY: Final = Peer(
    name="channels",
    title="Channels, in-memory layer, uvicorn",
    dialect=CHANNELS,
    settings=f"{_SITES}.channels_site.settings",
    command=uvicorn(f"{_SITES}.channels_site.asgi:application"),
)

PEERS: Final = {peer.name: peer for peer in (HOTCLUB_SERVE, HOTCLUB_ASGI, CHANNELS_MEMORY)}

CENTRIFUGO: Final = Peer(
    name="centrifugo",
    title="Centrifugo (Go)",
    dialect=HOTCLUB,
    settings="",
    command=lambda port: ["--http_server.address", "127.0.0.1", "--http_server.port", str(port)],
    program=os.environ.get("CENTRIFUGO") or shutil.which("centrifugo") or "",
    environment={
        "CENTRIFUGO_CLIENT_INSECURE": "true",
        "CENTRIFUGO_CLIENT_ALLOWED_ORIGINS": "*",
        "CENTRIFUGO_LOG_LEVEL": "error",
        "CENTRIFUGO_CHANNEL_WITHOUT_NAMESPACE_HISTORY_SIZE": "100",
        "CENTRIFUGO_CHANNEL_WITHOUT_NAMESPACE_HISTORY_TTL": "60s",
    },
    django=False,
)
"""The reference server of the protocol, version 6. `CENTRIFUGO` names its binary; nothing here installs it."""

REFERENCES: Final = {CENTRIFUGO.name: CENTRIFUGO} if CENTRIFUGO.program else {}
"""Peers that are measured when they are on this machine and asked for."""
