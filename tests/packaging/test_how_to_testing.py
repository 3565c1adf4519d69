"""docs/how-to/testing.md does what it says, in the tutorial's project, under Django's runner and under pytest."""

from pathlib import Path

import pytest

from tests.packaging.server import clean_environment
from tests.packaging.tutorial import run_python, steps

ROOT = Path(__file__).parents[2]
TUTORIAL = steps(ROOT / "docs" / "tutorial.md")
HOW_TO = steps(ROOT / "docs" / "how-to" / "testing.md")
NEEDED = {"mysite/settings.py", "chat/channels.py"}

pytestmark = pytest.mark.slow


def run(project: Path, *arguments: str) -> str:
    """Run Python in the project and return what it printed."""
    environment = clean_environment(PYTHONPATH=str(ROOT / "src"), DJANGO_SETTINGS_MODULE="mysite.settings")
    done = run_python(project, environment, *arguments)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tutorial's project, as far as the page needs it, with the page's tests."""
    folder = tmp_path_factory.mktemp("how-to")
    for command in (["startproject", "mysite", "."], ["startapp", "chat"]):
        run_python(folder, clean_environment(), "-m", "django", *command)
    for step in TUTORIAL:
        if step.path in NEEDED:
            step.write(folder)
    for step in HOW_TO:
        if step.path:
            step.write(folder)
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
