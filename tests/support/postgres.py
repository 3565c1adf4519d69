"""A PostgreSQL server of a test's own, on a free port, in a directory that is thrown away."""

import contextlib
import itertools
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from tests.support.processes import ProcessFailed, free_port


def _binary(name: str) -> str:
    found = shutil.which(name)
    if found is not None:
        return found
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if not installed:
        raise ProcessFailed(f"These tests need PostgreSQL ({name}): apt-get install postgresql")
    return str(installed[-1])


def _run(command: list[str], directory: Path, user: str | None) -> None:
    done = subprocess.run(
        command, user=user, group=user and pwd.getpwnam(user).pw_gid, cwd=directory, capture_output=True, check=False
    )
    if done.returncode:
        raise ProcessFailed(f"{command[0]}: {done.stdout.decode()}\n{done.stderr.decode()}")


class Cluster:
    """A running PostgreSQL."""

    def __init__(self, port: int) -> None:
        self._base = f"postgres://hotclub@127.0.0.1:{port}"
        self._names = itertools.count(1)

    def create(self, template: str = "template1") -> str:
        """The URL of a new database, which begins as a copy of `template`: a name, or the URL of another one."""
        name = f"test{next(self._names)}"
        source = template.rpartition("/")[2]
        with psycopg.connect(f"{self._base}/postgres", autocommit=True) as connection:
            query = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(query.format(sql.Identifier(name), sql.Identifier(source)))
        return f"{self._base}/{name}"


@contextlib.contextmanager
def postgres(directory: Path) -> Iterator[Cluster]:
    """A cluster that lives in `directory` until the block ends."""
    # PostgreSQL refuses to run as root; the packages bring a user for it.
    user = "postgres" if os.geteuid() == 0 else None
    if user is not None:
        os.chown(directory, pwd.getpwnam(user).pw_uid, -1)
        for parent in directory.parents:
            if parent.stat().st_uid == 0 and parent.is_relative_to("/tmp") and parent != Path("/tmp"):
                parent.chmod(parent.stat().st_mode | 0o111)
    data, port = directory / "data", free_port()
    _run([_binary("initdb"), "-A", "trust", "-U", "hotclub", "-E", "UTF8", "--no-sync", str(data)], directory, user)
    control = [_binary("pg_ctl"), "-D", str(data), "-w"]
    options = f"-h 127.0.0.1 -p {port} -k {directory} -F"
    _run([*control, "-o", options, "-l", str(directory / "log"), "start"], directory, user)
    try:
        yield Cluster(port)
    finally:
        _run([*control, "-m", "immediate", "stop"], directory, user)
