"""The PostgreSQL server of a run of the tests, on a free port, in a directory that is thrown away."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg import sql

from tests.support import run
from tests.support.processes import PROJECT, ProcessFailed, Server, free_port


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

    def create(self, template: str = "template1") -> str:
        """Create a copy of the database `template`, a name or a URL, and return the URL of the copy."""
        name = f"test_{uuid4().hex}"
        source = template.rpartition("/")[2]
        with psycopg.connect(f"{self._base}/postgres", autocommit=True) as connection:
            query = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(query.format(sql.Identifier(name), sql.Identifier(source)))
        return f"{self._base}/{name}"


def shared_cluster() -> Cluster:
    """The one PostgreSQL of this run of the tests."""
    return Cluster(int((run.made("postgres-port", _start) / "port").read_text()))


def project_template() -> str:
    """The URL of a database with the tables of the tests' own project, made once in a run, as a template for others."""

    def make(folder: Path) -> None:
        url = shared_cluster().create()
        Server(folder, PROJECT, {"PROJECT_DATABASE_URL": url}).manage("migrate", "-v", "0")
        (folder / "url").write_text(url)

    return (run.made("postgres-project", make) / "url").read_text()


def stop(directory: Path) -> None:
    """Stop the server in this directory at once. Its data is lost."""
    _run([*_control(directory), "-m", "immediate", "stop"], directory, _user())


def _start(told: Path) -> None:
    """Start the server beside the folder `told`, and write its port to a file in that folder."""
    directory = told.with_name(run.POSTGRES)
    # A start that failed has left a directory.
    shutil.rmtree(directory, ignore_errors=True)
    (told / "port").write_text(str(_new_server(directory)))


def _new_server(directory: Path) -> int:
    """Make a server in a new directory, start it, and return its port."""
    _make_directory(directory)
    data, port = str(directory / "data"), free_port()
    _run([_binary("initdb"), "-A", "trust", "-U", "hotclub", "-E", "UTF8", "--no-sync", data], directory, _user())
    _launch(directory, port)
    return port


def _make_directory(directory: Path) -> None:
    directory.mkdir()
    if (user := _user()) is not None:
        os.chown(directory, pwd.getpwnam(user).pw_uid, -1)


def _launch(directory: Path, port: int) -> None:
    options = f"-h 127.0.0.1 -p {port} -k {directory} -F -c max_connections=300"
    _run([*_control(directory), "-o", options, "-l", str(directory / "log"), "start"], directory, _user())


class Pair:
    """A PostgreSQL with the tables of the tests' own project, and an asynchronous copy of it. `url` leads to the one
    that serves."""

    def __init__(self, folder: Path) -> None:
        """`folder` is new, and the user of the database can reach it."""
        self._serving, self._copy = folder / "first", folder / "second"
        self._port = _new_server(self._serving)
        self.url = f"postgres://hotclub@127.0.0.1:{self._port}/postgres"
        tables = folder / "tables.sql"
        _run([_binary("pg_dump"), "--no-owner", "-f", str(tables), project_template()], folder, None)
        _run([_binary("psql"), "-q", "-v", "ON_ERROR_STOP=1", "-f", str(tables), self.url], folder, None)

    def restart(self) -> None:
        """Stop the serving server and start it again."""
        _run([*_control(self._serving), "-m", "fast", "stop"], self._serving, _user())
        _launch(self._serving, self._port)

    def copy(self) -> None:
        """Make the copy, as far as a replica has come when it loses its primary."""
        _make_directory(self._copy)
        data = ["-D", str(self._copy / "data"), "-R", "-X", "stream", "-c", "fast", "--no-sync"]
        command = [_binary("pg_basebackup"), "-h", "127.0.0.1", "-p", str(self._port), "-U", "hotclub", *data]
        _run(command, self._copy, _user())

    def fail_over(self) -> None:
        """End the serving server at once, promote the copy, and let it serve at the same address."""
        stop(self._serving)
        _launch(self._copy, self._port)
        _run([*_control(self._copy), "promote"], self._copy, _user())
        self._serving = self._copy

    def end(self) -> None:
        """Stop the serving server."""
        stop(self._serving)


def _user() -> str | None:
    """The user that runs PostgreSQL, None for the current one. PostgreSQL refuses root; its packages make a user."""
    return "postgres" if os.geteuid() == 0 else None


def _control(directory: Path) -> list[str]:
    return [_binary("pg_ctl"), "-D", str(directory / "data"), "-w"]
