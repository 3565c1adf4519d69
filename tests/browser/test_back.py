"""After a log-out the browser shows nothing private any more, not even with its Back button."""

import pytest
from playwright.async_api import Browser, expect

from tests.support.browser import window
from tests.support.clubhouse import PASSWORD, Site


@pytest.mark.parametrize("path", ["/chat/{Lobby}/", "/accounts/settings/"])
async def test_back_after_a_logout_leads_to_the_login_page(browser: Browser, site: Site, path: str) -> None:
    async with window(browser, site.server.url) as opened:
        page = opened.page
        opened.cut_off = True
        private = path.format(**site.rooms)
        await opened.goto(f"/accounts/login/?next={private}")
        await page.locator("input[name=username]").fill("bob")
        await page.locator("input[name=password]").fill(PASSWORD)
        await page.locator("input[name=password]").press("Enter")
        await page.wait_for_url(f"**{private}")
        await page.locator("form[action$='/logout/']").evaluate("form => form.requestSubmit()")
        await page.wait_for_url(opened.url + "/")
        await page.go_back()
        await expect(page.locator("input[name=password]")).to_have_count(1)
        await expect(page.locator("body")).to_have_attribute("data-user", "")
