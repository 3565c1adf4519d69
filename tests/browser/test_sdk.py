"""npm `centrifuge` 5.8.0, unchanged, in Chromium."""

from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, Page

from tests.support.browser import window
from tests.support.processes import PROJECT, REPOSITORY, Server
from tests.support.proxy import FaultProxy

SDK = REPOSITORY / "node_modules/centrifuge/dist/centrifuge.js"

_START = """
async (url) => {
  window.seen = [];
  window.client = new Centrifuge(url, { minReconnectDelay: 50, maxReconnectDelay: 200 });
  window.sub = client.newSubscription("memory:chromium");
  for (const name of ["subscribed", "publication", "join"]) {
    sub.on(name, (context) => seen.push({ name, context }));
  }
  sub.subscribe();
  client.connect();
  await sub.ready(5000);
}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server.serving(tmp_path_factory.mktemp("sdk"), PROJECT) as server:
        yield server


async def seen(page: Page, name: str, count: int) -> list[dict[str, object]]:
    """That many events of that name, waiting for them."""
    counting = "([name, count]) => seen.filter((event) => event.name === name).length >= count"
    await page.wait_for_function(counting, arg=[name, count], timeout=10_000)
    events: list[dict[str, object]] = await page.evaluate(
        "(name) => seen.filter((event) => event.name === name).map((event) => event.context)", name
    )
    return events


async def test_it_does_in_chromium_what_it_does_in_node(browser: Browser, project: Server) -> None:
    async with FaultProxy(project.port) as proxy, window(browser, f"http://127.0.0.1:{proxy.port}") as opened:
        opened.cut_off = True
        page = opened.page
        await opened.goto("/blank/")
        await page.add_script_tag(path=SDK)
        await page.evaluate(_START, f"ws://127.0.0.1:{proxy.port}/connection/websocket")
        await page.evaluate("sub.publish({ text: '你好' })")
        (publication,) = await seen(page, "publication", 1)
        assert publication["data"] == {"text": "你好"}
        assert (await page.evaluate("sub.history({ limit: 10 })"))["publications"][0]["data"] == {"text": "你好"}
        assert (await page.evaluate("sub.presenceStats()"))["numClients"] == 1
        assert len((await page.evaluate("sub.presence()"))["clients"]) == 1
        assert (await page.evaluate("client.rpc('slow', { seconds: 0 })"))["data"] == "done"
        assert await seen(page, "join", 1)
        assert proxy.cut() >= 1
        project.manage("hotclub_publish", "memory:chromium", '"missed"')
        again = (await seen(page, "subscribed", 2))[1]
        received = await seen(page, "publication", 2)
        assert again["recovered"] is True
        assert [context["data"] for context in received] == [{"text": "你好"}, "missed"]
