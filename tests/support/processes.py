"""Real servers in processes of their own, which a test may stop, kill and start again."""

import asyncio
import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.support import run

REPOSITORY: Final = Path(__file__).resolve().parents[2]
CLUBHOUSE: Final = "clubhouse"
PROJECT: Final = "tests.support.project"

# Below the range the kernel gives to outgoing connections: a client that tries a dead server's port must not be
# connected to itself, nor take the port before the server is back.
_PORTS: Final = range(18_600, 28_600)


class ProcessFailed(Exception):
    """A server or command ended when it should not have; the message is the end of what it printed."""


def free_port() -> int:
    """A port that is free at this moment, and that no other worker of this run gets."""
    for port in random.sample(_own_ports(), 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ProcessFailed(f"no port is free between {_PORTS.start} and {_PORTS.stop}")


def kept_waiting(process: int) -> float:
    """The seconds for which the main thread of a process has waited for a processor."""
    return int(Path(f"/proc/{process}/schedstat").read_text().split()[1]) / 10**9


def _own_ports() -> range:
    """Every n-th port is this worker's, of the n that share the run."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return _PORTS[number % workers :: workers]


async def poll_until(condition: Callable[[], bool], what: str, *, timeout: float = 10.0) -> None:
    """Check the condition every 20 ms until it holds, for conditions without an event to wait for."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout} s: {what}")
        await asyncio.sleep(0.02)


@dataclass
class Server:
    """`python -m <module> hotclub_serve`, with its own data directory. Only processes started here are signalled."""

    data_dir: Path
    module: str = CLUBHOUSE
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    files: int = 0
    """How many files the server may open; 0 for as many as this process."""
    process: "subprocess.Popen[bytes] | None" = None
    _logged: int = 0
    """The bytes in the log before the last start."""

    @property
    def log(self) -> Path:
        return self.data_dir / f"server-{self.port}.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @classmethod
    @contextlib.contextmanager
    def serving(
        cls, data_dir: Path, module: str, environment: Mapping[str, str] | None = None, *, files: int = 0
    ) -> Iterator[Self]:
        """A site with fresh tables, served until the block ends."""
        server = cls(data_dir, module, environment or {}, files=files)
        server.copy_tables()
        server.start_blocking()
        try:
            yield server
        finally:
            server.stop()

    def copy_tables(self) -> None:
        """Copy the empty SQLite tables of its module into its directory. They are migrated once in a run."""

        def make(folder: Path) -> None:
            Server(folder, self.module).manage("migrate", "-v", "0")

        shutil.copytree(run.made(f"tables-{self.module}", make), self.data_dir, dirs_exist_ok=True)

    def manage(self, *arguments: str, input_text: str | None = None) -> str:
        """Run a management command of the site to its end and return what it printed.

        Raises:
            ProcessFailed: it did not succeed.
        """
        done = subprocess.run(
            [sys.executable, "-m", self.module, *arguments],
            cwd=REPOSITORY,
            env=self._environment(),
            input=input_text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise ProcessFailed(f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def shell(self, code: str) -> str:
        """Run Python in the site's own environment, as an administrator would, and return what it printed."""
        return self.manage("shell", "-v", "0", "-c", code)

    async def start(self) -> Self:
        """Start it and wait until it answers.

        Raises:
            ProcessFailed: it ended before it answered.
        """
        self.launch()
        await poll_until(self._answers, f"{self.module} answers on port {self.port}", timeout=30)
        return self

    def start_blocking(self) -> Self:
        """`start` for fixtures that have no event loop."""
        self.launch()
        deadline = time.monotonic() + 30
        while not self._answers():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.module} does not answer on port {self.port}:\n{self.tail()}")
            time.sleep(0.02)
        return self

    @property
    def memory(self) -> int:
        """Resident bytes of the process."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)[1]) * 1024  # type: ignore[index]

    @property
    def work(self) -> float:
        """The seconds of processor time that the server has used, to a hundredth. Other processes do not count."""
        user, system = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    @property
    def kept_waiting(self) -> float:
        """The seconds for which its main thread has waited for a processor."""
        return kept_waiting(self.pid)

    @contextlib.contextmanager
    def works_less_than(self, seconds: float) -> Iterator[None]:
        """Assert that the server uses less processor time than this during the block."""
        before = self.work
        yield
        assert self.work - before < seconds

    def launch(self) -> None:
        """Start it without waiting."""
        assert not self.alive
        bound = ["sh", "-c", f'ulimit -n {self.files}; exec "$0" "$@"'] if self.files else []
        limited = [*bound, sys.executable]
        with self.log.open("ab") as log:
            self._logged = log.tell()
            self.process = subprocess.Popen(
                [*limited, "-m", self.module, "hotclub_serve", "--host", "127.0.0.1", "--port", str(self.port)],
                cwd=REPOSITORY,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        """Send SIGKILL: the server writes nothing and closes no connection."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM, and wait; returns the exit status."""
        return self._end(signal.SIGTERM)

    def tail(self, lines: int = 30) -> str:
        """The end of what it logged."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.alive:
            self.kill()

    def _end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        try:
            return self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise ProcessFailed(f"{self.module} ignored {number.name}:\n{self.tail()}") from None

    def _answers(self) -> bool:
        """Whether this process has logged its URL. An answer on the port could come from another server.

        Raises:
            ProcessFailed: it has ended.
        """
        if not self.alive:
            raise ProcessFailed(f"{self.module} ended before it answered:\n{self.tail()}")
        with self.log.open("rb") as log:
            log.seek(self._logged)
            return f"{self.url}/".encode() in log.read()

    def _environment(self) -> dict[str, str]:
        path = [str(REPOSITORY / "src"), str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("DJANGO_", "CLUBHOUSE_"))}
        return {
            **inherited,
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            "PYTHONUNBUFFERED": "1",
            "CLUBHOUSE_DATA_DIR": str(self.data_dir),
            "CLUBHOUSE_HTTPS": "0",
            "CLUBHOUSE_SECRET_KEY": "known-to-everybody-who-reads-the-tests-of-this-project-and-long",
            "PROJECT_DATA_DIR": str(self.data_dir),
            "CONFORMANCE_DATA_DIR": str(self.data_dir),
            **self.environment,
        }
