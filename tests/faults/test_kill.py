"""The server is killed while people write: nothing that was acknowledged is lost, nothing is doubled by a retry, and
every subscriber sees everything once and in order (G1, G3, G4, G5, G7, G8)."""

import asyncio
import json
import logging
import os
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.support.chaos import Publisher, Recorder, Subscriber, Talk, chat_talk, stored_messages
from tests.support.checker import Delivered, Ended, Fault, Needs, Resumed, Verdict, check
from tests.support.clubhouse import Site, populate
from tests.support.npm import NpmClient
from tests.support.postgres import Cluster
from tests.support.processes import Server
from tests.support.pypi import PypiClient

logger = logging.getLogger(__name__)

PEOPLE = ("Ann", "Bob", "Cy", "Dee", "Eve", "Fay")
WRITERS = PEOPLE[:4]
READERS = PEOPLE[4:]


def new_seed() -> int:
    return int(os.environ.get("FAULT_SEED") or random.SystemRandom().randrange(10**9))


@pytest.mark.timeout(180)
async def test_twenty_kills_lose_nothing_and_double_nothing(clubhouse_dir: Path) -> None:
    await run_kills(clubhouse_dir, kills=20, seed=new_seed())


@pytest.mark.soak
@pytest.mark.timeout(7_200)
async def test_many_kills_lose_nothing_and_double_nothing(clubhouse_dir: Path) -> None:
    await run_kills(clubhouse_dir, kills=int(os.environ.get("SOAK_KILLS", "400")), seed=new_seed())


@pytest.mark.soak
@pytest.mark.timeout(7_200)
async def test_many_kills_with_postgresql(clubhouse_dir: Path, cluster: Cluster) -> None:
    database = {"CLUBHOUSE_DATABASE_URL": cluster.create()}
    Server(clubhouse_dir, environment=database).manage("migrate", "-v", "0")
    await run_kills(
        clubhouse_dir,
        kills=int(os.environ.get("SOAK_KILLS", "400")),
        seed=new_seed(),
        database=database,
    )


async def run_kills(directory: Path, *, kills: int, seed: int, database: dict[str, str] | None = None) -> None:
    logger.info("FAULT_SEED=%s", seed)
    server = Server(directory, environment={"CLUBHOUSE_CHAT_RATE": "off", **(database or {})})
    site = populate(server, people=PEOPLE)
    talk = chat_talk(site.channel("Lobby"))
    record: Recorder = []
    async with server, AsyncExitStack() as stack:
        readers = [
            await stack.enter_async_context(
                reading(Subscriber(name, server.port, site.people[name].headers(server.port), talk, record))
            )
            for name in READERS
        ]
        npm = await stack.enter_async_context(npm_reader(site, talk))
        pypi = await stack.enter_async_context(pypi_reader(site, talk))
        writers = [Publisher(server.port, site.people[name].headers(server.port), talk, record) for name in WRITERS]
        await under_load(writers, server, kills, random.Random(seed), record)
        marker = str(uuid4())
        last = Publisher(server.port, site.people["Ann"].headers(server.port), talk, record)
        await last.say(marker)
        last.close()
        await asyncio.gather(*(reader.until_end(marker, timeout=30) for reader in readers))
        await npm.until(lambda: marker in npm_ids(npm, talk), timeout=30)
        await pypi.until(lambda: marker in pypi_ids(pypi, talk), timeout=30)
        record += [*npm_history(npm, talk), *pypi_history(pypi, talk)]
        record += [Ended(name, talk.channel) for name in ("npm", "pypi")]
        log = await asyncio.to_thread(stored_messages, server, talk)
    report = check([*record, *log], Needs(acknowledged=5 * kills, resumes=kills))
    logger.info("%s", report)
    assert report.verdict is Verdict.VALID, f"FAULT_SEED={seed}\n{report}"
    assert report.counts["reloads"] == 0, "the log is durable: everybody can recover"
    assert sum(writer.retries for writer in writers) >= kills, "kills that cut nobody off prove nothing"
    assert stored(server) == [(entry.id, entry.offset) for entry in log]


async def under_load(
    writers: list[Publisher], server: Server, kills: int, chance: random.Random, record: Recorder
) -> None:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for writer in writers:
            tasks.create_task(writer.run(stop))
        for _ in range(kills):
            await progress(chance.choice(writers))
            # The random moment itself.
            await asyncio.sleep(chance.uniform(0, 0.25))
            before = server.pid
            server.kill()
            await server.start()
            record.append(Fault("SIGKILL", effect=server.pid != before))
        await asyncio.gather(*(progress(writer) for writer in writers))
        stop.set()


async def progress(writer: Publisher) -> None:
    """Wait for the next acknowledgement."""
    writer.progress.clear()
    async with asyncio.timeout(30):
        await writer.progress.wait()


def stored(server: Server) -> list[tuple[str, int]]:
    """The rows of the database itself, by an administrator's hand."""
    code = (
        "import json; from clubhouse.chat.models import Message; "
        "print(json.dumps([[str(m.client_id), m.offset] for m in Message.objects.order_by('offset')]))"
    )
    return [(client_id, offset) for client_id, offset in json.loads(server.shell(code))]


@asynccontextmanager
async def reading(subscriber: Subscriber) -> AsyncIterator[Subscriber]:
    task = asyncio.create_task(subscriber.run())
    try:
        async with asyncio.timeout(10):
            await subscriber.live.wait()
        yield subscriber
    finally:
        task.cancel()
        await asyncio.wait({task})


# The SDKs read along: their events become the same history


@asynccontextmanager
async def npm_reader(site: Site, talk: Talk) -> AsyncIterator[NpmClient]:
    async with NpmClient.start() as client:
        url = f"ws://127.0.0.1:{site.server.port}/connection/websocket"
        options = {"minReconnectDelay": 20, "maxReconnectDelay": 200}
        await client.call("connect", url=url, headers=site.people["Eve"].headers(site.server.port), options=options)
        await client.call("subscribe", channel=talk.channel)
        await client.event("subscribed")
        yield client


def npm_ids(client: NpmClient, talk: Talk) -> set[str]:
    found = (talk.unwrap(publication["data"]) for publication in client.publications(talk.channel))
    return {content[0] for content in found if content is not None}


def npm_history(client: NpmClient, talk: Talk) -> Recorder:
    record: Recorder = []
    epoch, offset = "", 0
    for event in client.events:
        context = event.get("context", {})
        if event["event"] == "subscribed":
            fresh = not context["wasRecovering"]
            position = context.get("streamPosition") or {"epoch": epoch, "offset": offset}
            epoch = position["epoch"]
            offset = position["offset"] if fresh else offset
            reset = not fresh and not context["recovered"]
            record.append(Resumed(0, "npm", talk.channel, epoch, offset, reset=reset))
        elif event["event"] == "publication":
            offset = context["offset"]
            message, body = talk.unwrap(context["data"]) or ("", "")
            record.append(Delivered(0, "npm", talk.channel, message, epoch, offset, body))
    return record


@asynccontextmanager
async def pypi_reader(site: Site, talk: Talk) -> AsyncIterator[PypiClient]:
    headers = site.people["Fay"].headers(site.server.port)
    options: dict[str, Any] = {"headers": headers, "min_reconnect_delay": 0.02, "max_reconnect_delay": 0.2}
    async with PypiClient.connected(site.server.port, **options) as client:
        await client.subscribe(talk.channel)
        yield client


def pypi_ids(client: PypiClient, talk: Talk) -> set[str]:
    found = (talk.unwrap(context.pub.data) for context in client.contexts("publication", talk.channel))
    return {content[0] for content in found if content is not None}


def pypi_history(client: PypiClient, talk: Talk) -> Recorder:
    record: Recorder = []
    epoch, offset = "", 0
    for name, channel, context in client.events:
        if (name, channel) == ("subscribed", talk.channel):
            fresh = not context.was_recovering
            epoch = context.stream_position.epoch if context.stream_position else epoch
            offset = context.stream_position.offset if fresh and context.stream_position else offset
            reset = not fresh and not context.recovered
            record.append(Resumed(0, "pypi", talk.channel, epoch, offset, reset=reset))
        elif (name, channel) == ("publication", talk.channel):
            offset = context.pub.offset
            message, body = talk.unwrap(context.pub.data) or ("", "")
            record.append(Delivered(0, "pypi", talk.channel, message, epoch, offset, body))
    return record
