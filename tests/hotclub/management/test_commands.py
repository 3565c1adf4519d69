"""The management commands, in processes of their own where it matters."""

import asyncio
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings

import hotclub
from hotclub.management.commands.runserver import Command as RunserverCommand
from hotclub.management.serving import load_application
from hotclub.serving.server import listen
from tests.support.processes import PROJECT, REPOSITORY, Server, free_port, poll_until
from tests.support.stores import postgres_url, store
from tests.support.wire import WireClient

__all__ = ["postgres_url", "store"]


class Room(hotclub.Channel):
    pattern = "room:<int:room_id>"
    history = hotclub.History(size=100, ttl=timedelta(hours=1), durable=True)

    def can_subscribe(self, client: hotclub.Client, room_id: int) -> bool:
        return True


class Ticker(hotclub.Channel):
    pattern = "ticker:<str:name>"

    def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return True


def run(name: str, *arguments: str) -> str:
    out = io.StringIO()
    call_command(name, *arguments, stdout=out)
    return out.getvalue().strip()


@pytest.fixture
def project(tmp_path: Path) -> Server:
    """The test project with an empty database; not started."""
    server = Server(tmp_path, module=PROJECT)
    server.copy_tables()
    return server


# publish


@pytest.fixture
def channels(store: str, declare: Callable[..., None]) -> None:
    declare(Room, Ticker)


@pytest.mark.usefixtures("channels")
def test_publish_says_where_the_message_stands() -> None:
    first = run("hotclub_publish", "room:1", '{"b": 1,  "a": 2}', "--key", "k")
    assert first.startswith("Published to room:1 at ")
    assert first.endswith("/1.")
    assert run("hotclub_publish", "room:1", '{"b": 1,  "a": 2}', "--key", "k") == first
    assert run("hotclub_publish", "room:1", "2").endswith("/2.")


@pytest.mark.usefixtures("channels")
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_publish_reads_standard_input(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO('{"text": "Grüße"}\n'.encode(encoding))))
    assert run("hotclub_publish", "room:1", "-").endswith("/1.")
    assert hotclub.history("room:1").publications[0].data == {"text": "Grüße"}


@pytest.mark.parametrize(
    ("encoding", "reason"),
    [("utf-16", "UTF-16 or UTF-32"), ("utf-16-le", "UTF-16 or UTF-32"), ("latin-1", "not UTF-8 from byte 12 on")],
)
def test_publish_refuses_another_encoding_with_that_reason(
    monkeypatch: pytest.MonkeyPatch, encoding: str, reason: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO('{"text": "Grüße"}\n'.encode(encoding))))
    with pytest.raises(CommandError, match=f"the text is {reason}"):
        run("hotclub_publish", "room:1", "-")


@pytest.mark.usefixtures("channels")
def test_publish_hands_what_is_not_durable_to_the_running_site() -> None:
    assert run("hotclub_publish", "ticker:a", "1") == "Handed to the running site for ticker:a."


@pytest.mark.usefixtures("channels")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "1"], "Not published to nowhere: no pattern matches 'nowhere'"),
        (["room:1", "{bad"], "Not published to room:1: data is not valid JSON"),
        (["room:1", "NaN"], "Not published to room:1: data is not valid JSON"),
        (["room:1", ""], "Not published to room:1: data is empty"),
        (["room:1", '"other"', "--key", "k"], "channel 'room:1': idempotency key 'k' was used for another payload"),
    ],
)
def test_publish_refuses_in_one_line(arguments: list[str], message: str) -> None:
    run("hotclub_publish", "room:1", "1", "--key", "k")
    with pytest.raises(CommandError) as raised:
        run("hotclub_publish", *arguments)
    assert str(raised.value) == message


@pytest.mark.parametrize("channel", ["durable:room", "memory:room", "ephemeral:room"])
async def test_publish_reaches_open_pages_within_half_a_second(project: Server, channel: str) -> None:
    """The fastest of three: what counts is what the site needs, not what else the machine does."""
    async with project, await WireClient.connected(project.port) as page:
        await page.subscribe(channel)
        delays = [await _delay(project, page, channel, number) for number in range(3)]
        assert min(delays) < 0.5


async def _delay(project: Server, page: WireClient, channel: str, number: int) -> float:
    """From the end of the command until the page has the publication; less than nothing if that comes first."""
    loop = asyncio.get_running_loop()
    publishing = asyncio.create_task(
        asyncio.to_thread(project.manage, "hotclub_publish", channel, f'{{"text": {number}}}')
    )
    published: asyncio.Future[float] = loop.create_future()
    publishing.add_done_callback(lambda _task: published.set_result(loop.time()))
    received = await page.publications(channel, number + 1, timeout=30)
    arrived = loop.time()
    assert received[-1]["data"] == {"text": number}
    return arrived - await published


# inspect


@pytest.mark.usefixtures("channels")
def test_inspect_counts_entries_and_bytes() -> None:
    assert run("hotclub_inspect") == "No durable channel has been used yet."
    for text in ('"ü"', '"吉"'):
        run("hotclub_publish", "room:1", text)
    run("hotclub_publish", "room:2", "1")
    rows = json.loads(run("hotclub_inspect", "room:", "--json"))
    assert [(row["channel"], row["top"], row["kept"], row["bytes"]) for row in rows] == [
        ("room:1", 2, 2, len('"ü""吉"'.encode())),
        ("room:2", 1, 1, 1),
    ]
    header, first, second = run("hotclub_inspect").splitlines()
    assert header.split() == ["channel", "epoch", "top", "kept", "bytes", "oldest", "newest"]
    assert first.split()[:1] + first.split()[2:5] == ["room:1", "2", "2", "9"]
    assert second.startswith("room:2 ")
    assert run("hotclub_inspect", "room:2", "--json").count("channel") == 1


# serve


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_serve_says_where_it_listens_and_ends_cleanly(project: Server, number: signal.Signals) -> None:
    async with project, await WireClient.connected(project.port) as page:
        assert project.process is not None
        project.process.send_signal(number)
        closed = await page.ended(10)
        assert (closed.code, closed.reason) == (3001, "shutdown")
        page.abort()
        assert await asyncio.to_thread(project.process.wait, 10) == 0
    assert project.log.read_text().strip() == f"Serving {project.url}/ — Ctrl-C stops it."


def test_serve_on_a_taken_port_says_so_in_one_line(project: Server) -> None:
    with contextlib.closing(listen("127.0.0.1", project.port)):
        project.launch()
        assert project.process is not None
        assert project.process.wait(20) == 1
    assert project.log.read_text().strip() == (
        f"CommandError: Cannot listen on 127.0.0.1:{project.port}: Address already in use. "
        "Choose another address with --host and --port."
    )


@pytest.mark.django_db
def test_serve_refuses_workers_that_could_not_hear_each_other() -> None:
    with pytest.raises(CommandError, match=r"memory lives in one process"):
        call_command("hotclub_serve", "--workers", "2")


def test_an_application_that_cannot_be_imported_is_told_in_one_line() -> None:
    with (
        override_settings(ASGI_APPLICATION="nowhere.asgi.application"),
        pytest.raises(CommandError, match=r"ASGI_APPLICATION 'nowhere.asgi.application' cannot be imported"),
    ):
        load_application()


def test_without_an_asgi_application_the_project_is_served_with_hotclub_around_it() -> None:
    with override_settings(ASGI_APPLICATION=None):
        assert getattr(load_application(), "serves_hotclub", False)


# runserver

SETTINGS = """
from pathlib import Path
BASE = Path(__file__).parent
SECRET_KEY = "only for tests"
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
ROOT_URLCONF = "site_urls"
ASGI_APPLICATION = "site_asgi.application"
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE / "files"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "hotclub",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "APP_DIRS": True,
    "OPTIONS": {"context_processors": [
        "django.template.context_processors.request",
        "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]},
}]
HOTCLUB = {"ALLOW_ANONYMOUS": True}
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE / "db.sqlite3",
    "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL", "transaction_mode": "IMMEDIATE"}}}
"""
ASGI = """
from django.core.asgi import get_asgi_application
import hotclub.asgi
application = hotclub.asgi.application(get_asgi_application())
"""
URLS = """
from django.contrib import admin
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("", lambda request: HttpResponse("{answer}")), path("admin/", admin.site.urls)]
"""


class DevelopmentSite:
    """A project as `startproject` makes it, with `manage.py` run as `python -m django`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.log = directory / "runserver.log"
        (directory / "files").mkdir()
        (directory / "files" / "page.css").write_text("body { color: teal }")
        (directory / "site_settings.py").write_text(SETTINGS)
        (directory / "site_asgi.py").write_text(ASGI)
        self.write_answer("first")
        self.run("migrate", "-v", "0")

    def write_answer(self, answer: str) -> None:
        (self.directory / "site_urls.py").write_text(URLS.replace("{answer}", answer))

    def command(self, *arguments: str) -> dict[str, Any]:
        path = os.pathsep.join([str(self.directory), str(REPOSITORY / "src")])
        environment = {**os.environ, "PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": "site_settings"}
        return {"args": [sys.executable, "-m", "django", *arguments], "env": environment, "cwd": self.directory}

    def run(self, *arguments: str) -> str:
        done = subprocess.run(**self.command(*arguments), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        printed: str = done.stdout
        return printed

    @contextlib.contextmanager
    def runserver(self, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                **self.command("runserver", *options, f"127.0.0.1:{self.port}"),
                stdout=log,
                stderr=subprocess.STDOUT,
                # The autoreloader has a child: both are to get the Ctrl-C, as on a terminal.
                start_new_session=True,
            )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def get(self, path: str) -> str:
        """The body of the answer, or what went wrong."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except (OSError, urllib.error.URLError) as error:
            return repr(error)


@pytest.fixture
def site(tmp_path: Path) -> DevelopmentSite:
    return DevelopmentSite(tmp_path)


@pytest.mark.parametrize("options", [[], ["--noreload"]])
async def test_runserver_serves_pages_sockets_and_static_files(site: DevelopmentSite, options: list[str]) -> None:
    with site.runserver(*options) as process:
        await poll_until(lambda: site.get("/") == "first", "the page", timeout=30)
        assert site.get("/static/page.css") == "body { color: teal }"
        async with await WireClient.open(site.port) as page:
            assert "client" in await page.connect()
            os.killpg(process.pid, signal.SIGINT)
            assert await asyncio.to_thread(process.wait, 15) == 0
    log = site.log.read_text()
    assert f"Starting development server at http://127.0.0.1:{site.port}/" in log
    assert "Quit the server with CONTROL-C." in log
    assert "Traceback" not in log


async def test_runserver_reloads_although_sockets_are_open(site: DevelopmentSite) -> None:
    with site.runserver():
        await poll_until(lambda: site.get("/") == "first", "the page", timeout=30)
        async with await WireClient.open(site.port) as page:
            await page.connect()
            await save_until_reloaded(site, "second")
            await page.ended()


async def save_until_reloaded(site: DevelopmentSite, answer: str) -> None:
    """Save the file, and again as a developer would: Django's reloader misses a change before its first look."""
    for _ in range(5):
        site.write_answer(answer)
        with contextlib.suppress(TimeoutError):
            await poll_until(lambda: site.get("/") == answer, "the changed page", timeout=5)
            return
    raise AssertionError("the server was not reloaded")


def test_runserver_without_static_files_serves_the_application_itself(settings: Any) -> None:
    settings.DEBUG = True
    options = {"use_static_handler": True, "insecure_serving": False}
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "django.contrib.staticfiles"]
    assert type(RunserverCommand().get_handler(**options)).__name__ == "HotclubApplication"
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "django.contrib.staticfiles"]
    assert type(RunserverCommand().get_handler(**options)).__name__ == "ASGIStaticFilesHandler"
    assert type(RunserverCommand().get_handler(**{**options, "use_static_handler": False})).__name__ == (
        "HotclubApplication"
    )
    settings.DEBUG = False
    assert type(RunserverCommand().get_handler(**options)).__name__ == "HotclubApplication"


def test_runserver_on_a_taken_port_says_so(site: DevelopmentSite) -> None:
    with contextlib.closing(listen("127.0.0.1", site.port)), site.runserver("--noreload") as process:
        assert process.wait(30) == 1
    assert f"Error: Cannot listen on 127.0.0.1:{site.port}: Address already in use." in site.log.read_text()


# admin

LOOK = """
from django.contrib.auth.models import Permission, User
from django.test import Client
from msgspec import Raw
from hotclub.durable import sql
from hotclub.engine.broker.base import Message, Retention
from hotclub.models import Entry
sql.append("room:1", Message(data=Raw(b'{"text": "hello"}')), Retention())
root = User.objects.create_superuser("root", password="x")
clerk = User.objects.create_user("clerk", password="x", is_staff=True)
def look(user, *paths):
    client = Client()
    client.force_login(user)
    for path in paths:
        answer = client.get(path)
        print(user.username, path, answer.status_code, b"room:1" in answer.content)
entry = f"/admin/hotclub/entry/{Entry.objects.get().pk}"
paths = ["/admin/hotclub/stream/", "/admin/hotclub/entry/", f"{entry}/change/", f"{entry}/delete/"]
paths.append("/admin/hotclub/stream/add/")
look(root, *paths)
look(clerk, *paths[:2])
clerk.user_permissions.set(Permission.objects.filter(codename="view_stream"))
look(clerk, *paths[:2])
"""


def test_the_admin_pages_show_everything_and_change_nothing(site: DevelopmentSite) -> None:
    assert site.run("shell", "-v", "0", "-c", LOOK).splitlines() == [
        "root /admin/hotclub/stream/ 200 True",
        "root /admin/hotclub/entry/ 200 True",
        "root /admin/hotclub/entry/1/change/ 200 True",
        "root /admin/hotclub/entry/1/delete/ 403 False",
        "root /admin/hotclub/stream/add/ 403 False",
        "clerk /admin/hotclub/stream/ 403 False",
        "clerk /admin/hotclub/entry/ 403 False",
        "clerk /admin/hotclub/stream/ 200 True",
        "clerk /admin/hotclub/entry/ 403 False",
    ]
