"""docs/how-to/channels-consumers.md does what it says: the same consumer before and after, and a channel beside it."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import websockets

from tests.packaging.server import clean_environment, free_port, running
from tests.packaging.tutorial import Step, run_python, steps

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "channels-consumers.md"
STEPS = steps(PAGE)
FILES = [
    "chat/consumers.py",
    "chat/routing.py",
    "mysite/asgi.py",
    "mysite/settings.py",
    "mysite/settings.py",
    "mysite/asgi.py",
    "chat/channels.py",
]
BEFORE = 4
"""How many of the files are the project as it was."""

SIGN_IN = """
from importlib import import_module
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User

user = User.objects.create_user("alice")
session = import_module(settings.SESSION_ENGINE).SessionStore()
session[SESSION_KEY] = str(user.pk)
session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
session[HASH_SESSION_KEY] = user.get_session_auth_hash()
session.save()
print(session.session_key)
"""

pytestmark = pytest.mark.slow


class Project:
    """The page's project in a folder, with somebody who is signed in."""

    def __init__(self, folder: Path, files: list[Step]) -> None:
        self.folder = folder
        self.environment = clean_environment(PYTHONPATH=str(ROOT / "src"), DJANGO_SETTINGS_MODULE="mysite.settings")
        for command in (["startproject", "mysite", "."], ["startapp", "chat"]):
            run_python(folder, clean_environment(), "-m", "django", *command)
        for step in files:
            step.write(folder)
        self.run("manage.py", "migrate", "-v", "0")
        self.cookie = f"sessionid={self.run('manage.py', 'shell', '-v', '0', '-c', SIGN_IN).strip()}"

    def run(self, *arguments: str) -> str:
        """Run Python in the project and return its standard output."""
        return run_python(self.folder, self.environment, *arguments).stdout

    def open(self, port: int, path: str) -> Any:
        """A WebSocket of that person, to be entered."""
        headers = {"Cookie": self.cookie, "Origin": f"http://127.0.0.1:{port}"}
        return websockets.connect(f"ws://127.0.0.1:{port}{path}", additional_headers=headers, proxy=None)

    async def ask_consumer(self, port: int) -> Any:
        """What the consumer answers when that person says hello."""
        async with self.open(port, "/ws/chat/lobby/") as socket:
            await socket.send(json.dumps({"message": "hello"}))
            return json.loads(await socket.recv())


def written() -> list[Step]:
    return [step for step in STEPS if step.path]


def test_every_file_of_the_page_is_written() -> None:
    assert [step.path for step in written()] == FILES


async def test_the_project_as_it_was(tmp_path: Path) -> None:
    project, port = Project(tmp_path, written()[:BEFORE]), free_port()
    command = [sys.executable, "-m", "uvicorn", "mysite.asgi:application", "--port", str(port)]
    with running(command, tmp_path, project.environment) as server:
        server.wait_for_answer(f"http://127.0.0.1:{port}/", seconds=30)
        assert await project.ask_consumer(port) == {"message": "alice: hello"}


async def test_the_same_consumer_and_a_channel_in_one_application(tmp_path: Path) -> None:
    project, port = Project(tmp_path, written()), free_port()
    assert "no issues" in project.run("manage.py", "check", "--fail-level", "WARNING")
    command = [sys.executable, "manage.py", "hotclub_serve", "--port", str(port)]
    with running(command, tmp_path, project.environment) as server:
        server.wait_for_answer(f"http://127.0.0.1:{port}/", seconds=30)
        assert await project.ask_consumer(port) == {"message": "alice: hello"}
        async with project.open(port, "/connection/websocket") as socket:
            await socket.send('{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"chat:lobby"}}')
            await socket.send('{"id":3,"publish":{"channel":"chat:lobby","data":{"text":"hello"}}}')
            publication = await first_publication(socket)
        assert publication == {"text": "alice: hello"}


async def first_publication(socket: Any) -> Any:
    """The data of the first publication that arrives."""
    async for frame in socket:
        for message in map(json.loads, frame.splitlines()):
            if publication := message.get("push", {}).get("pub"):
                return publication["data"]
    raise AssertionError("closed without a publication")
