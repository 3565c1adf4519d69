"""What the site's tests share: people, a front end that counts as built, and a running node."""

import asyncio
import importlib.util
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from django.core.asgi import get_asgi_application
from django.test import Client

import hotclub.asgi
from clubhouse.accounts.models import User
from clubhouse.ui import manifest

REPOSITORY = Path(__file__).parents[2]

_BUILD = """{
  "_shared.js": {"file": "assets/shared-0a1b2c3d.js", "css": ["assets/shared-0a1b2c3d.css"], "imports": ["_base.js"]},
  "_base.js": {"file": "assets/base-0a1b2c3d.js", "css": ["assets/base-0a1b2c3d.css"], "imports": ["_shared.js"]},
  "src/entries/shell.ts": {"file": "assets/shell-0a1b2c3d.js", "name": "shell", "isEntry": true,
                           "css": ["assets/shell-0a1b2c3d.css"], "imports": ["_shared.js"]},
  "src/entries/chat.ts": {"file": "assets/chat-0a1b2c3d.js", "name": "chat", "isEntry": true, "imports": ["_shared.js"]}
}"""


@pytest.fixture(autouse=True)
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build of the front end, so that pages do not depend on Node.js; returns its folder."""
    (tmp_path / "manifest.json").write_text(_BUILD, encoding="utf-8")
    monkeypatch.setattr(manifest, "DIRECTORY", tmp_path)
    return tmp_path


@pytest.fixture(scope="session", autouse=True)
def translations() -> None:
    """The catalogs, compiled as the build does it."""
    spec = importlib.util.spec_from_file_location("messages", REPOSITORY / "scripts" / "messages.py")
    assert spec is not None
    assert spec.loader is not None
    messages = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(messages)
    messages.compile_all(REPOSITORY)


@pytest.fixture
def make_user(db: None) -> Callable[..., User]:  # noqa: ARG001 - wanted for its effect
    """Makes people: `make_user("alice", display_name="Alice")`."""
    return lambda name, **fields: User.objects.create_user(name, password="minor swing", **fields)  # noqa: S106


@pytest.fixture
def sign_in() -> Callable[[User], Client]:
    """A browser in which this user is signed in."""

    def browser(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return browser


@pytest.fixture
def node(transactional_db: None) -> Iterator[None]:  # noqa: ARG001 - wanted for its effect
    """The site's live side, started and stopped as a server does it, in a thread of its own."""
    application = hotclub.asgi.application(cast("Any", get_asgi_application()))
    events: list[dict[str, Any]] = []
    started, stopping = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def receive() -> dict[str, Any]:
        if not events:
            return {"type": "lifespan.startup"}
        await stopping.wait()
        return {"type": "lifespan.shutdown"}

    async def send(event: Any) -> None:
        events.append(event)
        started.set()

    thread = threading.Thread(target=loop.run_until_complete, args=(application({"type": "lifespan"}, receive, send),))
    thread.start()
    assert started.wait(20)
    assert events[0]["type"] == "lifespan.startup.complete", events
    yield
    loop.call_soon_threadsafe(stopping.set)
    thread.join(20)
    loop.close()
    assert not thread.is_alive()
