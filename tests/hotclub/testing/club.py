"""The channels that the tests of the test client talk to."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import ModuleType
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import transaction

import hotclub
from hotclub import Channel, Client, History, MapChannel, Refused, rpc
from hotclub.channels.registry import Declarations


class Room(Channel):
    """Ephemeral, with presence."""

    pattern = "room:<int:room_id>"
    presence = True

    def can_subscribe(self, client: Client, room_id: int) -> bool:
        return room_id != 13

    def on_publish(self, client: Client, data: Any, room_id: int) -> Any:
        if data == "rude":
            raise Refused(400, "mind your manners")
        return {"user": client.user.get_username(), "text": data}


class Log(Channel):
    """Kept in memory."""

    pattern = "log:<slug:name>"
    history = History(size=10, ttl=timedelta(minutes=1))

    def can_subscribe(self, client: Client, name: str) -> bool:
        return True

    async def on_publish(self, client: Client, data: Any, name: str) -> Any:
        await asyncio.sleep(0)
        return data


class Ledger(Channel):
    """Kept in the database, by members whom the hooks look up there."""

    pattern = "ledger:<int:number>"
    history = History(size=10, ttl=timedelta(days=1), durable=True)

    def can_subscribe(self, client: Client, number: int) -> bool:
        return get_user_model()._default_manager.filter(pk=client.user.pk).exists()

    def on_publish(self, client: Client, data: Any, number: int) -> Any:
        with transaction.atomic():
            hotclub.publish("log:ledgers", {"number": number})
        return data


class Board(MapChannel):
    """Keys and values, persistent."""

    pattern = "board:<slug:name>"
    history = History(size=10, ttl=timedelta(minutes=1))

    def can_subscribe(self, client: Client, name: str) -> bool:
        return True

    def on_publish(self, client: Client, data: Any, key: str, name: str) -> Any:
        return {"by": client.user.get_username(), "is": data}

    def can_remove_key(self, client: Client, key: str, name: str) -> bool:
        return key != "kept"


@rpc("count_users")
async def count_users(client: Client, starting: str = "") -> int:
    """Asks the database from async code."""
    return await get_user_model()._default_manager.filter(username__startswith=starting).acount()


@rpc("add")
def add(client: Client, left: int, right: int) -> int:
    return left + right


@contextmanager
def declared() -> Iterator[None]:
    """These are the project's channels."""
    config: Any = apps.get_app_config("hotclub")
    before = config.declarations
    module = ModuleType("declared")
    vars(module).update({"Room": Room, "Log": Log, "Ledger": Ledger, "Board": Board, "count": count_users, "add": add})
    config.declare(Declarations.collect([module]))
    try:
        yield
    finally:
        config.declare(before)


def make_user(name: str = "django") -> Any:
    return get_user_model()._default_manager.create_user(username=name, password="minor swing")
