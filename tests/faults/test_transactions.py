"""A publication lives and dies with its transaction, on SQLite and on PostgreSQL (G2)."""

import asyncio
import random
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.processes import PROJECT, Server, poll_until
from tests.support.wire import WireClient


def ids(client: WireClient, channel: str) -> list[str]:
    return [publication["data"]["id"] for publication in client.received(channel)]


async def get(server: Server, view: str, **query: Any) -> dict[str, Any]:
    async with httpx.AsyncClient(verify=False, timeout=30) as http:
        answer = await http.get(f"{server.url}/{view}/", params=query)
        answer.raise_for_status()
        result: dict[str, Any] = answer.json()
        return result


async def subscribed(server: Server, channel: str) -> WireClient:
    client = await WireClient.connected(server.port)
    await client.subscribe(channel)
    return client


@pytest.mark.parametrize("kind", ["durable", "memory", "ephemeral"])
async def test_a_rolled_back_publication_is_never_seen(project: Server, kind: str) -> None:
    channel = f"{kind}:a"
    async with project, await subscribed(project, channel) as client:
        await get(project, "hold", channel=channel, id="rolled back", ms=0, fail=1)
        await get(project, "hold", channel=channel, id="committed", ms=0)
        await client.publications(channel, 1)
        await get(project, "publish", channel=channel, id="end")
        await client.publications(channel, 2)
        assert ids(client, channel) == ["committed", "end"]
        if kind == "durable":
            assert [publication["offset"] for publication in client.received(channel)] == [1, 2]
            page = await client.call("history", channel=channel, limit=10)
            assert [publication["data"]["id"] for publication in page["publications"]] == ["committed", "end"]


@pytest.mark.parametrize("kind", ["durable", "memory"])
async def test_a_rolled_back_savepoint_within_a_commit_is_never_seen(project: Server, kind: str) -> None:
    channel = f"{kind}:a"
    async with project, await subscribed(project, channel) as client:
        await get(project, "savepoints", channel=channel)
        await client.publications(channel, 2)
        await get(project, "publish", channel=channel, id="end")
        received = await client.publications(channel, 3)
        assert ids(client, channel) == ["before", "after", "end"]
        assert [publication["offset"] for publication in received] == [1, 2, 3]


async def test_nothing_is_seen_before_the_commit(project: Server) -> None:
    """Another connection's publication shows that the first one, begun earlier, had its chance to leak."""
    async with project, await subscribed(project, "durable:held") as client:
        await client.subscribe("memory:other")
        holding = asyncio.create_task(get(project, "hold", channel="durable:held", id="held", ms=700))
        await asyncio.sleep(0.2)  # the transaction is open now; were it not yet, the test would only see less
        await get(project, "publish", channel="memory:other", id="meanwhile")
        await client.publications("memory:other", 1)
        assert not holding.done()
        assert client.received("durable:held") == []
        await holding
        await client.publications("durable:held", 1)


async def test_a_process_killed_between_commit_and_signal_still_delivers(project: Server) -> None:
    """Two servers on one database: the subscriber of the one that lives gets what the other one committed."""
    other = Server(project.data_dir, PROJECT, project.environment)
    async with project, other, await subscribed(other, "durable:a") as client:
        with pytest.raises(httpx.HTTPError):
            await get(project, "commit-and-die", channel="durable:a", id="orphan")
        committed = time.monotonic()
        await poll_until(lambda: not project.alive, "the killed process is gone")
        await client.publications("durable:a", 1, timeout=5)
        assert time.monotonic() - committed < 5
        assert ids(client, "durable:a") == ["orphan"]


async def test_a_subscriber_of_the_killed_process_recovers_what_it_committed(project: Server) -> None:
    async with project:
        async with await subscribed(project, "durable:a") as client:
            position = await get(project, "publish", channel="durable:a", id="first")
            await client.publications("durable:a", 1)
            with pytest.raises(httpx.HTTPError):
                await get(project, "commit-and-die", channel="durable:a", id="orphan")
            await client.ended()
        await poll_until(lambda: not project.alive, "the killed process is gone")
        started = time.monotonic()
        await project.start()
        async with await WireClient.connected(project.port) as client:
            result = await client.subscribe("durable:a", recover=True, **position)
            assert result["recovered"] is True
            assert [publication["data"]["id"] for publication in result["publications"]] == ["orphan"]
        assert time.monotonic() - started < 5


async def test_contending_transactions_arrive_in_the_order_of_their_offsets(project: Server) -> None:
    """Many transactions take an offset, dawdle, and commit or roll back, in two processes at once.

    Each subscriber must see 1, 2, 3 … without a hole, and each offset must be what its publisher was told.
    """
    chance = random.Random(42)
    other = Server(project.data_dir, PROJECT, project.environment)
    async with (
        project,
        other,
        await subscribed(project, "durable:a") as here,
        await subscribed(other, "durable:a") as there,
    ):
        jobs = [
            (chance.choice((project, other)), f"m{number}", chance.randrange(0, 60), chance.random() < 0.3)
            for number in range(40)
        ]
        told = await asyncio.gather(*(_contend(*job) for job in jobs))
        expected = {offset: message for message, offset in told if offset}
        assert len(expected) == sum(not fails for *_, fails in jobs)
        for client in (here, there):
            received = await client.publications("durable:a", len(expected))
            assert [publication["offset"] for publication in received] == list(range(1, len(expected) + 1))
            assert ids(client, "durable:a") == [expected[offset] for offset in sorted(expected)]


async def _contend(server: Server, message: str, ms: int, fails: bool) -> tuple[str, int]:
    query: dict[str, Any] = {"channel": "durable:a", "id": message, "ms": ms}
    position = await get(server, "hold", **query, **({"fail": 1} if fails else {}))
    return message, 0 if fails else position["offset"]


async def test_the_first_of_two_transactions_comes_first_although_it_commits_late(project: Server) -> None:
    """The second one can take its offset only after the first has committed, however long that takes."""
    async with project, await subscribed(project, "durable:a") as client:
        first = asyncio.create_task(get(project, "hold", channel="durable:a", id="first", ms=400))
        await asyncio.sleep(0.15)  # lets the first take its offset; both orders are checked against the answers below
        second = asyncio.create_task(get(project, "hold", channel="durable:a", id="second", ms=0))
        offsets = {"first": (await first)["offset"], "second": (await second)["offset"]}
        await client.publications("durable:a", 2)
        assert offsets == {"first": 1, "second": 2}
        assert ids(client, "durable:a") == ["first", "second"]


async def test_a_repeated_key_is_stored_and_seen_once(project: Server, tmp_path: Path) -> None:
    other = Server(project.data_dir, PROJECT, project.environment)
    async with project, other, await subscribed(project, "durable:a") as client:
        calls = [get(server, "publish", channel="durable:a", id="k") for server in (project, other) * 5]
        positions = await asyncio.gather(*calls)
        await get(project, "publish", channel="durable:a", id="end")
        await client.publications("durable:a", 2)
        assert all(position == positions[0] for position in positions)
        assert ids(client, "durable:a") == ["k", "end"]
