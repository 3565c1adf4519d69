"""Channels declared by a test, users with sessions, and SDK clients that are closed at the end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import centrifuge
import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.asgi import get_asgi_application
from django.test import Client as Browser

from hotclub.access.session import login_of, session_store
from hotclub.asgi import application
from hotclub.channels.registry import Declarations
from tests.support.server import live_server, websocket_url

Declare = Callable[..., None]


@pytest.fixture
def declare() -> Iterator[Declare]:
    """Make these channel classes and procedures the project's only ones."""
    config: Any = apps.get_app_config("hotclub")
    before = config.declarations

    def declare_all(*declared: Any) -> None:
        module = ModuleType("declared")
        vars(module).update({f"name_{number}": value for number, value in enumerate(declared)})
        config.declare(Declarations.collect([module]))

    yield declare_all
    config.declare(before)


@pytest.fixture
def hotclub_settings(settings: Any) -> Callable[..., None]:
    """Set keys of the HOTCLUB dictionary, as `override_settings` would."""

    def change(**keys: Any) -> None:
        settings.HOTCLUB = {**getattr(settings, "HOTCLUB", {}), **keys}

    return change


@dataclass
class Person:
    """A user, and the browser in which they are signed in."""

    user: Any
    browser: Browser

    @property
    def session_key(self) -> str:
        return self.browser.cookies[settings.SESSION_COOKIE_NAME].value

    @property
    def login_id(self) -> str:
        return login_of(session_store(self.session_key), self.session_key)

    @property
    def cookie(self) -> str:
        return f"{settings.SESSION_COOKIE_NAME}={self.session_key}"


def make_person(name: str = "django") -> Person:
    """A new user, signed in."""
    user = get_user_model()._default_manager.create_user(username=name, password="minor swing")
    return Person(user, sign_in(user))


def sign_in(user: Any) -> Browser:
    """Another browser of this user."""
    browser = Browser()
    browser.force_login(user)
    return browser


amake_person = sync_to_async(make_person)
asign_in = sync_to_async(sign_in)


@dataclass
class Watched(centrifuge.ClientEventHandler):  # type: ignore[misc]
    """An SDK client and what became of it."""

    sdk: Any = None
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    reconnecting: asyncio.Event = field(default_factory=asyncio.Event)
    gone: "asyncio.Future[tuple[int, str]]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    publications: "asyncio.Queue[tuple[str, Any]]" = field(default_factory=asyncio.Queue)
    connects: int = 0
    data: Any = None

    async def on_connected(self, ctx: Any) -> None:
        self.connects += 1
        self.data = ctx.data
        self.connected.set()

    async def on_connecting(self, ctx: Any) -> None:
        if self.connects:
            self.reconnecting.set()

    async def on_disconnected(self, ctx: Any) -> None:
        if not self.gone.done():
            self.gone.set_result((ctx.code, ctx.reason))

    async def on_publication(self, ctx: Any) -> None:
        self.publications.put_nowait((ctx.channel, ctx.pub.data))

    async def join(self, channel: str) -> Any:
        """Subscribe and wait until the server says yes; publications go to `self.publications`."""
        subscription = self.sdk.new_subscription(channel, events=_Events(channel, self.publications))
        await subscription.subscribe()
        await subscription.ready(timeout=5)
        return subscription


@dataclass
class _Events(centrifuge.SubscriptionEventHandler):  # type: ignore[misc]
    channel: str
    publications: "asyncio.Queue[tuple[str, Any]]"

    async def on_publication(self, ctx: Any) -> None:
        self.publications.put_nowait((self.channel, ctx.pub.data))


Connect = Callable[..., Awaitable[Watched]]


@dataclass
class Site:
    """The project, served; `open` connects an SDK client to it."""

    url: str
    clients: list[Watched] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def headers(self, person: Person | None = None) -> dict[str, str]:
        """What a browser of this person sends along, or a browser in which nobody is signed in."""
        return {"Origin": self.url, **({} if person is None else {"Cookie": person.cookie})}

    async def open(
        self, person: Person | None = None, *, cookie: str = "", wait: bool = True, **headers: str
    ) -> Watched:
        """Connect, signed in as that person; without waiting for the outcome if `wait` is False."""
        sent = {**self.headers(person), **({"Cookie": cookie} if cookie else {}), **headers}
        watched = Watched()
        watched.sdk = centrifuge.Client(websocket_url(self.url), events=watched, headers=sent)
        self.clients.append(watched)
        await watched.sdk.connect()
        if wait:
            async with asyncio.timeout(5):
                await watched.connected.wait()
        return watched


@pytest_asyncio.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[Site]]]:
    """Serve the project until the test ends; take what `live_server` takes."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(app: Any = None, **options: Any) -> Site:
            served = app or application(get_asgi_application())
            site = Site(await stack.enter_async_context(live_server(served, **options)))
            stack.push_async_callback(_close_all, site)
            return site

        yield start


async def _close_all(site: Site) -> None:
    for client in site.clients:
        await client.sdk.disconnect()
