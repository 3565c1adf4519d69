"""One subscriber on any transport, in any form of the protocol, for tests of rules that hold on all of them."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, Self

from tests.support.emulated import CLIENTS
from tests.support.unidirectional import Listening
from tests.support.wire import Closed, ErrorReply, WireClient, push_of

TRANSPORTS: Final = (*CLIENTS, "uni_sse", "uni_http_stream", "uni_websocket")

Since = tuple[str, int]
"""Epoch and offset."""


class Member:
    """A subscriber. `outcome` is 0, or the code that refused its first channel: of an error or of the disconnect."""

    def __init__(self, transport: str, port: int, connection: WireClient | Listening) -> None:
        self.transport = transport
        self.port = port
        self.outcome = 0
        self.position: Since = ("", 0)
        """The position from the reply to the subscribe of its first channel."""
        self._connection = connection

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, port: int, transport: str, *channels: str, headers: Mapping[str, str], since: Since | None = None
    ) -> AsyncIterator[Self]:
        """Connect and subscribe, after that position if one is given; the connection lasts until the block ends."""
        wish = {} if since is None else {"recover": True, "epoch": since[0], "offset": since[1]}
        if transport in CLIENTS:
            async with await CLIENTS[transport].open(port, headers=headers) as client:
                member = cls(transport, port, client)
                with contextlib.suppress(Closed):
                    await client.connect()
                    await member._subscribe(client, channels, wish)
                if client.closed is not None:
                    member.outcome = client.closed.code
                yield member
        else:
            request = json.dumps({"subs": dict.fromkeys(channels, wish)}).encode()
            async with Listening.open(port, transport, request, headers=headers) as listening:
                member = cls(transport, port, listening)
                member._enter(await listening.first(), channels[0])
                yield member

    async def _subscribe(self, client: WireClient, channels: tuple[str, ...], wish: dict[str, Any]) -> None:
        for channel in reversed(channels):
            try:
                self._take(await client.subscribe(channel, **wish))
            except ErrorReply as refused:
                self.outcome = refused.code

    def _enter(self, first: dict[str, Any], channel: str) -> None:
        if "disconnect" in first:
            self.outcome = first["disconnect"]["code"]
        elif channel in first["connect"]["subs"]:
            self._take(first["connect"]["subs"][channel])
        else:
            self.outcome = 103

    def _take(self, subscribed: dict[str, Any]) -> None:
        self.position = subscribed.get("epoch", ""), subscribed.get("offset", 0)

    @property
    def client(self) -> WireClient | None:
        """The client that sends commands; None on a unidirectional transport."""
        return self._connection if isinstance(self._connection, WireClient) else None

    def heard(self, text: str) -> bool:
        """Whether any received message holds this text."""
        connection = self._connection
        return text in json.dumps(connection.inbox if isinstance(connection, WireClient) else connection.pushes)

    async def until_heard(self, text: str, seconds: float = 5) -> None:
        await self._connection.wait(lambda: self.heard(text), seconds)

    async def ended(self, seconds: float) -> tuple[int, str]:
        """Wait for the end of the connection, and return its code and reason."""
        if isinstance(self._connection, WireClient):
            closed = await self._connection.ended(seconds)
            return closed.code, closed.reason
        code = await self._connection.ended(seconds)
        return code, self._connection.reason

    async def unsubscribed(self, channel: str, seconds: float) -> int:
        """Wait until the server ends the subscription, and return the code."""
        await self._connection.wait(lambda: self._unsubscribe(channel) is not None, seconds)
        told = self._unsubscribe(channel)
        assert told is not None
        code: int = told["code"]
        return code

    def _unsubscribe(self, channel: str) -> dict[str, Any] | None:
        connection = self._connection
        items = (
            connection.inbox if isinstance(connection, WireClient) else [{"push": push} for push in connection.pushes]
        )
        return next((told for item in items if (told := push_of(item, "unsubscribe", channel)) is not None), None)


async def all_ended(members: list[Member], seconds: float) -> set[tuple[int, str]]:
    """Wait until all connections have ended, and return their codes and reasons."""
    return set(await asyncio.gather(*(member.ended(seconds) for member in members)))
