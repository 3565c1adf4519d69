"""Where the network lets no WebSocket through, people chat all the same."""

from contextlib import AsyncExitStack
from uuid import uuid4

import pytest
from playwright.async_api import Browser, expect

from tests.browser.test_chat import in_room, live, say
from tests.support.browser import Window, window
from tests.support.clubhouse import Site
from tests.support.middlebox import Middlebox, Sockets

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


async def test_a_socket_that_opens_and_stays_silent_is_left_once_for_all_pages(browser: Browser, site: Site) -> None:
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(Middlebox(site.server.port, sockets=Sockets.MUTE))
        url = f"http://127.0.0.1:{network.port}"
        opened = await stack.enter_async_context(window(browser, url, site.people["Alice"]))
        await opened.goto(f"/chat/{site.rooms['Lobby']}/")
        await expect(opened.page.locator("#composer-input")).to_be_visible()
        await say(opened.page, text := f"written before {uuid4()}")
        await live(opened.page, seconds=30)
        tick = opened.page.locator(".msg", has_text=text).locator(".msg__mark--check")
        await expect(tick).to_be_visible()
        silent = network.stopped.count(WEBSOCKET)
        await opened.page.reload()
        await live(opened.page)
        await expect(opened.page.locator(".msg__text", has_text=text)).to_be_visible()
        assert network.stopped.count(WEBSOCKET) == silent
        excuse_refusals(opened)


async def test_a_page_that_moves_to_a_network_without_sockets_misses_nothing(browser: Browser, site: Site) -> None:
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(Middlebox(site.server.port, sockets=Sockets.PASS))
        alice = await stack.enter_async_context(in_room(browser, site, "Alice", "Lobby", port=network.port))
        bob = await stack.enter_async_context(in_room(browser, site, "Bob", "Lobby"))
        assert STREAM not in network.passed
        network.sockets = Sockets.REFUSED
        network.cut()
        await expect(alice.page.locator("hc-connection-bar")).to_have_attribute("data-state", "offline")
        missed = [f"missed {uuid4()}" for _ in range(3)]
        for text in missed:
            await say(bob.page, text)
        for text in missed:
            await expect(alice.page.locator(".msg__text", has_text=text)).to_be_visible(timeout=20_000)
        assert STREAM in network.passed
        await say(alice.page, answer := f"by stream {uuid4()}")
        await expect(bob.page.locator(".msg__text", has_text=answer)).to_be_visible()
        shown = [text for text in await alice.page.locator(".msg .msg__text").all_inner_texts() if text in missed]
        assert shown == missed
        excuse_refusals(alice)
