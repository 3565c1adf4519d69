"""docs/how-to/personal-channel.md in a real browser: its blocks, as they stand, on a page of a signed-in person."""

import json
from typing import Final

from playwright.async_api import Browser, Page

from tests.packaging.blocks import ROOT, blocks_of
from tests.support.browser import window
from tests.support.clubhouse import Site

PAGE: Final = ROOT / "docs" / "how-to" / "personal-channel.md"
RECEIVE, HISTORY = (block.text for block in blocks_of(PAGE, PAGE.read_text()) if block.language == "js")

IMPORT: Final = 'import { Centrifuge } from "centrifuge";\n'
CONNECT: Final = "client.connect();\n"
GIVEN: Final = "window.shown = []; const show = (data) => window.shown.push(data); const reload = () => {};\n"


async def run(page: Page, script: str) -> None:
    """Run a block on the page, beside the browser build of the SDK."""
    assert IMPORT in script
    await page.add_script_tag(path=ROOT / "node_modules" / "centrifuge" / "dist" / "centrifuge.js")
    await page.add_script_tag(content=GIVEN + script.replace(IMPORT, ""))


# The other tests write to Alice and Bob, whose personal channels keep what came.


async def test_what_is_sent_to_a_person_arrives_on_their_page_and_is_kept(browser: Browser, site: Site) -> None:
    erin = site.people["Erin"]
    message = {"type": "shipped", "order": 7}
    async with window(browser, site.server.url, erin, bypass_csp=True) as first:
        await first.goto("/chat/")
        await run(first.page, RECEIVE)
        await first.page.wait_for_function("client.state === 'connected'")
        site.server.manage("hotclub_publish", f"#{erin.id}", json.dumps(message))
        await first.page.wait_for_function("shown.length === 1")
        assert await first.page.evaluate("shown") == [message]
    async with window(browser, site.server.url, erin, bypass_csp=True) as second:
        await second.goto("/chat/")
        await run(second.page, RECEIVE.replace(CONNECT, "") + HISTORY + CONNECT)
        await second.page.wait_for_function("shown.length === 1")
        assert await second.page.evaluate("shown") == [message]


async def test_nobody_else_gets_it(browser: Browser, site: Site) -> None:
    async with window(browser, site.server.url, site.people["Frank"], bypass_csp=True) as frank:
        await frank.goto("/chat/")
        await run(frank.page, RECEIVE)
        await frank.page.wait_for_function("client.state === 'connected'")
        site.server.manage("hotclub_publish", f"#{site.people['Erin'].id}", '"for Erin"')
        site.server.manage("hotclub_publish", f"#{site.people['Frank'].id}", '"for Frank"')
        await frank.page.wait_for_function("shown.length === 1")
        assert await frank.page.evaluate("shown") == ["for Frank"]
