"""One real site and one Chromium for all tests of this folder, which therefore share one event loop."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.support.browser import launch
from tests.support.clubhouse import Site, populate, prepare
from tests.support.processes import Server

ROOMS = ("Lobby", "Cut", "Empty", "Faults", "Typing", "Hostile", "Pictures", "Closed")
PEOPLE = ("Alice", "Bob", "Mallory", "Erin", "Frank")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await launch(playwright)
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = prepare(tmp_path_factory.mktemp("browser") / "site")
    server = Server(directory, environment={"CLUBHOUSE_CHAT_RATE": "off"})
    site = populate(server, people=PEOPLE, members=("Alice", "Bob"), rooms=ROOMS)
    server.shell(
        "from clubhouse.chat.models import Membership; Membership.objects.filter(room__name='Closed').delete()"
    )
    server.start_blocking()
    yield site
    if server.alive:
        server.stop()
