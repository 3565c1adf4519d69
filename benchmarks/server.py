"""Starts and stops a peer, and reads its processor time and memory from /proc."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from benchmarks.peers import Peer
from benchmarks.publishers import HttpClient

_START = 30.0
_ANSWER = 5.0
"""Seconds that a starting server may take for one answer; a connection that is lost in between is tried again."""
_STOP = 5.0
_TICKS = os.sysconf("SC_CLK_TCK")
ROOT = Path(__file__).resolve().parent.parent


class PeerFailed(Exception):
    """The server did not start. `log` holds the end of its log."""

    def __init__(self, peer: str, log: Path) -> None:
        self.peer = peer
        self.log = log.read_text(errors="replace")[-2_000:]
        super().__init__(f"{peer} did not start; the end of its log:\n{self.log}")


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory of one process, in KiB."""

    rss: int
    pss: int


@dataclass(frozen=True, slots=True)
class Server:
    """A running peer."""

    port: int
    pid: int

    def cpu(self) -> float:
        """Return the processor time, user and system, that the process has used so far, in seconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory(self) -> Memory:
        """Return the memory that the process occupies now."""
        lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()[1:]
        sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
        return Memory(rss=sizes["Rss"], pss=sizes["Pss"])


@asynccontextmanager
async def running(peer: Peer, data: Path, port: int = 0) -> AsyncIterator[Server]:
    """Run the peer on this port of 127.0.0.1, or on a free one for port 0, until the block ends.

    Raises:
        PeerFailed: the peer does not answer within 30 seconds.
    """
    port = port or _free_port()
    environment = {
        **os.environ,
        **peer.environment,
        "BENCHMARK_DATA": str(data),
        "DJANGO_SETTINGS_MODULE": peer.settings,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH")))),
    }
    log = data / f"{peer.name.replace(' ', '-')}-{port}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            peer.program, *peer.command(port), env=environment, cwd=ROOT, stdout=output, stderr=output
        )
    try:
        yield Server(port, await _started(peer, process, port, log))
    finally:
        await _stop(process)


async def _started(peer: Peer, process: asyncio.subprocess.Process, port: int, log: Path) -> int:
    deadline, http = monotonic() + _START, HttpClient(port)
    while process.returncode is None and monotonic() < deadline:
        try:
            return int(await http.get("/pid/")) if peer.django else await _answering(http, process.pid)
        except OSError:
            await asyncio.sleep(0.05)
        finally:
            http.close()
    raise PeerFailed(peer.name, log)


async def _answering(http: HttpClient, pid: int) -> int:
    await http.connect()
    return pid


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_STOP):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
