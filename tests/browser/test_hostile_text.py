"""reliability.md §4 D1 and D2: hostile text in every field of chat is shown as text, in a real browser."""

import json

from playwright.async_api import Browser, Page, expect

from tests.support.browser import window
from tests.support.clubhouse import Site, draft
from tests.support.wire import WireClient

PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe>",
    "<body onload=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    "<a href=javascript:alert(1)>click</a>",
    "<form action=javascript:alert(1)><button>click</button></form>",
    "<object data=javascript:alert(1)>",
    "<embed src=javascript:alert(1)>",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;url=//evil.example/'>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>@import '//evil.example/x.css';</style>",
    "<style>*{background:url(//evil.example/x)}</style>",
    "</script><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "--><script>alert(1)</script>",
    '"><script>alert(1)</script>',
    "' onmouseover=alert(1) x='",
    '" autofocus onfocus=alert(1) x="',
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<IMG SRC=JaVaScRiPt:alert(1)>",
    "<img src=`x` onerror=alert(1)>",
    "<img/src/onerror=alert(1)>",
    "<x onclick=alert(1)>click</x>",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "<template><script>alert(1)</script></template>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "\u202e<script>alert(1)</script>",
    "＜script＞alert(1)＜/script＞",
]  # fmt: skip

MARKDOWN = [
    "[click](javascript:alert(1))",
    "[click](JaVaScRiPt:alert(1))",
    "[click](java\tscript:alert(1))",
    "[click](javascript&colon;alert(1))",
    "[click](&#106;avascript:alert(1))",
    "[click](data:text/html,<script>alert(1)</script>)",
    "[click](vbscript:msgbox(1))",
    "[click](//evil.example/x)",
    "[click](<javascript:alert(1)>)",
    '[click](https://ok.example "onclick=alert(1)")',
    "[a[b](javascript:alert(1))](https://ok.example)",
    "![x](https://evil.example/x.png)",
    "![x](javascript:alert(1))",
    "<javascript:alert(1)>",
    "[x]: javascript:alert(1)\n\n[x]",
    "```<script>\nalert(1)\n```",
    "`<img src=x onerror=alert(1)>`",
    "<svg><style>*{}</style><img src=x onerror=alert(1)>",
]  # fmt: skip

_NAME_THEM = """
import json
from clubhouse.accounts.models import User
from clubhouse.accounts.names import BadName
from clubhouse.chat import services

texts = json.loads({texts!r})
bob = User.objects.get(username="bob")
rooms = [services.create_room(bob, f"{{text[:56]}} {{number}}", text) for number, text in enumerate(texts)]
refused = {{}}
for number, text in enumerate(texts):
    try:
        user = User.objects.create(username=f"x{{number}}", display_name=text[:50])
    except BadName as error:
        refused[text] = " ".join(error.messages)
    else:
        services.join_room(user, rooms[0])
print(json.dumps({{"rooms": [room.pk for room in rooms], "refused": refused}}))
"""


async def test_d1_d2_hostile_messages_are_only_text(browser: Browser, site: Site) -> None:
    """Stored and live, in the sender's window and in the other one."""
    alice, bob = site.people["Alice"], site.people["Bob"]
    room = f"/chat/{site.rooms['Hostile']}/"
    async with (
        window(browser, site.server.url, bob) as live,
        await WireClient.connected(site.server.port, headers=alice.headers(site.server.port)) as sender,
    ):
        await live.goto(room)
        await expect(live.page.locator("#composer-input")).to_be_visible()
        await sender.subscribe(site.channel("Hostile"))
        for text in [*PAYLOADS, *MARKDOWN]:
            await sender.publish(site.channel("Hostile"), draft(text))
        count = len(PAYLOADS) + len(MARKDOWN)
        await expect(live.page.locator(".msg")).to_have_count(count)
        await harmless(live.page)
        shown = await live.page.locator(".msg .msg__text").all_inner_texts()
        assert shown[0] == PAYLOADS[0]
        assert PAYLOADS[1] in shown
        await live.page.reload()
        await expect(live.page.locator(".msg").last).to_be_visible()
        await harmless(live.page)


async def test_d1_hostile_names_are_only_text(browser: Browser, site: Site) -> None:
    """Every payload as a display name, as a room's name and as its topic, on every page that shows them.

    A display name with characters that cannot be seen is refused with that reason, and so is one that looks like
    another.
    """
    made = json.loads(site.server.shell(_NAME_THEM.format(texts=json.dumps(PAYLOADS))))
    assert made["refused"] == {
        "\u202e<script>alert(1)</script>": "This name has characters that cannot be seen.",
        "＜script＞alert(1)＜/script＞": "This name is taken, or looks too much like somebody else’s.",
    }
    rooms = made["rooms"]
    async with window(browser, site.server.url, site.people["Bob"]) as bob:
        for path in ("/chat/", f"/chat/{rooms[0]}/", f"/chat/{rooms[1]}/"):
            await bob.goto(path)
            await expect(bob.page.locator(".site-header")).to_be_visible()
            await harmless(bob.page)
    async with window(browser, site.server.url, site.people["Mallory"]) as mallory:
        for path in ("/chat/", f"/chat/{rooms[2]}/"):
            await mallory.goto(path)
            await expect(mallory.page.locator(".site-header")).to_be_visible()
            await harmless(mallory.page)
        await mallory.goto("/accounts/settings/")
        for payload in PAYLOADS[:3]:
            await mallory.page.locator("[name=display_name]").fill(payload)
            await mallory.page.locator("main form").first.locator("button[type=submit]").click()
            await expect(mallory.page.locator("[name=display_name]")).to_have_value(payload)
            await harmless(mallory.page)


async def test_d1_hostile_addresses_lead_nowhere(browser: Browser, site: Site) -> None:
    async with window(browser, site.server.url) as visitor:
        for following in ("//evil.example/", "https://evil.example/", "javascript:alert(1)", "/\\evil.example"):
            await visitor.goto("/accounts/login/?next=" + following)
            await visitor.page.locator("[name=username]").fill("alice")
            await visitor.page.locator("[name=password]").fill("correct horse battery")
            await visitor.page.locator("main form button[type=submit]").click()
            await expect(visitor.page).to_have_url(f"{site.server.url}/chat/")
            await visitor.context.clear_cookies()


async def harmless(page: Page) -> None:
    """Nothing of the payloads became an element, an attribute or an address."""
    found = await page.evaluate(
        """() => {
          const bad = [];
          const room = document.querySelector("main");
          for (const node of room.querySelectorAll("*")) {
            const name = node.localName;
            if (["iframe", "object", "embed", "base", "meta", "link", "video", "math", "template"].includes(name)) {
              bad.push(name);
            }
            if (name === "script" && node.type !== "application/json") bad.push("script");
            if (name === "img" && !node.src.startsWith(location.origin)) bad.push(node.outerHTML);
            for (const { name: attribute, value } of node.attributes) {
              if (attribute.startsWith("on")) bad.push(`${name} ${attribute}`);
              if (["href", "src", "action", "formaction"].includes(attribute)) {
                const address = new URL(value, location.href);
                const here = address.origin === location.origin;
                const link = name === "a" && ["http:", "https:", "mailto:"].includes(address.protocol);
                if (!here && !link) bad.push(`${name} ${value}`);
                if (link && !here && !node.rel.includes("noopener")) bad.push(`rel of ${value}`);
              }
            }
          }
          return bad;
        }"""
    )
    assert found == []
