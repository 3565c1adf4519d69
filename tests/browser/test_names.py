"""Who somebody is: the user name can be read wherever another display name stands, on a phone too."""

from playwright.async_api import Browser, expect

from tests.browser.test_chat import in_room
from tests.support.clubhouse import Site

_POSER = """
from uuid import uuid4
from clubhouse.accounts.models import User
from clubhouse.chat import services
user, _ = User.objects.get_or_create(username="zoe", defaults={{"display_name": "The admin"}})
services.join_room(user, services.Room.objects.get(pk={room}))
services.post_message({room}, user, uuid4(), "send me your password")
"""


async def test_a_phone_shows_the_user_name_beside_a_display_name(browser: Browser, site: Site) -> None:
    async with in_room(browser, site, "Alice", "Lobby") as alice:
        await alice.page.set_viewport_size({"width": 360, "height": 640})
        site.server.shell(_POSER.format(room=site.rooms["Lobby"]))
        message = alice.page.locator(".msg", has_text="send me your password")
        await expect(message.locator(".username")).to_have_text("@zoe")
        await expect(message.locator(".username")).to_be_visible()
        await alice.page.locator(".people-toggle").click()
        await expect(alice.page.locator(".person", has_text="The admin").locator(".username")).to_be_visible()
        await expect(alice.page.locator(".person", has_text="Alice").locator(".username")).to_have_count(0)
        await expect(alice.page.locator("body")).to_have_js_property("scrollWidth", 360)
