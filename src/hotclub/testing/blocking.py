"""A connection for tests that are not async."""

from collections.abc import Coroutine
from typing import Any, Literal, TypeVar

from hotclub.channels.results import ClientInfo, HistoryPage, Publication
from hotclub.engine.errors import Disconnect, Unsubscribed
from hotclub.engine.model import Position, PresenceStats
from hotclub.testing.connection import Connection, Values
from hotclub.testing.received import Subscribed
from hotclub.testing.threads import LoopThread

Result = TypeVar("Result")


class BlockingConnection:
    """`Connection` without `await`: every method does what the method of that name there does.

    Hooks run in the test's thread while a method waits.
    """

    def __init__(self, connection: Connection, thread: LoopThread) -> None:
        """Made by `HotclubClient.connect`."""
        self._connection = connection
        self._thread = thread

    @property
    def id(self) -> str:
        """See `Connection.id`."""
        return self._connection.id

    @property
    def data(self) -> Any:
        """See `Connection.data`."""
        return self._connection.data

    @property
    def ended(self) -> Disconnect | None:
        """See `Connection.ended`."""
        return self._connection.ended

    @property
    def subscriptions(self) -> dict[str, Subscribed]:
        """See `Connection.subscriptions`."""
        return self._connection.subscriptions

    @property
    def removed(self) -> dict[str, Unsubscribed]:
        """See `Connection.removed`."""
        return self._connection.removed

    def subscribe(
        self, channel: str, *, since: Position | None = None, token: str = "", data: Any = None, **options: Any
    ) -> Subscribed:
        """See `Connection.subscribe`."""
        return self._run(self._connection.subscribe(channel, since=since, token=token, data=data, **options))

    def unsubscribe(self, channel: str) -> None:
        """See `Connection.unsubscribe`."""
        self._run(self._connection.unsubscribe(channel))

    def subscribe_map(self, channel: str, *, holds: Literal["values", "clients", "users"] = "values") -> Values:
        """See `Connection.subscribe_map`."""
        return self._run(self._connection.subscribe_map(channel, holds=holds))

    def publish(self, channel: str, data: Any, *, key: str = "") -> None:
        """See `Connection.publish`."""
        self._run(self._connection.publish(channel, data, key=key))

    def remove(self, channel: str, key: str) -> None:
        """See `Connection.remove`."""
        self._run(self._connection.remove(channel, key))

    def rpc(self, method: str, data: Any = None, /, **arguments: Any) -> Any:
        """See `Connection.rpc`."""
        return self._run(self._connection.rpc(method, data, **arguments))

    def history(
        self, channel: str, *, limit: int = 100, since: Position | None = None, reverse: bool = False
    ) -> HistoryPage:
        """See `Connection.history`."""
        return self._run(self._connection.history(channel, limit=limit, since=since, reverse=reverse))

    def presence(self, channel: str) -> dict[str, ClientInfo]:
        """See `Connection.presence`."""
        return self._run(self._connection.presence(channel))

    def presence_stats(self, channel: str) -> PresenceStats:
        """See `Connection.presence_stats`."""
        return self._run(self._connection.presence_stats(channel))

    def command(self, method: str, /, **fields: Any) -> dict[str, Any]:
        """See `Connection.command`."""
        return self._run(self._connection.command(method, **fields))

    def close(self) -> None:
        """See `Connection.close`."""
        self._run(self._connection.close())

    def flush(self) -> None:
        """See `Connection.flush`."""
        self._run(self._connection.flush())

    def receive(self, channel: str) -> Publication:
        """See `Connection.receive`."""
        return self._run(self._connection.receive(channel))

    def assert_received(self, channel: str, data: Any, *, key: str | None = None) -> Publication:
        """See `Connection.assert_received`."""
        return self._run(self._connection.assert_received(channel, data, key=key))

    def assert_nothing_received(self, channel: str | None = None) -> None:
        """See `Connection.assert_nothing_received`."""
        self._run(self._connection.assert_nothing_received(channel))

    def assert_joined(self, channel: str, user: Any = None) -> ClientInfo:
        """See `Connection.assert_joined`."""
        return self._run(self._connection.assert_joined(channel, user))

    def assert_left(self, channel: str, user: Any = None) -> ClientInfo:
        """See `Connection.assert_left`."""
        return self._run(self._connection.assert_left(channel, user))

    def assert_unsubscribed(self, channel: str, code: int | None = None) -> Unsubscribed:
        """See `Connection.assert_unsubscribed`."""
        return self._run(self._connection.assert_unsubscribed(channel, code))

    def assert_disconnected(self, code: int | None = None) -> Disconnect:
        """See `Connection.assert_disconnected`."""
        return self._run(self._connection.assert_disconnected(code))

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self._thread.call(work)
