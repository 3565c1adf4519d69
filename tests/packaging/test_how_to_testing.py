"""docs/how-to/testing.md does what it says, in the tutorial's project, under Django's runner and under pytest."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.tutorial import Step, steps

ROOT = Path(__file__).parents[2]
TUTORIAL = steps(ROOT / "docs" / "tutorial.md")
HOW_TO = steps(ROOT / "docs" / "how-to" / "testing.md")
NEEDED = {"mysite/settings.py", "chat/channels.py"}

pytestmark = pytest.mark.slow


def run(project: Path, *arguments: str) -> str:
    """Run Python in the project and return what it printed.

    Raises:
        AssertionError: it failed.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("CLUBHOUSE", "PYTEST"))}
    environment |= {"PYTHONPATH": str(ROOT / "src"), "DJANGO_SETTINGS_MODULE": "mysite.settings"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def write(project: Path, step: Step) -> None:
    with (project / step.path).open("a" if step.extends else "w") as file:
        file.write(step.text)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tutorial's project, as far as the page needs it, with the page's tests."""
    folder = tmp_path_factory.mktemp("how-to")
    for command in (["startproject", "mysite", "."], ["startapp", "chat"]):
        environment = {key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"}
        subprocess.run([sys.executable, "-m", "django", *command], cwd=folder, env=environment, check=True)
    for step in TUTORIAL:
        if step.path in NEEDED:
            write(folder, step)
    for step in HOW_TO:
        if step.path:
            write(folder, step)
    top = HOW_TO[-1]
    tests = folder / "chat" / "tests.py"
    tests.write_text(top.text + tests.read_text())
    return folder


def test_the_page_has_no_block_that_is_not_tested() -> None:
    assert len(HOW_TO) == (ROOT / "docs" / "how-to" / "testing.md").read_text().count("\n```\n")
    assert [step.path for step in HOW_TO] == [
        "chat/tests.py",
        "chat/tests.py",
        "chat/test_rooms.py",
        "chat/tests.py",
        "",
    ]


def test_under_djangos_runner(project: Path) -> None:
    assert "Ran 6 tests" in run(project, "manage.py", "test", "chat.tests")


def test_under_pytest(project: Path) -> None:
    options = ["-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"]
    plugin = [] if has_entry_point() else ["-p", "hotclub.pytest_plugin"]
    printed = run(project, "-m", "pytest", *options, *plugin, "chat/tests.py", "chat/test_rooms.py")
    assert "9 passed" in printed


def has_entry_point() -> bool:
    """Whether the installed package announces its plugin; an old editable installation may not."""
    from importlib.metadata import entry_points

    return "hotclub" in entry_points(group="pytest11").names
