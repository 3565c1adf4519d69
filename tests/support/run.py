"""One run of the tests. Its workers share folders that take long to make; the first worker that needs one makes it."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

_FOLDER: Final = "HOTCLUB_TEST_RUN"
"""The variable with the run's folder. The workers inherit it from the process that begins the run."""

POSTGRES: Final = "postgres"
"""The folder of the one PostgreSQL, within the run's own."""


def begin() -> Path:
    """Make the run's folder and store its path for this process and its children."""
    folder = Path(tempfile.mkdtemp(prefix="hotclub-run-"))
    # The user of the database must reach its folder inside.
    folder.chmod(0o711)
    os.environ[_FOLDER] = str(folder)
    return folder


def made(name: str, make: Callable[[Path], None]) -> Path:
    """A folder of the run, which `make` fills at the first request of all workers."""
    target = Path(os.environ[_FOLDER]) / name
    with target.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            unfinished = target.with_name(f"{name}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(target)
    return target


def end(folder: Path) -> None:
    """Stop what runs in the run's folder, and remove it."""
    server = folder / POSTGRES
    if (server / "data" / "postmaster.pid").exists():
        # This import loads the driver of the database, which most runs do not need.
        from tests.support.postgres import stop

        stop(server)
    del os.environ[_FOLDER]
    shutil.rmtree(folder)
