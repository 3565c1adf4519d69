"""The PyPI SDK with its callbacks turned into a list of events that a test can wait on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import centrifuge

_CLIENT_EVENTS: Final = ("connecting", "connected", "disconnected", "error", "subscribed", "publication")
_SUBSCRIPTION_EVENTS: Final = ("subscribing", "subscribed", "unsubscribed", "publication", "join", "leave", "error")


class PypiClient:
    """One client of `centrifuge-python`. `events` holds (name, channel or "", context), in order."""

    def __init__(self, port: int, *, path: str = "/connection/websocket", **options: Any) -> None:
        self.events: list[tuple[str, str, Any]] = []
        self._news = asyncio.Condition()
        handler = self._handler(centrifuge.ClientEventHandler, _CLIENT_EVENTS, "")
        url = f"ws://127.0.0.1:{port}{path}"
        self.sdk = centrifuge.Client(url, events=handler, proxy=None, **options)

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(cls, port: int, **options: Any) -> "AsyncIterator[PypiClient]":
        """A connected client, until the block ends."""
        client = cls(port, **options)
        await client.sdk.connect()
        try:
            await client.sdk.ready(timeout=5)
            yield client
        finally:
            await client.sdk.disconnect()

    async def subscribe(self, channel: str, **options: Any) -> centrifuge.Subscription:
        """A live subscription."""
        handler = self._handler(centrifuge.SubscriptionEventHandler, _SUBSCRIPTION_EVENTS, channel)
        subscription = self.sdk.new_subscription(channel, events=handler, **options)
        await subscription.subscribe()
        await subscription.ready(timeout=5)
        return subscription

    def contexts(self, name: str, channel: str = "") -> list[Any]:
        """What the application callback of that name was given so far."""
        return [context for event, where, context in self.events if (event, where) == (name, channel)]

    async def until(self, condition: Callable[[], bool], *, timeout: float = 10) -> None:
        """Wait until the condition holds; it is looked at after each event."""
        async with asyncio.timeout(timeout), self._news:
            await self._news.wait_for(condition)

    def _handler(self, base: type, names: tuple[str, ...], channel: str) -> Any:
        handler = base()
        for name in names:
            setattr(handler, f"on_{name}", self._recorder(name, channel))
        return handler

    def _recorder(self, name: str, channel: str) -> Callable[[Any], Any]:
        async def record(context: Any) -> None:
            async with self._news:
                self.events.append((name, channel, context))
                self._news.notify_all()

        return record
