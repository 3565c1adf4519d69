"""Connections that subscribe, recover and unsubscribe all the time while others publish, and the judgement of it.

The messages to a connection, in their order, show a lost or doubled publication and a publication without a
subscription. Waits end on messages of the protocol only.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from tests.support.wire import Object, WireClient, push_of

Publish = Callable[[int], Awaitable[Any]]


class Churner:
    """One connection that subscribes and unsubscribes, and checks the publications that it gets."""

    def __init__(self, client: WireClient, channel: str) -> None:
        self.client = client
        self.channel = channel
        self.position = ("", 0)
        self.subscribed = False
        self.recovered = 0
        """Publications that came by a replay."""
        self.live = 0
        self.told = 0
        """How often the server ended the subscription because of a missing publication."""
        self._read = 0
        self._asked: dict[int, str] = {}

    async def round(self, chance: random.Random) -> None:
        """Subscribe from the last position and unsubscribe after some publications, or do both in one frame."""
        commands = [self._command("subscribe"), self._command("unsubscribe")]
        if chance.random() < 0.4:
            await self.client.send(*commands)
            await self.client.answer(commands[1]["id"])
        else:
            await self.client.send(commands[0])
            await self.client.answer(commands[0]["id"])
            awaited = len(self.client.inbox) + chance.randrange(4)
            await self.client.wait(lambda: len(self.client.inbox) >= awaited)
            await self.client.send(commands[1])
            await self.client.answer(commands[1]["id"])
        self.judge()

    async def finish(self) -> None:
        """Subscribe and stay, and check every publication up to the reply."""
        command = self._command("subscribe")
        await self.client.send(command)
        await self.client.answer(command["id"])
        self.judge()

    async def keep_up(self, offset: int) -> None:
        """Read until the publication with this offset. Subscribe again whenever the server ends the subscription."""
        while self.position[1] < offset:
            if not self.subscribed:
                await self.finish()
                continue
            await self.client.wait(lambda: len(self.client.inbox) > self._read)
            self.judge()

    def _command(self, method: str) -> Object:
        number = self.client.next_id()
        self._asked[number] = method
        asked: Object = {"channel": self.channel}
        if method == "subscribe" and self.position[0]:
            asked |= {"recover": True, "epoch": self.position[0], "offset": self.position[1]}
        return {"id": number, method: asked}

    def judge(self) -> None:
        """Check the messages since the last call. Fail over a lost or doubled publication, and over one without a
        subscription."""
        for item in self.client.inbox[self._read :]:
            method = self._asked.get(item.get("id", 0))
            publication = push_of(item, "pub", self.channel)
            if method == "subscribe":
                self._begin(item)
            elif method == "unsubscribe":
                assert item == {"id": item["id"], "unsubscribe": {}}
                self.subscribed = False
            elif publication is not None:
                assert self.subscribed, f"a ghost: {publication}"
                self._take(publication)
                self.live += 1
            elif (end := push_of(item, "unsubscribe", self.channel)) is not None:
                assert end["code"] == 2500, end
                self.subscribed = False
                self.told += 1
        self._read = len(self.client.inbox)

    def _begin(self, reply: Object) -> None:
        result = reply["subscribe"]
        if self.position[0]:
            assert result.get("recovered"), result
            assert (result["epoch"], result.get("offset", 0)) == self.position
        self.position = (result["epoch"], result.get("offset", 0))
        self.subscribed = True
        for publication in result.get("publications", ()):
            self._take(publication)
            self.recovered += 1

    def _take(self, publication: Object) -> None:
        assert publication["offset"] == self.position[1] + 1, (publication["offset"], self.position)
        self.position = (self.position[0], publication["offset"])


async def churn(
    clients: Sequence[WireClient], channel: str, publishers: Sequence[Publish], *, rounds: int, each: int
) -> list[Churner]:
    """Let every client subscribe and unsubscribe for `rounds` while every publisher publishes at least `each` messages,
    until the last round ends. Then assert that all clients have the same position."""
    churners = [Churner(client, channel) for client in clients]
    for churner in churners:
        await churner.finish()
        await churner.client.call("unsubscribe", channel=channel)
        churner.subscribed = False
        churner.judge()
    coming_and_going = asyncio.Event()

    async def publish(work: Publish) -> None:
        number = 0
        while number < each or not coming_and_going.is_set():
            number += 1
            await work(number)
            await asyncio.sleep(0)

    async def come_and_go(churner: Churner, chance: random.Random) -> None:
        for _ in range(rounds):
            await churner.round(chance)

    async with asyncio.TaskGroup() as group:
        for work in publishers:
            group.create_task(publish(work))
        async with asyncio.TaskGroup() as comers:
            for number, churner in enumerate(churners):
                comers.create_task(come_and_go(churner, random.Random(number)))
        coming_and_going.set()
    for churner in churners:
        await churner.finish()
    assert not any(churner.told for churner in churners)
    assert len({churner.position for churner in churners}) == 1, [churner.position for churner in churners]
    return churners
