"""A browser's own `EventSource` on the unidirectional SSE transport: it comes back by itself, and loses nothing."""

from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, Page

from tests.support.browser import window
from tests.support.processes import PROJECT, Server
from tests.support.proxy import FaultProxy

_LISTEN = """
(channel) => {
  window.seen = [];
  window.opened = 0;
  const request = encodeURIComponent(JSON.stringify({ subs: { [channel]: {} } }));
  window.source = new EventSource(`/connection/uni_sse?cf_connect=${request}`);
  source.onopen = () => { opened += 1; };
  source.onmessage = ({ data, lastEventId }) => {
    const push = JSON.parse(data);
    const replayed = push.connect?.subs?.[channel]?.publications ?? [];
    seen.push(...replayed.map((publication) => publication.data));
    if (push.pub !== undefined) {
      seen.push(push.pub.data);
    }
    window.lastEventId = lastEventId;
  };
}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server.serving(tmp_path_factory.mktemp("events"), PROJECT) as server:
        yield server


async def until(page: Page, expression: str) -> None:
    await page.wait_for_function(expression, timeout=15_000)


async def test_it_resumes_by_the_last_event_id(browser: Browser, project: Server) -> None:
    async with FaultProxy(project.port) as proxy, window(browser, f"http://127.0.0.1:{proxy.port}") as opened:
        opened.cut_off = True
        page = opened.page
        await opened.goto("/blank/")
        await page.evaluate(_LISTEN, "memory:events")
        await until(page, "() => opened === 1 && seen !== undefined")
        project.manage("hotclub_publish", "memory:events", '"first"')
        await until(page, "() => seen.length === 1")
        assert proxy.cut() >= 1
        for text in ("missed", "错过"):
            project.manage("hotclub_publish", "memory:events", f'"{text}"')
        await until(page, "() => opened === 2 && seen.length >= 3")
        project.manage("hotclub_publish", "memory:events", '"last"')
        await until(page, "() => seen.length >= 4")
        assert await page.evaluate("seen") == ["first", "missed", "错过", "last"]
        assert await page.evaluate("lastEventId")
        await page.evaluate("source.close()")
