"""Where the network lets no WebSocket through, people chat all the same."""

from contextlib import AsyncExitStack
from uuid import uuid4

import pytest
from playwright.async_api import Browser, expect

from tests.browser.test_chat import in_room, say
from tests.support.browser import Window
from tests.support.clubhouse import Site
from tests.support.middlebox import Middlebox

WEBSOCKET, STREAM, SSE = "/connection/websocket", "/connection/http_stream", "/connection/sse"


def excuse_refusals(opened: Window) -> None:
    """What the browser itself says of a request that the network has refused."""
    opened.offences[:] = [text for text in opened.offences if WEBSOCKET not in text and "status of 403" not in text]


@pytest.mark.parametrize(("refused", "way"), [((), STREAM), ((STREAM,), SSE)], ids=["http_stream", "sse"])
async def test_two_people_chat_without_websockets(
    browser: Browser, site: Site, refused: tuple[str, ...], way: str
) -> None:
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(Middlebox(site.server.port, refused))
        windows = [
            await stack.enter_async_context(in_room(browser, site, person, "Lobby", port=network.port))
            for person in ("Alice", "Bob")
        ]
        alice, bob = windows
        for speaker, listener in ((alice, bob), (bob, alice)):
            text = f"without sockets {uuid4()}"
            await say(speaker.page, text)
            await expect(listener.page.locator(".msg__text", has_text=text)).to_be_visible()
            tick = speaker.page.locator(".msg", has_text=text).locator(".msg__mark--check")
            await expect(tick).to_be_visible()
        assert network.passed.count(way) == len(windows)
        assert "/emulation" in network.passed
        assert [path for path in network.stopped if path == WEBSOCKET] == [WEBSOCKET] * len(windows)
        for opened in windows:
            excuse_refusals(opened)
