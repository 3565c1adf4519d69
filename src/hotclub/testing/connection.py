"""One connection of a test, through everything that a real one passes but the socket."""

from typing import Any, Final, Literal, TypeVar
from unittest.mock import ANY

import msgspec

from hotclub.channels.results import ClientInfo, HistoryPage, Publication
from hotclub.engine.errors import Disconnect, Unsubscribed
from hotclub.engine.model import Position, PresenceStats
from hotclub.engine.port import Handshake
from hotclub.engine.protocol.messages import (
    LIVE_PHASE,
    MAP_CLIENTS_TYPE,
    MAP_TYPE,
    MAP_USERS_TYPE,
    STATE_PHASE,
    STREAM_PHASE,
    ConnectCommand,
    ConnectResult,
    HistoryResult,
    PresenceResult,
    PresenceStatsResult,
    SubscribeResult,
)
from hotclub.runtime.encoding import decode
from hotclub.testing.inbox import Inbox
from hotclub.testing.received import Subscribed
from hotclub.testing.site import Site
from hotclub.testing.wire import Wire

Values = dict[str, Publication]
Result = TypeVar("Result")

_PAGE: Final = 1000
_MAP_TYPES: Final = {"values": MAP_TYPE, "clients": MAP_CLIENTS_TYPE, "users": MAP_USERS_TYPE}


class Connection:
    """A connected client. What its channels bring is kept until an assertion asks for it.

    Commands raise `Refused` where the server answers with an error, `Unsubscribed` in a channel from which the server
    has removed the client, `Disconnect` when the connection has ended, and `AssertionError` when there is no answer
    within 5 seconds.
    """

    def __init__(self, site: Site, handshake: Handshake) -> None:
        """Made by `HotclubClient.connect`."""
        self.id = ""
        """The connection's public name, as members of its channels see it."""
        self.data: Any = None
        """What the `ON_CONNECT` hook returned."""
        self._site = site
        self._inbox = Inbox()
        self._wire = Wire(site, handshake, self._inbox, lambda: site.node.channels.spawn(self.close()))
        self._closed = False

    @property
    def ended(self) -> Disconnect | None:
        """Why the server has ended the connection; None while it lives."""
        return self._inbox.ended

    @property
    def subscriptions(self) -> dict[str, Subscribed]:
        """The channels this client is in, those that the server has subscribed it to included."""
        return self._inbox.subscriptions

    @property
    def removed(self) -> dict[str, Unsubscribed]:
        """The channels that the server has removed this client from, and why."""
        return self._inbox.removed

    # ------------------------------------------------------------------------------------------------------- commands

    async def subscribe(
        self, channel: str, *, since: Position | None = None, token: str = "", data: Any = None, **options: Any
    ) -> Subscribed:
        """Subscribe to a channel, and return what the server granted.

        Args:
            channel: its name.
            since: where to go on; what came after it arrives as publications, if it can be recovered.
            token: a subscription token.
            data: JSON for the channel.
            options: other fields of the protocol's subscribe command.
        """
        asked = {"channel": channel, "token": token, **options}
        if data is not None:
            asked["data"] = data
        if since is not None:
            asked |= {"recover": True, "epoch": since.epoch, "offset": since.offset}
        self.removed.pop(channel, None)
        return self._inbox.enter(channel, await self._ask(SubscribeResult, "subscribe", **asked))

    async def unsubscribe(self, channel: str) -> None:
        """Leave a channel. A channel that this client is not in is no error."""
        await self.command("unsubscribe", channel=channel)
        self.subscriptions.pop(channel, None)

    async def subscribe_map(self, channel: str, *, holds: Literal["values", "clients", "users"] = "values") -> Values:
        """Subscribe to a map, and return what it holds by key. Changes arrive as publications with a `key`.

        Args:
            channel: its name.
            holds: what the keys of the map stand for: names of values, connections or users.
        """
        self.removed.pop(channel, None)
        asked: dict[str, Any] = {"channel": channel, "type": _MAP_TYPES[holds]}
        phase: dict[str, Any] = {"phase": STATE_PHASE, "limit": _PAGE}
        values: Values = {}
        while True:
            found = await self._ask(SubscribeResult, "subscribe", **asked, **phase)
            _apply(values, found)
            if found.phase == LIVE_PHASE:
                self.subscriptions[channel] = Subscribed.of(found)
                return values
            position = {"epoch": found.epoch, "offset": found.offset}
            if found.cursor:
                phase = {"phase": STATE_PHASE, "limit": _PAGE, "cursor": found.cursor, **position}
            else:
                phase = {"phase": STREAM_PHASE, "limit": _PAGE, **position}

    async def publish(self, channel: str, data: Any, *, key: str = "") -> None:
        """Publish JSON to a channel that this client is in; in a map, set `key`."""
        self._check_place(channel)
        place = {"type": MAP_TYPE, "key": key} if key else {}
        await self.command("publish", channel=channel, data=data, **place)

    async def remove(self, channel: str, key: str) -> None:
        """Remove a key of a map that this client is in."""
        self._check_place(channel)
        await self.command("publish", channel=channel, type=MAP_TYPE, key=key, removed=True)

    async def rpc(self, method: str, data: Any = None, /, **arguments: Any) -> Any:
        """Call a procedure with arguments by name, or with `data` as it is, and return what it returned."""
        asked = {"method": method} if data is None and not arguments else {"method": method, "data": data or arguments}
        return (await self.command("rpc", **asked)).get("data")

    async def history(
        self, channel: str, *, limit: int = 100, since: Position | None = None, reverse: bool = False
    ) -> HistoryPage:
        """Read what a channel keeps; see `hotclub.history`."""
        asked: dict[str, Any] = {"channel": channel, "limit": limit, "reverse": reverse}
        if since is not None:
            asked["since"] = {"epoch": since.epoch, "offset": since.offset}
        found = await self._ask(HistoryResult, "history", **asked)
        return HistoryPage(tuple(map(Publication.of, found.publications)), Position(found.epoch, found.offset))

    async def presence(self, channel: str) -> dict[str, ClientInfo]:
        """Who is in a channel, by connection."""
        found = await self._ask(PresenceResult, "presence", channel=channel)
        return {name: ClientInfo.of(member) for name, member in found.presence.items()}

    async def presence_stats(self, channel: str) -> PresenceStats:
        """How many connections and users are in a channel."""
        found = await self._ask(PresenceStatsResult, "presence_stats", channel=channel)
        return PresenceStats(found.num_clients, found.num_users)

    async def command(self, method: str, /, **fields: Any) -> dict[str, Any]:
        """Send any command of the protocol, and return its result as it stands on the wire."""
        return await self._ask(dict[str, Any], method, **fields)

    async def _ask(self, kind: type[Result], method: str, /, **fields: Any) -> Result:
        if self.ended is not None:
            raise Disconnect(self.ended.code, self.ended.reason)
        return msgspec.json.decode(await self._wire.command(method, fields), type=kind)

    async def close(self) -> None:
        """Leave, as when a tab is closed. Returns when the hooks that this calls are done. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._site.connections.pop(self._wire.session.id, None)
        await self._wire.hang_up()

    def _check_place(self, channel: str) -> None:
        reason = self.removed.get(channel)
        if reason is not None:
            raise Unsubscribed(reason.code, reason.reason)

    # ----------------------------------------------------------------------------------------------------- assertions

    async def flush(self) -> None:
        """Return when everything that the site is to do has been done, and what it sent has arrived.

        Raises:
            AssertionError: that did not happen within 5 seconds.
        """
        await self._site.settle()

    async def receive(self, channel: str) -> Publication:
        """Take the next publication of a channel.

        Raises:
            AssertionError: there is none.
        """
        return await self.assert_received(channel, ANY)

    async def assert_received(self, channel: str, data: Any, *, key: str | None = None) -> Publication:
        """Take the first publication of a channel with this data, and leave the others; `mock.ANY` fits everything.

        In maps `key` names the key that was set. One that was removed has the data None.

        Raises:
            AssertionError: there is none.
        """
        await self.flush()
        return self._inbox.take(channel, data, key)

    async def assert_nothing_received(self, channel: str | None = None) -> None:
        """Every publication of this channel, or of all channels, has been taken by another assertion.

        Raises:
            AssertionError: one has not.
        """
        await self.flush()
        if found := self._inbox.left_over(channel):
            raise AssertionError(f"publications arrived that nothing asked for: {found!r}")

    async def assert_joined(self, channel: str, user: Any = None) -> ClientInfo:
        """Take the first notice that somebody has joined a channel: this user or primary key, or anybody.

        Raises:
            AssertionError: there is none.
        """
        await self.flush()
        return self._inbox.take_notice(channel, True, user)

    async def assert_left(self, channel: str, user: Any = None) -> ClientInfo:
        """Take the first notice that somebody has left a channel: this user or primary key, or anybody.

        Raises:
            AssertionError: there is none.
        """
        await self.flush()
        return self._inbox.take_notice(channel, False, user)

    async def assert_unsubscribed(self, channel: str, code: int | None = None) -> Unsubscribed:
        """The server has removed this client from the channel, with this code or any.

        Raises:
            AssertionError: it has not.
        """
        await self.flush()
        reason = self.removed.get(channel)
        if reason is None or code not in (None, reason.code):
            raise AssertionError(f"not removed from {channel!r} with code {code}; {self._inbox.describe(channel)}")
        return reason

    async def assert_disconnected(self, code: int | None = None) -> Disconnect:
        """The server has ended the connection, with this code or any.

        Raises:
            AssertionError: it has not.
        """
        await self.flush()
        if self.ended is None or code not in (None, self.ended.code):
            raise AssertionError(f"not disconnected with code {code}: the connection is {self.ended or 'alive'}")
        return self.ended

    # ------------------------------------------------------------------------------------------------------- the site

    async def open(self, request: ConnectCommand) -> None:
        """Send the connect command; called once, by the block that made the connection."""
        self._site.connections[self._wire.session.id] = self
        connected = msgspec.json.decode(await self._wire.connect(request), type=ConnectResult)
        self.id, self.data = connected.client, decode(connected.data)
        for channel, granted in connected.subs.items():
            self._inbox.enter(channel, granted)

    async def settle(self) -> None:
        """See `Site.settle`."""
        if self.ended is None and self._wire.session.connected:
            await self._wire.ping()


def _apply(values: Values, found: SubscribeResult) -> None:
    """Bring `values` up to date with a page of a map: its state first, then the changes after it."""
    for change in map(Publication.of, (*found.state, *found.publications)):
        if change.removed:
            values.pop(change.key, None)
        else:
            values[change.key] = change
