"""Chromium windows that record errors, dialogs and foreign requests of a page."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Playwright, Request

from tests.support.clubhouse import Person
from tests.support.processes import REPOSITORY

AXE: Final = REPOSITORY / "node_modules/axe-core/axe.min.js"
SCREENSHOTS: Final = REPOSITORY / "screenshots"

_WATCH_POLICY: Final = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy violation: ${event.violatedDirective} ${event.blockedURI}`);
});
"""

_CUT_OFF: Final = ("ERR_CONNECTION_RE", "ERR_EMPTY_RESPONSE", "WebSocket connection to", "ERR_SOCKET_NOT_CONNECTED")
"""Parts of the browser's own messages about a missing server."""


async def launch(playwright: Playwright) -> Browser:
    """Start the machine's own Chromium if there is one, or else Playwright's."""
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    return await playwright.chromium.launch(executable_path=executable, args=arguments)


@dataclass
class Window:
    """One browser context with one page. `offences` collects errors, warnings, dialogs and foreign requests."""

    context: BrowserContext
    page: Page
    url: str
    cut_off: bool = False
    """The test stops the server, so the browser's messages about a missing server are no offences."""
    offences: list[str] = field(default_factory=list)

    async def goto(self, path: str) -> None:
        response = await self.page.goto(self.url + path)
        assert response is not None
        assert response.status < 500, f"{path} answered {response.status}"

    def check(self) -> None:
        """Raise AssertionError when the page has committed an offence."""
        offences = [text for text in self.offences if not (self.cut_off and any(part in text for part in _CUT_OFF))]
        assert offences == []

    def watch(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.offences.append(f"uncaught: {error}"))
        page.on("dialog", self._dialog)
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.offences.append(f"console: {message.text} {message.location.get('url', '')}")

    async def _dialog(self, dialog: Dialog) -> None:
        self.offences.append(f"dialog: {dialog.message}")
        await dialog.dismiss()

    def _request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob") and address.hostname != "127.0.0.1":
            self.offences.append(f"foreign request: {request.url}")


@asynccontextmanager
async def window(browser: Browser, url: str, person: Person | None = None, **options: Any) -> AsyncIterator[Window]:
    """A new window, signed in as this person. The block ends with `check`."""
    context = await browser.new_context(**{"viewport": {"width": 1280, "height": 800}, "locale": "en-US", **options})
    try:
        if person is not None:
            await context.add_cookies([{"name": "sessionid", "value": person.session, "url": url}])
        await context.add_init_script(_WATCH_POLICY)
        made = Window(context, await context.new_page(), url)
        made.watch(made.page)
        yield made
        made.check()
    finally:
        await context.close()


async def accessibility(page: Page, axe: str) -> list[str]:
    """The violations that axe finds on the current page: the rule, its help and the elements."""
    await page.evaluate(axe)
    found = await page.evaluate(
        "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})"
    )
    return [
        f"{violation['id']}: {violation['help']}: {[node['target'] for node in violation['nodes']]}"
        for violation in found["violations"]
    ]


def screenshot_path(*parts: str) -> Path:
    """The path of a screenshot, in a folder that git ignores."""
    SCREENSHOTS.mkdir(exist_ok=True)
    return SCREENSHOTS / ("-".join(parts) + ".png")
