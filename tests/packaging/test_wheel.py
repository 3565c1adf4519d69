"""The distribution, installed into an empty environment, does what docs/tutorial.md says: word for word."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from centrifuge import Client, PublicationContext, SubscriptionEventHandler
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.packaging.server import clean_environment, free_port, running
from tests.packaging.tutorial import Step, Terminal, steps

ROOT = Path(__file__).parents[2]
STEPS = steps(ROOT / "docs" / "tutorial.md")
PEOPLE = {"alice": "nuages-1940", "bob": "djangology-1949"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution as an installer would build it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


@dataclass(frozen=True)
class Project:
    """A reader's project after the tutorial's first three sections."""

    folder: Path
    environment: dict[str, str]
    publish: str
    """The block that publishes from a second terminal."""
    python: str
    """The block that publishes from code."""
    servers: dict[str, str]
    """Name of the management command → the block that starts it."""

    def type(self, block: str) -> str:
        with Terminal(self.folder, self.environment) as terminal:
            return terminal.type(block)


@pytest.fixture(scope="module")
def project(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    first_server = next(number for number, step in enumerate(STEPS) if step.stays)
    later = STEPS[first_server:]
    with Terminal(tmp_path_factory.mktemp("tutorial"), clean_environment()) as terminal:
        for step in STEPS[:first_server]:
            follow(step, terminal, wheel)
        return Project(
            folder=terminal.where(),
            environment=clean_environment(PATH=terminal.path()),
            publish=next(step.text for step in later if step.language == "sh" and not step.stays),
            python=next(step.text for step in later if step.language == "python"),
            servers={step.text.split()[2]: step.text.strip() for step in later if step.stays},
        )


def follow(step: Step, terminal: Terminal, wheel: Path) -> None:
    """Do what a block says; the only liberty is to install the file instead of a release."""
    if not step.path:
        terminal.type(step.text.replace("pip install django-hotclub", f"pip install --quiet {wheel}"))
        return
    step.write(terminal.where())


def test_the_wheel_holds_what_users_need_and_no_more(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for needed in (
        r"hotclub/py\.typed",
        r"hotclub/migrations/0001_initial\.py",
        r"clubhouse/ui/static/clubhouse/dist/manifest\.json",
        r"clubhouse/ui/static/clubhouse/dist/licenses\.md",
        r"clubhouse/ui/static/clubhouse/dist/assets/chat-[^/]+\.js",
        r"clubhouse/(.+/)?locale/zh_Hans/LC_MESSAGES/django\.mo",
        r"django_hotclub-.+\.dist-info/licenses/LICENSE",
    ):
        assert any(re.fullmatch(needed, name) for name in names), needed
    assert [name for name in names if re.search(r"/tests/|\.ts$|\.map$", name)] == []
    assert {name.split("/")[0].split("-")[0] for name in names} == {"hotclub", "clubhouse", "django_hotclub"}


def test_every_block_of_the_tutorial_is_followed() -> None:
    assert len(STEPS) == (ROOT / "docs" / "tutorial.md").read_text().count("\n```\n")
    assert [step.text.split()[2] for step in STEPS if step.stays] == ["runserver", "hotclub_serve"]


def test_the_finished_project_gives_django_nothing_to_complain_about(project: Project) -> None:
    assert "no issues" in project.type("python manage.py check --fail-level WARNING")


async def test_a_publish_from_another_process_reaches_a_real_client(project: Project) -> None:
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    command = [*project.servers["hotclub_serve"].split(), "--host", "127.0.0.1", "--port", str(port)]
    with running(command, project.folder, project.environment) as server:
        server.wait_for_answer(f"{base}/login/", seconds=30)
        inbox = Inbox()
        client = Client(
            f"ws://127.0.0.1:{port}/connection/websocket",
            headers={"Cookie": sign_in(base), "Origin": base},
            proxy=None,
        )
        subscription = client.new_subscription("chat:lobby", inbox)
        await client.connect()
        await subscription.subscribe()
        await asyncio.wait_for(subscription.ready(), timeout=10)
        await asyncio.to_thread(project.type, project.publish)
        assert await inbox.next() == {"user": "terminal", "text": "hello from the shell"}
        shell = f"python manage.py shell -c '{project.python}'"
        await asyncio.to_thread(project.type, shell)
        assert await inbox.next() == {"user": "robot", "text": "the build is green"}
        await subscription.publish({"text": "hello from Python"})
        assert await inbox.next() == {"user": "alice", "text": "hello from Python"}
        await client.disconnect()
        assert server.interrupt() == 0
    assert "Traceback" not in server.printed


@pytest.mark.browser
async def test_two_people_chat_and_their_windows_survive_a_restart(project: Project) -> None:
    port = free_port()
    command = [*project.servers["runserver"].split(), f"127.0.0.1:{port}"]
    url = f"http://127.0.0.1:{port}/"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=browser_arguments())
        with running(command, project.folder, project.environment) as server:
            server.wait_for_answer(url, seconds=30)
            windows = [await signed_in_window(browser, url, name) for name in PEOPLE]
            alice, bob = windows
            await say(alice, "Nuages")
            await expect(bob.locator("li").last).to_have_text("alice: Nuages")
            await say(bob, "Minor Swing")
            for window in windows:
                await expect(window.locator("li").last).to_have_text("bob: Minor Swing")
            server.interrupt()
        for window in windows:
            await expect(window.locator("#status")).to_have_text("connecting")
        with running(command, project.folder, project.environment) as server:
            server.wait_for_answer(url, seconds=30)
            for window in windows:
                await expect(window.locator("#status")).to_have_text("connected", timeout=30_000)
            await say(alice, "Djangology")
            for window in windows:
                await expect(window.locator("li").last).to_have_text("alice: Djangology")
                lines = await window.locator("li").all_inner_texts()
                assert len(lines) == len(set(lines)), lines
        await browser.close()


@pytest.mark.browser
async def test_a_page_is_loaded_anew_under_the_server_for_visitors(project: Project) -> None:
    port = free_port()
    command = [*project.servers["hotclub_serve"].split(), "--port", str(port)]
    url = f"http://127.0.0.1:{port}/"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=browser_arguments())
        with running(command, project.folder, project.environment) as server:
            server.wait_for_answer(url, seconds=30)
            bob = await signed_in_window(browser, url, "bob")
            await say(bob, "Anouman")
            await expect(bob.locator("li").last).to_have_text("bob: Anouman")
            await bob.reload()
            await expect(bob.locator("#status")).to_have_text("connected")
            await expect(bob.locator("li").last).to_have_text("bob: Anouman")
        await browser.close()


class Inbox(SubscriptionEventHandler):  # type: ignore[misc]
    """What a subscription was sent."""

    def __init__(self) -> None:
        self._arrived: asyncio.Queue[object] = asyncio.Queue()

    async def on_publication(self, ctx: PublicationContext) -> None:
        self._arrived.put_nowait(ctx.pub.data)

    async def next(self) -> object:
        """The next publication's data; at most 10 seconds are waited for it."""
        return await asyncio.wait_for(self._arrived.get(), timeout=10)


def sign_in(base: str) -> str:
    """Sign in as the tutorial's first user, and the Cookie header that proves it."""
    with httpx.Client(base_url=base, trust_env=False) as http:
        http.get("/login/")
        form = {"username": "alice", "password": PEOPLE["alice"], "csrfmiddlewaretoken": http.cookies["csrftoken"]}
        answer = http.post("/login/?next=/", data=form)
        assert answer.status_code == 302, answer.text
        return f"sessionid={http.cookies['sessionid']}"


async def signed_in_window(browser: Browser, url: str, name: str) -> Page:
    """The page in a window of that person's own, connected."""
    context = await browser.new_context()
    window = await context.new_page()
    await window.goto(url)
    await window.fill("#id_username", name)
    await window.fill("#id_password", PEOPLE[name])
    await window.click("button")
    await expect(window.locator("#status")).to_have_text("connected")
    return window


async def say(window: Page, text: str) -> None:
    await window.fill("#text", text)
    await window.press("#text", "Enter")


def browser_arguments() -> list[str]:
    # The kernel denies a sandbox to root, and containers have little shared memory.
    return ["--no-sandbox", "--disable-dev-shm-usage"] if os.geteuid() == 0 else []
