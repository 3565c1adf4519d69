"""A hook that sits in the database for 1.5 s delays no other client's messages by more than 50 ms.

Messages are sent at a fixed pace, whatever becomes of the earlier ones, so that a stopped event loop is felt by every
message of that time and not by one. The machine may be busy with other things: one calm round in eight is enough. A
hook that runs in the event loop makes each round's longest delay a second or more.
"""

import asyncio
import time
from typing import Any

import pytest

from tests.support.processes import Server
from tests.support.wire import WireClient

ROUNDS = 8
MESSAGES = 60
PACE = 0.02
BOUND = 0.050


async def slow_subscribe(client: WireClient, number: int) -> int:
    return await client.start("subscribe", channel=f"slow:s{number}")


async def slow_rpc(client: WireClient, number: int) -> int:
    return await client.start("rpc", method="slow", data={"seconds": 1.5})


async def slow_publish(client: WireClient, number: int) -> int:
    command = client.next_id()
    await client.send({"id": command, "publish": {"channel": "slow:published", "data": number}})
    return command


@pytest.mark.parametrize("hook", [slow_subscribe, slow_rpc, slow_publish])
async def test_a_slow_hook_delays_nobody_else(project: Server, hook: Any) -> None:
    async with (
        project,
        await WireClient.connected(project.port) as slow,
        await WireClient.connected(project.port) as sender,
        await WireClient.connected(project.port) as receiver,
    ):
        # Two subscriptions, so that messages meet both a hook in the pool and one in the loop.
        for client in (sender, receiver):
            await client.subscribe("memory:talk")
            await client.subscribe("ephemeral:talk")
        if hook is slow_publish:
            await slow.subscribe("slow:published")
        delays: list[float] = []
        for number in range(ROUNDS):
            command = await hook(slow, number)
            delays = await _talk(sender, receiver, number)
            assert not any(item.get("id") == command for item in slow.inbox), "the hook ended too early to disturb"
            await slow.answer(command)
            if max(delays) < BOUND:
                break
        assert max(delays) < BOUND


async def _talk(sender: WireClient, receiver: WireClient, number: int) -> list[float]:
    """Send at the pace, and return how long each message took to the receiver."""
    sent: dict[str, float] = {}
    start = len(receiver.inbox)
    arrived = asyncio.create_task(_arrivals(receiver, start))
    begin = time.monotonic()
    for count in range(MESSAGES):
        kind = ("memory", "ephemeral")[count % 2]
        name = f"{number}.{count}"
        sent[name] = time.monotonic()
        command = {"id": sender.next_id(), "publish": {"channel": f"{kind}:talk", "data": name}}
        await sender.send(command)
        # The pace is the load, not a synchronisation.
        await asyncio.sleep(max(0, begin + (count + 1) * PACE - time.monotonic()))
    async with asyncio.timeout(10):
        moments = await arrived
    return [moments[name] - moment for name, moment in sent.items()]


async def _arrivals(receiver: WireClient, start: int) -> dict[str, float]:
    moments: dict[str, float] = {}
    seen = 0
    async for item in receiver.objects():
        seen += 1
        publication = item.get("push", {}).get("pub") if seen > start else None
        if publication is not None:
            moments[publication["data"]] = time.monotonic()
            if len(moments) == MESSAGES:
                break
    return moments
