"""One connection of a test, through everything that a real one passes but the socket."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal
from unittest.mock import ANY

import msgspec

from hotclub.engine.dispatch import Dispatcher
from hotclub.engine.errors import Disconnect, Refused, Unsubscribed
from hotclub.engine.model import Position, PresenceStats
from hotclub.engine.port import Handshake
from hotclub.engine.protocol.base import Encoder
from hotclub.engine.protocol.messages import (
    LIVE_PHASE,
    MAP_CLIENTS_TYPE,
    MAP_TYPE,
    MAP_USERS_TYPE,
    STATE_PHASE,
    STREAM_PHASE,
    ConnectCommand,
    PingCommand,
    Request,
)
from hotclub.engine.session import Kind, Session
from hotclub.testing.received import Member, Page, Received, Subscribed
from hotclub.testing.site import TIMEOUT, Site

Values = dict[str, Received]

_PONG: Final = b"{}"
_PAGE: Final = 1000
_MAP_TYPES: Final = {"values": MAP_TYPE, "clients": MAP_CLIENTS_TYPE, "users": MAP_USERS_TYPE}


class Connection:
    """A connected client. What its channels bring is kept until an assertion asks for it.

    Commands raise `Refused` where the server answers with an error, `Unsubscribed` in a channel from which the
    server has removed the client, and `Disconnect` when the connection has ended.
    """

    def __init__(self, site: Site, handshake: Handshake) -> None:
        """Made by `HotclubClient.connect`."""
        self.id = ""
        """The connection's public name, as members of its channels see it."""
        self.data: Any = None
        """What the `ON_CONNECT` hook returned."""
        self.ended: Disconnect | None = None
        """Why the server has ended the connection."""
        self.subscriptions: dict[str, Subscribed] = {}
        """The channels this client is in, those that the server has subscribed it to included."""
        self.removed: dict[str, Unsubscribed] = {}
        """The channels that the server has removed this client from, and why."""
        self._site = site
        self._line = _Line(self, site.node.encoders.json_messages)
        kind = Kind(version=site.node.version)
        self._session = Session(
            site.node.channels, site.node.flusher, site.node.pulse, self._line, handshake, kind=kind
        )
        self._dispatcher = Dispatcher(self._session)
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._last = 0
        self._closed = False
        self._publications: dict[str, list[Received]] = {}
        self._joined: list[tuple[str, bool, Member]] = []

    # ------------------------------------------------------------------------------------------------------- commands

    async def subscribe(
        self, channel: str, *, since: Position | None = None, token: str = "", data: Any = None, **options: Any
    ) -> Subscribed:
        """Subscribe to a channel.

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
        return self._enter(channel, await self.command("subscribe", **asked))

    async def unsubscribe(self, channel: str) -> None:
        """Leave a channel."""
        await self.command("unsubscribe", channel=channel)
        self.subscriptions.pop(channel, None)

    async def subscribe_map(self, channel: str, *, holds: Literal["values", "clients", "users"] = "values") -> Values:
        """Subscribe to a map, and return what it holds by key. Changes arrive as publications with a `key`."""
        self.removed.pop(channel, None)
        asked: dict[str, Any] = {"channel": channel, "type": _MAP_TYPES[holds]}
        phase = {"phase": STATE_PHASE, "limit": _PAGE}
        values: dict[str, Received] = {}
        while True:
            found = await self.command("subscribe", **asked, **phase)
            _apply(values, found)
            if found.get("phase", LIVE_PHASE) == LIVE_PHASE:
                self.subscriptions[channel] = Subscribed.read(found)
                return values
            position = {"epoch": found.get("epoch", ""), "offset": found.get("offset", 0)}
            if cursor := found.get("cursor", ""):
                phase = {"phase": STATE_PHASE, "limit": _PAGE, "cursor": cursor, **position}
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
    ) -> Page:
        """Read what a channel keeps; see `hotclub.history`."""
        asked: dict[str, Any] = {"channel": channel, "limit": limit, "reverse": reverse}
        if since is not None:
            asked["since"] = {"epoch": since.epoch, "offset": since.offset}
        found = await self.command("history", **asked)
        publications = tuple(map(Received.read, found.get("publications", ())))
        return Page(publications, Position(found.get("epoch", ""), found.get("offset", 0)))

    async def presence(self, channel: str) -> dict[str, Member]:
        """Who is in a channel, by connection."""
        found = (await self.command("presence", channel=channel)).get("presence", {})
        return {name: Member.read(member) for name, member in found.items()}

    async def presence_stats(self, channel: str) -> PresenceStats:
        """How many are in a channel."""
        found = await self.command("presence_stats", channel=channel)
        return PresenceStats(found.get("num_clients", 0), found.get("num_users", 0))

    async def command(self, method: str, /, **fields: Any) -> dict[str, Any]:
        """Send any command of the protocol, and return its result as it stands on the wire.

        Raises:
            AssertionError: there was no answer in time.
        """
        if self.ended is not None:
            raise Disconnect(self.ended.code, self.ended.reason)
        number, reply = self._expect_reply()
        self._dispatcher.receive(msgspec.json.encode({"id": number, method: fields}))
        answer = await self._answer(reply, method)
        error = answer.get("error")
        if error is not None:
            raise Refused(error["code"], error["message"], temporary=error.get("temporary", False))
        result: dict[str, Any] = answer.get(method) or {}
        return result

    async def close(self) -> None:
        """Leave, as when a tab is closed. Returns when the hooks that this calls are done. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._site.connections.pop(self._session.id, None)
        self._session.lost()
        await self._dispatcher.stop()
        await self._session.end()

    # ----------------------------------------------------------------------------------------------------- assertions

    async def flush(self) -> None:
        """Return when everything that the site is to do has been done, and what it sent has arrived."""
        await self._site.settle()

    async def receive(self, channel: str) -> Received:
        """Take the next publication of a channel.

        Raises:
            AssertionError: there is none.
        """
        return await self.assert_received(channel, ANY)

    async def assert_received(self, channel: str, data: Any, *, key: str | None = None) -> Received:
        """Take the first publication of a channel with this data, and leave the others; `mock.ANY` fits everything.

        In maps `key` names the key that was set. One that was removed has the data None.

        Raises:
            AssertionError: there is none.
        """
        await self.flush()
        waiting = self._publications.get(channel, [])
        for index, publication in enumerate(waiting):
            if data == publication.data and key in (None, publication.key):
                return waiting.pop(index)
        raise AssertionError(f"{data!r} did not arrive in {channel!r}; {self._state(channel)}")

    async def assert_nothing_received(self, channel: str | None = None) -> None:
        """Nothing has come that no other assertion has taken: in this channel, or in any.

        Raises:
            AssertionError: something has.
        """
        await self.flush()
        found = {name: rest for name, rest in self._publications.items() if rest and channel in (None, name)}
        if found:
            raise AssertionError(f"publications arrived that nothing asked for: {found!r}")

    async def assert_joined(self, channel: str, user: Any = None) -> Member:
        """Take the first notice that somebody has joined a channel: this user or primary key, or anybody.

        Raises:
            AssertionError: there is none.
        """
        return await self._assert_membership(channel, True, user)

    async def assert_left(self, channel: str, user: Any = None) -> Member:
        """The same for somebody who has left."""
        return await self._assert_membership(channel, False, user)

    async def assert_unsubscribed(self, channel: str, code: int | None = None) -> Unsubscribed:
        """The server has removed this client from the channel, with this code or any.

        Raises:
            AssertionError: it has not.
        """
        await self.flush()
        reason = self.removed.get(channel)
        if reason is None or code not in (None, reason.code):
            raise AssertionError(f"not removed from {channel!r} with code {code}; {self._state(channel)}")
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

    async def _assert_membership(self, channel: str, joined: bool, user: Any) -> Member:
        await self.flush()
        wanted = ANY if user is None else str(getattr(user, "pk", user))
        for index, (name, came, member) in enumerate(self._joined):
            if name == channel and came is joined and wanted == member.user:
                del self._joined[index]
                return member
        raise AssertionError(f"no notice that {wanted!r} has {'joined' if joined else 'left'} {channel!r}")

    def _state(self, channel: str) -> str:
        """For the messages of assertions."""
        if self.ended is not None:
            return f"the connection was ended with {self.ended}"
        if channel in self.removed:
            reason = self.removed[channel]
            return f"the client was removed from it with {reason.code} {reason.reason}"
        if channel not in self.subscriptions:
            return f"the client is not in it, but in {sorted(self.subscriptions)}"
        return f"it holds {[item.data for item in self._publications.get(channel, [])]!r}"

    # ------------------------------------------------------------------------------------------------------- the line

    async def open(self, request: ConnectCommand) -> None:
        """Send the connect command; called once."""
        self._site.connections[self._session.id] = self
        number, reply = self._expect_reply()
        self._dispatcher.submit(number, request)
        answer = await self._answer(reply, "connect")
        error = answer.get("error")
        if error is not None:
            raise Refused(error["code"], error["message"], temporary=error.get("temporary", False))
        connected = answer["connect"]
        self.id, self.data = connected["client"], connected.get("data")
        for channel, found in connected.get("subs", {}).items():
            self._enter(channel, found)

    async def settle(self) -> None:
        """See `Site.settle`: a ping goes the way of every command, and its answer that of every message."""
        if self.ended is None and self._session.connected:
            await self._ask(PingCommand())

    async def _ask(self, request: Request) -> None:
        number, reply = self._expect_reply()
        # Not through `receive`: what a test waits for counts against no limit.
        self._dispatcher.submit(number, request)
        await asyncio.wait((reply,))
        self._replies.pop(number, None)

    def _expect_reply(self) -> "tuple[int, asyncio.Future[dict[str, Any]]]":
        self._last += 1
        reply = self._replies[self._last] = self._site.loop.create_future()
        return self._last, reply

    async def _answer(self, reply: "asyncio.Future[dict[str, Any]]", method: str) -> dict[str, Any]:
        try:
            async with asyncio.timeout(TIMEOUT):
                return await reply
        except TimeoutError:
            raise AssertionError(f"no answer to {method} within {TIMEOUT:g} s: does a hook hang?") from None

    def _enter(self, channel: str, found: Mapping[str, Any]) -> Subscribed:
        self.subscriptions[channel] = subscribed = Subscribed.read(found)
        self._publications.setdefault(channel, []).extend(map(Received.read, found.get("publications", ())))
        return subscribed

    def _check_place(self, channel: str) -> None:
        reason = self.removed.get(channel)
        if reason is not None:
            raise Unsubscribed(reason.code, reason.reason)

    def take(self, message: bytes) -> None:
        """A message from the server."""
        if message == _PONG:
            self._dispatcher.receive(_PONG)
            return
        decoded: dict[str, Any] = msgspec.json.decode(message)
        if "push" in decoded:
            self._pushed(decoded["push"])
            return
        reply = self._replies.pop(decoded["id"], None)
        if reply is not None and not reply.done():
            reply.set_result(decoded)

    def _pushed(self, push: Mapping[str, Any]) -> None:
        channel = push.get("channel", "")
        if "pub" in push:
            self._publications.setdefault(channel, []).append(Received.read(push["pub"]))
        elif "join" in push or "leave" in push:
            joined = "join" in push
            member = Member.read(push["join" if joined else "leave"]["info"])
            self._joined.append((channel, joined, member))
        elif "subscribe" in push:
            self._enter(channel, push["subscribe"])
        elif "unsubscribe" in push:
            told = push["unsubscribe"]
            self.subscriptions.pop(channel, None)
            self.removed[channel] = Unsubscribed(told["code"], told["reason"])

    def end(self, reason: Disconnect) -> None:
        """The server has ended the connection."""
        self.ended = reason
        self.subscriptions.clear()
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(Disconnect(reason.code, reason.reason))
                # Nobody may be waiting for it any more.
                reply.exception()
        self._replies.clear()
        self._site.node.channels.spawn(self.close())


def _apply(values: Values, found: Mapping[str, Any]) -> None:
    """What a page says of a map, changes after state."""
    for change in map(Received.read, (*found.get("state", ()), *found.get("publications", ()))):
        if change.removed:
            values.pop(change.key, None)
        else:
            values[change.key] = change


class _Line:
    """The session's way out."""

    def __init__(self, connection: Connection, encoder: Encoder) -> None:
        self.encoder = encoder
        self._connection = connection

    def write(self, frames: Sequence[bytes]) -> None:
        for frame in frames:
            self._connection.take(frame)

    def buffered(self) -> int:
        return 0

    def close(self, reason: Disconnect) -> None:
        self._connection.end(reason)
