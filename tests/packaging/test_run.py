"""`make run`, as somebody meets it who has just cloned the repository and has Python and nothing else."""

import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.packaging.server import clean_environment, free_port, running

ROOT = Path(__file__).parents[2]

# What the scripts may use of a system: POSIX tools and make. Above all there is no Node.js among them.
TOOLS = "sh make cat chmod cksum dirname env find hostname id ln mkdir mv rm sed sort uname"

# make ends itself with the signal that it was sent; a shell would say 130 of the same.
ENDED = {0, -signal.SIGINT, 128 + signal.SIGINT}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's files, with nothing of what commands have made in it."""
    folder = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search path with the tools alone."""
    folder = tmp_path_factory.mktemp("bin")
    for name in TOOLS.split():
        found = shutil.which(name)
        if found is not None:
            (folder / name).symlink_to(found)
    return folder


@pytest.fixture(scope="module")
def environment(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The tools, and the Python that runs these tests."""
    folder = tmp_path_factory.mktemp("python")
    script(folder / "python3", f'exec "{Path(sys._base_executable).resolve()}" "$@"')  # type: ignore[attr-defined]
    return clean_environment(PATH=f"{folder}:{tools}")


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port on which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_from_a_fresh_clone_to_the_site_and_back_again_with_its_data(clone: Path, environment: dict[str, str]) -> None:
    port = free_port()
    command = ["make", "run", f"PORT={port}"]
    base = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=base, trust_env=False) as visitor:
        with running(command, clone, environment) as server:
            assert server.wait_for_answer(base, seconds=500).status_code == 200
            sign_in(visitor, server.printed)
            assert visitor.get("/chat/").status_code == 200
            assert server.interrupt() in ENDED
        assert_progress_was_shown(server.printed)
        assert f"{base}/" in server.printed
        assert_clean_end(server.printed, port)
        rooms = visitor_sees_rooms_again(visitor, command, clone, environment)
    assert rooms


def visitor_sees_rooms_again(
    visitor: httpx.Client, command: list[str], clone: Path, environment: dict[str, str]
) -> list[str]:
    """A second start works for less than ten seconds, and the visitor is still signed in: data and secret are the same.

    What it works, and not how long it takes: the machine may be busy with other things.
    """
    before = _work_of_children()
    with running(command, clone, environment) as server:
        server.wait_for_answer(str(visitor.base_url), seconds=60)
        answer = visitor.get("/chat/")
        assert answer.status_code == 200
        assert "Python packages" not in server.printed
        assert "Front end" not in server.printed
        assert server.interrupt() in ENDED
    assert _work_of_children() - before < 10
    return re.findall(r'href="(/chat/\d+/)"', answer.text)


def _work_of_children() -> float:
    """Processor time of all commands that have ended, and of what they started."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def sign_in(visitor: httpx.Client, printed: str) -> None:
    """Sign in with the account that the terminal names."""
    user, password = printed_account(printed)
    visitor.get("/accounts/login/")
    form = {"username": user, "password": password, "csrfmiddlewaretoken": visitor.cookies["csrftoken"]}
    assert visitor.post("/accounts/login/", data=form).status_code == 302


def printed_account(printed: str) -> tuple[str, str]:
    match = re.search(r"^Demo accounts: (\S+) / \S+, password: (\S+)$", printed, re.MULTILINE)
    assert match, printed
    return match[1], match[2]


def assert_progress_was_shown(printed: str) -> None:
    told = [line for line in printed.splitlines() if line.startswith("==> ")]
    steps = ("Virtual environment", "Python packages", "Node.js", "JavaScript packages", "Front end", "Database")
    assert [step for step in steps if not any(step in line for line in told)] == []


def assert_clean_end(printed: str, port: int) -> None:
    assert "Traceback" not in printed
    with socket.create_server(("127.0.0.1", port)):
        pass  # nobody holds the port any more


def test_a_taken_port_is_told_before_any_long_work(clone: Path, environment: dict[str, str], taken_port: int) -> None:
    code, printed = make_run(clone, environment, PORT=str(taken_port))
    assert code != 0
    assert f"port {taken_port} of 127.0.0.1 is taken" in printed
    assert re.search(r"make run PORT=\d+", printed)
    assert "==>" not in printed


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1"])
def test_a_port_that_is_none_is_told(clone: Path, environment: dict[str, str], port: str) -> None:
    code, printed = make_run(clone, environment, PORT=port)
    assert code != 0
    assert "must be a number from 1 to 65535" in printed


def test_an_address_of_another_machine_is_told(clone: Path, environment: dict[str, str]) -> None:
    code, printed = make_run(clone, environment, HOST="192.0.2.1", PORT=str(free_port()))
    assert code != 0
    assert "cannot listen on 192.0.2.1" in printed


@pytest.mark.parametrize(("version", "named"), [("Python 3.9.2", "Python 3.9.2"), (None, "no Python")])
def test_an_old_or_missing_python_is_told(
    clone: Path, tools: Path, tmp_path: Path, version: str | None, named: str
) -> None:
    if version:
        script(tmp_path / "python3", f'case $1 in -V) echo "{version}" ;; *) exit 1 ;; esac')
    code, printed = make_run(clone, clean_environment(PATH=f"{tmp_path}:{tools}"), PORT=str(free_port()))
    assert code != 0
    assert "Python 3.11 or newer is needed" in printed
    assert f"{named} was found" in printed


def make_run(clone: Path, environment: dict[str, str], **variables: str) -> tuple[int, str]:
    """`make run` that ends by itself: its exit code and what it printed."""
    done = subprocess.run(
        ["make", "run", *(f"{name}={value}" for name, value in variables.items())],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr
