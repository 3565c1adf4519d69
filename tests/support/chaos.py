"""Clients that survive faults and record their events for `checker`.

A publisher repeats a message with the same id until it knows the outcome. A subscriber comes back with its position.
Both are written on `wire`, so that they share no bug with an SDK.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from uuid import uuid4

from tests.support.checker import Delivered, Ended, Event, Invoked, Logged, Outcome, Resumed, Settled
from tests.support.processes import Server
from tests.support.rawws import HandshakeRefused
from tests.support.wire import Closed, ErrorReply, Object, WireClient, push_of

Recorder = list[Event]

_LOST = (Closed, ConnectionError, asyncio.IncompleteReadError, HandshakeRefused, TimeoutError)
_PAUSE = 0.02


class Talk:
    """The form of a channel's messages: `wrap` makes data for an id, `unwrap` finds id and body in received data."""

    def __init__(
        self, channel: str, wrap: Callable[[str], Any], unwrap: Callable[[Any], tuple[str, str] | None]
    ) -> None:
        self.channel = channel
        self.wrap = wrap
        self.unwrap = unwrap


def chat_talk(channel: str) -> Talk:
    """Messages of a chat room."""

    def unwrap(data: Any) -> tuple[str, str] | None:
        if data["type"] != "message":
            return None
        return data["message"]["client_id"], data["message"]["text"]

    return Talk(channel, lambda message: {"id": message, "text": f"text of {message}"}, unwrap)


async def open_client(port: int, headers: Mapping[str, str], channel: str) -> tuple[WireClient, Object]:
    """Connect and subscribe, and repeat that until it succeeds."""
    while True:
        with contextlib.suppress(*_LOST):
            async with asyncio.timeout(5):
                client = await WireClient.connected(port, headers=headers)
            try:
                return client, await client.subscribe(channel)
            except BaseException:
                client.abort()
                raise
        await asyncio.sleep(_PAUSE)


class Publisher:
    """Publishes one message after the other, and retries each with its own id until the server acknowledges it."""

    def __init__(self, port: int, headers: Mapping[str, str], talk: Talk, record: Recorder) -> None:
        self.acknowledged = 0
        self.retries = 0
        self.progress = asyncio.Event()
        self._port = port
        self._headers = headers
        self._talk = talk
        self._record = record
        self._client: WireClient | None = None

    async def run(self, stop: asyncio.Event) -> None:
        try:
            while not stop.is_set():
                await self.say(str(uuid4()))
        finally:
            self.close()

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._client is not None:
            self._client.abort()
            self._client = None

    async def say(self, message: str) -> None:
        data = self._talk.wrap(message)
        self._record.append(Invoked(time.monotonic(), self._talk.channel, message, data.get("text", "")))
        while not await self._attempt(data):
            self.retries += 1
            await asyncio.sleep(_PAUSE)
        self._record.append(Settled(time.monotonic(), self._talk.channel, message, Outcome.OK))
        self.acknowledged += 1
        self.progress.set()

    async def _attempt(self, data: Any) -> bool:
        try:
            if self._client is None:
                self._client, _ = await open_client(self._port, self._headers, self._talk.channel)
            await self._client.publish(self._talk.channel, data)
        except _LOST:
            self.close()
            return False
        except ErrorReply as error:
            if not error.temporary:
                raise
            return False
        return True


class Subscriber:
    """Keeps a subscription alive over every end of its connection."""

    def __init__(self, name: str, port: int, headers: Mapping[str, str], talk: Talk, record: Recorder) -> None:
        self.name = name
        self.live = asyncio.Event()
        self.ended = asyncio.Event()
        self.last_id = ""
        self.end_marker = ""
        self._port = port
        self._headers = headers
        self._talk = talk
        self._record = record
        self._epoch = ""
        self._offset: int | None = None

    async def run(self) -> None:
        """Subscribe and record publications until cancelled."""
        while True:
            with contextlib.suppress(*_LOST):
                async with asyncio.timeout(5):
                    client = await WireClient.connected(self._port, headers=self._headers)
                async with client:
                    await self._follow(client)
            self.live.clear()
            await asyncio.sleep(_PAUSE)

    async def until_end(self, marker: str, timeout: float) -> None:
        """Wait for the marker, which may have come already."""
        self.end_marker = marker
        self._look_for_end()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.ended.wait(), timeout)

    async def _follow(self, client: WireClient) -> None:
        position: dict[str, Any] = {}
        if self._offset is not None:
            position = {"recover": True, "epoch": self._epoch, "offset": self._offset}
        result = await client.subscribe(self._talk.channel, **position)
        self._resume(result)
        for publication in result.get("publications", ()):
            self._deliver(publication)
        self.live.set()
        async for publication in _live(client, self._talk.channel):
            self._deliver(publication)

    def _resume(self, result: Object) -> None:
        recovered = self._offset is None or result.get("recovered", False)
        self._epoch, self._offset = result["epoch"], result.get("offset", 0)
        self._record.append(
            Resumed(
                time.monotonic(), self.name, self._talk.channel, self._epoch, self._offset or 0, reset=not recovered
            )
        )

    def _deliver(self, publication: Object) -> None:
        self._offset = publication["offset"]
        content = self._talk.unwrap(publication["data"])
        if content is None:
            raise AssertionError(f"an event nobody caused: {publication}")
        self._record.append(
            Delivered(
                time.monotonic(), self.name, self._talk.channel, content[0], self._epoch, self._offset or 0, content[1]
            )
        )
        self.last_id = content[0]
        self._look_for_end()

    def _look_for_end(self) -> None:
        if self.end_marker and self.last_id == self.end_marker and not self.ended.is_set():
            self._record.append(Ended(self.name, self._talk.channel))
            self.ended.set()


async def _live(client: WireClient, channel: str) -> AsyncIterator[Object]:
    """Publications as they come; ends with the connection or the subscription."""
    async for item in client.objects():
        if push_of(item, "unsubscribe", channel) is not None:
            return
        publication = push_of(item, "pub", channel)
        if publication is not None:
            yield publication


def stored_messages(server: Server, talk: Talk) -> list[Logged]:
    """All messages of a room from the site's database. The channel itself keeps only the newest ones."""
    code = f"""
import json
from hotclub.models import Stream
from clubhouse.chat.models import Message
stream = Stream.objects.get(channel={talk.channel!r})
messages = Message.objects.filter(room={talk.channel.partition(":")[2]}).order_by("offset")
print(json.dumps([[str(m.client_id), stream.epoch, m.offset, m.text] for m in messages]))
"""
    rows = json.loads(server.shell(code).strip().splitlines()[-1])
    return [Logged(talk.channel, *row) for row in rows]
