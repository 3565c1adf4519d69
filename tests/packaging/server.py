"""A server in a process group of its own, ended as a terminal ends it: with SIGINT for the whole group."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx

from tests.support.processes import free_port

__all__ = ["Server", "clean_environment", "free_port", "running"]


class Server:
    """The running command, and everything that it has printed so far."""

    def __init__(self, command: Sequence[str], folder: Path, environment: dict[str, str]) -> None:
        self.printed = ""
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self._process.stdout
        os.set_blocking(self._process.stdout.fileno(), False)
        self._output = selectors.DefaultSelector()
        self._output.register(self._process.stdout, selectors.EVENT_READ)

    def wait_for_answer(self, url: str, seconds: float) -> httpx.Response:
        """The first answer below 500, polled for because a listening socket tells nobody that it has begun.

        Raises:
            AssertionError: the command has ended, or the time is over.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                answer = httpx.get(url, trust_env=False)
                if answer.status_code < 500:
                    return answer
            self._read(0.05)
            assert self._process.poll() is None, f"ended with {self._process.returncode}:\n{self.printed}"
        raise AssertionError(f"no answer from {url} in {seconds} s:\n{self.printed}")

    def interrupt(self, seconds: float = 15) -> int:
        """Press Ctrl-C, wait for the end, and return the exit code.

        Raises:
            AssertionError: it did not end in time.
        """
        os.killpg(self._process.pid, signal.SIGINT)
        deadline = time.monotonic() + seconds
        while self._process.poll() is None and time.monotonic() < deadline:
            self._read(0.05)
        assert self._process.poll() is not None, f"still running {seconds} s after Ctrl-C:\n{self.printed}"
        self._read(0)
        return self._process.returncode

    def kill(self) -> None:
        """End it and everything that it started, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._output.close()
        assert self._process.stdout
        self._process.stdout.close()

    def _read(self, seconds: float) -> None:
        assert self._process.stdout
        if self._output.select(seconds):
            self.printed += (self._process.stdout.read() or b"").decode(errors="replace")


@contextlib.contextmanager
def running(command: Sequence[str], folder: Path, environment: dict[str, str]) -> Iterator[Server]:
    """The command, until the end of the block."""
    server = Server(command, folder, environment)
    try:
        yield server
    finally:
        server.kill()


def clean_environment(**changes: str) -> dict[str, str]:
    """This process's environment without what belongs to this repository's own virtual environment and settings."""
    mine = ("DJANGO_", "CLUBHOUSE_", "PYTEST_", "VIRTUAL_ENV", "PYTHONPATH", "MAKE", "MFLAGS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(mine)}
    return {**kept, "PYTHONUNBUFFERED": "1", **changes}
