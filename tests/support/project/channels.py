"""One channel class for each delivery class, and hooks that take their time in the database."""

import asyncio
import contextlib
import logging
import sqlite3
import time
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection

from hotclub import Channel, Client, History, Position, publish, rpc


def pause(seconds: float) -> None:
    """A query that takes that long, in the database that the project has."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            connection.connection.create_function("pause", 1, time.sleep)
            cursor.execute("SELECT pause(%s)", [seconds])
        else:
            cursor.execute("SELECT pg_sleep(%s)", [seconds])


class DurableChannel(Channel):
    pattern = "durable:<slug:name>"
    history = History(size=1_000, ttl=timedelta(days=1), durable=True)

    def can_subscribe(self, client: Client, name: str) -> bool:
        return True

    def on_publish(self, client: Client, data: Any, name: str) -> Position | None:
        return publish(f"durable:{name}", data, idempotency_key=data["id"])


class MemoryChannel(Channel):
    pattern = "memory:<slug:name>"
    history = History(size=1_000, ttl=timedelta(minutes=10))
    presence = True

    def can_subscribe(self, client: Client, name: str) -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            return bool(cursor.fetchone())

    def on_publish(self, client: Client, data: Any, name: str) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return data


class EphemeralChannel(Channel):
    pattern = "ephemeral:<slug:name>"

    async def can_subscribe(self, client: Client, name: str) -> bool:
        return True

    async def on_publish(self, client: Client, data: Any, name: str) -> Any:
        return data


class OpenChannel(Channel):
    """Members publish what they like; no hook looks at it."""

    pattern = "open:<slug:name>"
    history = History(size=10, ttl=timedelta(minutes=10))
    presence = True

    async def can_subscribe(self, client: Client, name: str) -> bool:
        return True

    async def can_publish(self, client: Client, name: str) -> bool:
        return True


class FailingChannel(Channel):
    """Nobody gets in, by mistake."""

    pattern = "failing:<slug:name>"

    async def can_subscribe(self, client: Client, name: str) -> bool:
        raise RuntimeError("a bug")


class SlowChannel(Channel):
    """Every one of its hooks takes 1.5 seconds."""

    pattern = "slow:<slug:name>"

    def can_subscribe(self, client: Client, name: str) -> bool:
        pause(1.5)
        return True

    def on_publish(self, client: Client, data: Any, name: str) -> Any:
        pause(1.5)
        return data


@rpc("slow")
def slow(client: Client, seconds: float) -> str:
    pause(seconds)
    return "done"


@rpc("hang")
def hang(client: Client) -> None:
    time.sleep(3_600)


@rpc("stubborn")
async def stubborn(client: Client) -> None:
    """Ignores its cancellation."""
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3_600)


@rpc("thread")
async def thread(client: Client) -> None:
    """Waits for a thread of the event loop, which the end of the loop waits for as well."""
    await asyncio.to_thread(time.sleep, 3_600)


@rpc("block")
async def block(client: Client) -> None:
    """Blocks the event loop."""
    time.sleep(3_600)  # noqa: ASYNC251 - that is the fault


@rpc("write")
def write(client: Client) -> None:
    """Waits for the database's lock while somebody else has it."""
    get_user_model().objects.create(username=client.id)


@rpc("locked")
async def locked(client: Client) -> None:
    """Blocks the event loop within the driver of the database, which sees no signal."""
    with contextlib.closing(sqlite3.connect(connection.settings_dict["NAME"], timeout=3_600)) as opened:
        logging.getLogger("project").warning("the loop waits for the lock")
        opened.execute("BEGIN IMMEDIATE")


@rpc("fail")
def fail(client: Client) -> None:
    raise RuntimeError("a bug")
