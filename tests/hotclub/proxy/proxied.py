"""Channels behind the hooks of a stand-alone server, and how such a server asks them."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.test import AsyncClient

import hotclub
import hotclub.polls
from tests.hotclub.conftest import Person

SECRET: Final = "between the two of us alone"
LOG: Final = hotclub.History(size=10, ttl=timedelta(minutes=5))


class Room(hotclub.Channel):
    pattern = "room:<str:name>"
    history = LOG
    presence = True

    def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return name != "shut"

    def can_publish(self, client: hotclub.Client, name: str) -> bool:
        return not client.is_anonymous

    def on_subscribe(self, client: hotclub.Client, name: str) -> Any:
        return {"welcome": name}

    def channel_info(self, client: hotclub.Client, name: str) -> Any:
        return {"color": "red"}

    def on_publish(self, client: hotclub.Client, data: Any, name: str) -> Any:
        return None if data == "swallow" else {"said": data, "by": client.user.get_username()}

    def get_state(self, client: hotclub.Client, name: str) -> Any:
        return {"name": name}


class Board(hotclub.MapChannel):
    pattern = "board:<str:name>"

    def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return True

    def can_publish_key(self, client: hotclub.Client, key: str, name: str) -> bool:
        return key != "locked"

    def can_remove_key(self, client: hotclub.Client, key: str, name: str) -> bool:
        return True


class Prices(hotclub.SharedPollChannel):
    pattern = "prices:<str:name>"

    def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return True

    def poll(self, keys: Mapping[str, int], name: str) -> Any:
        return [hotclub.polls.Polled(key, {"was": version}, version=version + 1) for key, version in keys.items()]


@hotclub.rpc("add")
def add(client: hotclub.Client, a: int, b: int) -> Any:
    return {"sum": a + b, "user": client.user_id}


async def post(
    hook: str, body: Any, person: Person | None = None, *, secret: str = SECRET, under: str = "hooks"
) -> Any:
    """Ask one hook as the server does, with the cookie of whoever connects to it; the response."""
    server = AsyncClient(enforce_csrf_checks=True)
    if person is not None:
        server.cookies[settings.SESSION_COOKIE_NAME] = person.session_key
    headers = {"X-Hotclub-Secret": secret}
    return await server.post(f"/{under}/{hook}", body, content_type="application/json", headers=headers)
