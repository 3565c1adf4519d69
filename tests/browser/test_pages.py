"""Every page in both themes, both languages and both widths: looked at by axe, and photographed for a person."""

import re
from typing import Final, Literal

import pytest
from playwright.async_api import Browser, Page, expect

from tests.support.browser import AXE, accessibility, screenshot_path, window
from tests.support.clubhouse import Site, draft
from tests.support.wire import WireClient

THEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
LANGUAGES = {"en": "en", "zh-hans": "zh-Hans-CN"}
WIDTHS = (1280, 360)

_HAN: Final = re.compile("[\u4e00-\u9fff]")

_STILL: Final = """
async () => {
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const ending = document.getAnimations().filter((one) => one.effect.getComputedTiming().endTime !== Infinity);
  await Promise.allSettled(ending.map((one) => one.finished));
}
"""
"""Colours on their way from one theme to the other are neither."""

VISITOR_PAGES = {"home": "/", "login": "/accounts/login/", "signup": "/accounts/signup/", "404": "/no/such/page/"}
MEMBER_PAGES = {
    "home-in": "/",
    "rooms": "/chat/",
    "create": "/chat/new/",
    "room": "/chat/{Pictures}/",
    "room-empty": "/chat/{Empty}/",
    "join": "/chat/{Closed}/",
    "people": "/chat/{Pictures}/people/",
    "settings": "/accounts/settings/",
}


@pytest.fixture(scope="session")
def axe() -> str:
    return AXE.read_text(encoding="utf-8")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.timeout(300)
async def test_every_page(browser: Browser, site: Site, axe: str, language: str) -> None:
    """Each page is loaded once; the theme follows the device and the width is the window's, as for a person."""
    await fill_room(site)
    found: list[str] = []
    for person, pages in ((None, VISITOR_PAGES), ("Alice", MEMBER_PAGES)):
        who = site.people[person] if person else None
        async with window(browser, site.server.url, who, reduced_motion="reduce") as opened:
            await opened.context.add_cookies(
                [{"name": "clubhouse_language", "value": language, "url": site.server.url}]
            )
            for name, path in pages.items():
                await opened.page.goto(site.server.url + path.format(**site.rooms))
                await settled(opened.page)
                await speaks(opened.page, language)
                found += await looked_at(opened.page, axe, name, language)
            opened.offences = [text for text in opened.offences if "404 (Not Found)" not in text]
    assert found == []


async def speaks(page: Page, language: str) -> None:
    """The page says which language it is in, and it is: what the server wrote and what the islands wrote."""
    assert await page.locator("html").get_attribute("lang") == LANGUAGES[language]
    for own_words in (".site-nav__link", ".composer__hint"):
        for text in await page.locator(own_words).all_inner_texts():
            assert bool(_HAN.search(text)) is (language == "zh-hans"), text


async def looked_at(page: Page, axe: str, name: str, language: str) -> list[str]:
    found: list[str] = []
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 800})
        for theme in THEMES:
            await page.emulate_media(color_scheme=theme)
            await page.evaluate(_STILL)
            where = f"{name} {theme} {language} {width}"
            found += [f"{where}: {problem}" for problem in await accessibility(page, axe)]
            beyond = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            if beyond > 0:
                found.append(f"{where}: {beyond} px wider than the screen")
            await page.screenshot(path=screenshot_path(name, theme, language, str(width)))
    return found


async def fill_room(site: Site) -> None:
    """Something to look at, once."""
    alice, bob = (site.people[name] for name in ("Alice", "Bob"))
    channel, port = site.channel("Pictures"), site.server.port
    async with (
        await WireClient.connected(port, headers=alice.headers(port)) as first,
        await WireClient.connected(port, headers=bob.headers(port)) as second,
    ):
        if (await first.subscribe(channel))["offset"] > 2:
            return
        await second.subscribe(channel)
        await first.publish(channel, draft("Shall we meet **tomorrow** at 10? 明天十点见面吗？"))
        await second.publish(channel, draft("Yes! I bring:\n\n- coffee\n- `notes.txt`\n- https://example.com/agenda"))
        await second.publish(channel, draft("> at 10?\n\nIs 10:30 fine as well?"))
        await first.publish(channel, draft("好的 👍"))


async def settled(page: Page) -> None:
    """Everything is loaded, and the islands have taken over."""
    await page.wait_for_load_state("networkidle")
    if await page.locator("hc-room").count():
        await expect(page.locator("hc-room #composer-input")).to_be_visible()
        await expect(page.locator(".people-toggle")).to_be_attached()
    await page.evaluate("document.fonts.ready.then(() => true)")
