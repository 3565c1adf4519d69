"""Messages that cannot be sent: each is shown with its reason, can be edited and deleted, and holds up no other."""

from uuid import uuid4

from playwright.async_api import Browser, Page, expect

from tests.browser.test_chat import in_room, live, say
from tests.support.browser import window
from tests.support.clubhouse import PASSWORD, Site
from tests.support.proxy import FaultProxy, Mode

_TYPE = """
(text) => {
  const box = document.querySelector("#composer-input");
  box.value = text;
  box.dispatchEvent(new Event("input", { bubbles: true }));
  box.focus();
}
"""
"""Types what no keyboard types, such as half an emoji."""

_STORE = """
async ([room, user, texts]) => {
  const opening = indexedDB.open("clubhouse", 1);
  const database = await new Promise((done) => (opening.onsuccess = () => done(opening.result)));
  const change = database.transaction("outbox", "readwrite");
  texts.forEach((text, index) => change.objectStore("outbox").put({
    id: `0190a000-0000-7000-8000-00000000000${index}`, room, user, text, created: new Date().toISOString(),
    state: "queued", attempts: 0, code: 0,
  }));
  await new Promise((done) => (change.oncomplete = done));
}
"""


async def sent(page: Page, text: str) -> None:
    await expect(page.locator(".msg", has_text=text).locator(".msg__mark--check")).to_be_visible()


async def signed_in(page: Page) -> None:
    """The page does not claim that the login has ended."""
    await expect(page.locator("hc-connection-bar")).to_have_attribute("data-state", "hidden", timeout=15_000)


async def test_half_an_emoji_is_refused_with_its_reason_and_holds_up_nothing(browser: Browser, site: Site) -> None:
    async with in_room(browser, site, "Alice", "Empty") as alice:
        page = alice.page
        alice.cut_off = True
        await page.set_viewport_size({"width": 360, "height": 740})
        await page.evaluate(_TYPE, "half an emoji \ud83d")
        await page.keyboard.press("Enter")
        refused = page.locator(".msg--failed")
        await expect(refused.locator(".msg__reason")).to_contain_text("a character that cannot be sent")
        await expect(page.locator("#announce-assertive")).to_contain_text("Not sent")
        await say(page, text := f"after it {uuid4()}")
        await sent(page, text)
        await signed_in(page)
        for _ in range(2):
            await page.reload()
            await live(page)
            await signed_in(page)
            await expect(refused).to_have_count(1)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await refused.get_by_role("button", name="Edit").focus()
        await page.keyboard.press("Enter")
        await expect(refused).to_have_count(0)
        await expect(page.locator("#composer-input")).to_be_focused()
        await page.keyboard.press("Backspace")
        await page.keyboard.type("and a half")
        await page.keyboard.press("Enter")
        await sent(page, "half an emoji and a half")
        await page.reload()
        await live(page)
        await expect(page.locator(".msg--failed")).to_have_count(0)


async def test_what_an_earlier_page_left_unsent_is_refused_one_by_one(browser: Browser, site: Site) -> None:
    async with in_room(browser, site, "Bob", "Empty") as bob:
        page = bob.page
        bob.cut_off = True
        fine = f"left from yesterday {uuid4()}"
        stored = [site.rooms["Empty"], site.people["Bob"].id, ["x" * 10_001, "\ud83d", fine]]
        await page.evaluate(_STORE, stored)
        await page.reload()
        await live(page)
        await sent(page, fine)
        reasons = page.locator(".msg--failed .msg__reason")
        await expect(reasons).to_have_count(2)
        await expect(reasons.first).to_have_text("Not sent: this message is too long.")
        await signed_in(page)
        for left in (1, 0):
            await page.locator(".msg--failed").first.get_by_role("button", name="Delete").click()
            await expect(reasons).to_have_count(left)
            await expect(page.locator("#composer-input")).to_be_focused()
        await page.reload()
        await live(page)
        await expect(page.locator(".msg--failed")).to_have_count(0)


async def test_what_waits_for_a_room_that_was_left_is_shown_and_never_sent(browser: Browser, site: Site) -> None:
    def change(action: str) -> None:
        site.server.shell(
            "from clubhouse.chat import services; from clubhouse.chat.models import Room; "
            "from clubhouse.accounts.models import User; "
            f"services.{action}(User.objects.get(username='frank'), Room.objects.get(name='Closed'))"
        )

    change("join_room")
    async with FaultProxy(site.server.port) as proxy, in_room(browser, site, "Frank", "Closed", proxy.port) as frank:
        page = frank.page
        frank.cut_off = True
        proxy.set_mode(Mode.REFUSE)
        proxy.cut()
        await say(page, text := f"too late {uuid4()}")
        await expect(page.locator(".msg", has_text=text)).to_contain_text("Will be sent when you are back online.")
        change("leave_room")
        proxy.set_mode(Mode.PASS)
        unsent = page.locator(".unsent .msg", has_text=text)
        await expect(unsent).to_contain_text("Not sent: you may not write here.", timeout=30_000)
        change("join_room")
        await page.reload()
        await live(page)
        await expect(page.locator(".msg--failed", has_text=text)).to_have_count(1)
        await page.locator(".msg--failed").get_by_role("button", name="Delete").click()
        await expect(page.locator(".msg", has_text=text)).to_have_count(0)
    change("leave_room")


async def test_what_is_written_after_a_logout_in_another_tab_waits_for_the_next_login(
    browser: Browser, site: Site
) -> None:
    async with window(browser, site.server.url) as bob:
        page = bob.page
        bob.cut_off = True

        async def log_in() -> None:
            await page.locator("input[name=username]").fill("bob")
            await page.locator("input[name=password]").fill(PASSWORD)
            await page.locator("input[name=password]").press("Enter")
            await live(page)

        room = f"/chat/{site.rooms['Lobby']}/"
        await bob.goto(f"/accounts/login/?next={room}")
        await log_in()
        other = await bob.context.new_page()
        await other.goto(f"{bob.url}/chat/")
        await other.locator("form[action$='/logout/']").evaluate("form => form.requestSubmit()")
        await other.wait_for_url("**/")
        await expect(page.locator("hc-connection-bar")).to_have_attribute("data-state", "signed-out")
        await say(page, text := f"still here {uuid4()}")
        waiting = page.locator(".msg", has_text=text)
        await expect(waiting).to_contain_text("Will be sent when you have logged in again.")
        await page.locator(".bar__action").click()
        await log_in()
        await sent(page, text)


async def test_a_room_that_is_deleted_says_so_at_once(browser: Browser, site: Site) -> None:
    start = "from clubhouse.chat import services; from clubhouse.chat.models import Room; "
    make = "from clubhouse.accounts.models import User; u = User.objects.get(username='frank'); "
    number = site.server.shell(f"{start}{make}print(services.create_room(u, 'Doomed').pk)").strip()
    async with window(browser, site.server.url, site.people["Frank"]) as frank:
        await frank.goto(f"/chat/{number}/")
        await live(frank.page)
        site.server.shell(f"{start}services.delete_room(Room.objects.get(name='Doomed'))")
        await expect(frank.page.locator(".empty__text")).to_have_text("This room was deleted.")
        frank.offences[:] = [text for text in frank.offences if "status of 404" not in text]
