"""One run of the tests, whose workers share what takes long to make: it is made once, by whoever needs it first."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

_FOLDER: Final = "HOTCLUB_TEST_RUN"
"""The variable that tells the workers, which are children of the process that begins the run."""

POSTGRES: Final = "postgres"
"""The folder of the one PostgreSQL, within the run's own."""


def begin() -> Path:
    """Make the run's folder and tell it to this process and those that it will start."""
    folder = Path(tempfile.mkdtemp(prefix="hotclub-run-"))
    # The database's own user has a folder in it.
    folder.chmod(0o711)
    os.environ[_FOLDER] = str(folder)
    return folder


def made(name: str, make: Callable[[Path], None]) -> Path:
    """A folder of the run, which `make` fills when nobody has asked for it before."""
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
    if server.exists():
        # Not before it is needed: it brings the database's driver.
        from tests.support.postgres import stop

        stop(server)
    del os.environ[_FOLDER]
    shutil.rmtree(folder)
