"""The PyPI SDK with its callbacks turned into a list of events that a test can wait on."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import centrifuge

_SUBSCRIPTION_EVENTS: Final = ("subscribing", "subscribed", "unsubscribed", "publication", "join", "leave", "error")
_CLIENT_EVENTS: Final = ("connecting", "connected", "disconnected", *_SUBSCRIPTION_EVENTS)
_QUICK: Final = {"min_resubscribe_delay": 0.02, "max_resubscribe_delay": 0.1}


class PypiClient:
    """One client of `centrifuge-python`. `events` holds (name, channel or "", context), in order.

    An event of a server-side subscription is a client's event, with the channel in its context.
    """

    def __init__(self, port: int, *, path: str = "/connection/websocket", **options: Any) -> None:
        self.events: list[tuple[str, str, Any]] = []
        self.binary = bool(options.get("use_protobuf"))
        self._news = asyncio.Condition()
        handler = self._handler(centrifuge.ClientEventHandler, _CLIENT_EVENTS, "")
        url = f"ws://127.0.0.1:{port}{path}"
        self.sdk = centrifuge.Client(url, events=handler, proxy=None, **options)

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(cls, port: int, *, ready: bool = True, **options: Any) -> "AsyncIterator[PypiClient]":
        """A connected client, until the block ends. With `ready` false the client may still be connecting."""
        client = cls(port, **options)
        await client.sdk.connect()
        try:
            if ready:
                await client.sdk.ready(timeout=5)
            yield client
        finally:
            await client.sdk.disconnect()

    async def subscribe(self, channel: str, *, ready: bool = True, **options: Any) -> centrifuge.Subscription:
        """A live subscription. With `ready` false the server may not have answered yet."""
        handler = self._handler(centrifuge.SubscriptionEventHandler, _SUBSCRIPTION_EVENTS, channel)
        subscription = self.sdk.new_subscription(channel, events=handler, **_QUICK, **options)
        await subscription.subscribe()
        if ready:
            await subscription.ready(timeout=5)
        return subscription

    def pack(self, value: Any) -> Any:
        """A payload as the SDK takes it: in the protobuf form it is bytes."""
        return json.dumps(value).encode() if self.binary else value

    @staticmethod
    def unpack(data: Any) -> Any:
        """The value of a payload that the SDK has given."""
        return json.loads(data) if isinstance(data, bytes) else data

    def contexts(self, name: str, channel: str = "") -> list[Any]:
        """What the application callback of that name was given so far."""
        return [context for event, where, context in self.events if (event, where) == (name, channel)]

    def received(self, channel: str = "") -> list[Any]:
        """The values published so far to a subscription, or without a channel to all server-side ones."""
        return [self.unpack(context.pub.data) for context in self.contexts("publication", channel)]

    async def event(self, name: str, channel: str = "", *, number: int = 1) -> Any:
        """The context of the first (or second, …) call of a callback; waits for it."""
        await self.until(lambda: len(self.contexts(name, channel)) >= number)
        return self.contexts(name, channel)[number - 1]

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


class Getter:
    """A token or state callback. It returns its answers one after the other, and repeats the last one. An exception
    among them is raised, and a function is called."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.asked = 0
        self._calls = asyncio.Semaphore(0)

    async def __call__(self, *_channel: str) -> Any:
        answer = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        self._calls.release()
        if isinstance(answer, Exception):
            raise answer
        return answer() if callable(answer) else answer

    async def calls(self, number: int) -> None:
        """Wait for that many further calls."""
        async with asyncio.timeout(10):
            for _ in range(number):
                await self._calls.acquire()
