"""Who is measured, and how each of them is started."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.dialects import CHANNELS, HOTCLUB, Dialect


@dataclass(frozen=True, slots=True)
class Peer:
    """A server with an application. `must_deliver`: a single lost delivery fails the run."""

    name: str
    title: str
    dialect: Dialect
    settings: str
    command: Callable[[int], list[str]]
    """Arguments for the Python interpreter that serve on the given port of 127.0.0.1."""
    must_deliver: bool = False


_SITES: Final = "benchmarks.projects"


def uvicorn(application: str) -> Callable[[int], list[str]]:
    """Plain uvicorn on its fastest loop and parsers, with everything else as it comes."""
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
