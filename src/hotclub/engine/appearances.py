"""Who is visible in the channels of this node: in presence, in maps of members, and by joins and leaves (§2.5).

The member of a connection that is lost without a goodbye *lingers* for `limits.presence_grace` seconds. When the same
user comes back with the same login and the same info within that time, the new connection takes the place of the old
one, and nobody is told of a leave or a join. Anonymous connections cannot be told apart, so none of theirs lingers.
"""

import heapq
import math
from collections import Counter
from collections.abc import Callable, Coroutine
from itertools import count
from time import monotonic
from typing import Any, Final

from msgspec import Struct, structs

from hotclub.engine.failures import surviving
from hotclub.engine.hub import Hub
from hotclub.engine.maps import Maps
from hotclub.engine.model import ClientInfo
from hotclub.engine.port import Client, ResolvedChannel, Subscribes
from hotclub.engine.presence.base import Presence
from hotclub.engine.protocol.messages import Membership, Push
from hotclub.engine.subscriber import Subscriber
from hotclub.engine.turns import Turn

_NAMES: Final = 8
"""By how many ids of earlier connections a member may be known."""
_NOT_GONE: Final = "A member who left was not wholly withdrawn"

_Owner = tuple[str, str, str]
"""A channel, a user and a login."""


class _Member(Struct, frozen=True, eq=False):
    """A member whose connection is lost. `names` are the ids under which other members may know it beside its own."""

    client: Client
    channel: ResolvedChannel
    info: ClientInfo
    names: tuple[str, ...]


class Appearances:
    """The members of the channels of one node. All methods belong to the node's event loop."""

    def __init__(
        self,
        hooks: Subscribes,
        hub: Hub,
        presence: Presence,
        maps: Maps,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Nobody is visible. `spawn` runs a hook that nobody waits for; `clock` returns seconds."""
        self._hooks = hooks
        self._hub = hub
        self._presence = presence
        self._maps = maps
        self._spawn = spawn
        self._clock = clock
        self._visible: dict[Subscriber, Client] = {}
        self._places: Counter[tuple[str, str]] = Counter()
        """By channel and user, how many members there are, those that linger included."""
        self._names: dict[Subscriber, tuple[str, ...]] = {}
        """The members that have taken the place of others: under which other ids they are known."""
        self._lingering: dict[_Owner, dict[str, _Member]] = {}
        """By owner and id of the lost connection, the one that was lost first stands first."""
        self._due: list[tuple[float, int, _Owner, str]] = []
        """A heap: when a member has lingered for its time, a number that tells equal times apart, owner and id."""
        self._numbers = count()
        self._stopped = False

    async def appear(self, client: Client, subscriber: Subscriber) -> None:
        """Make a subscriber visible, and tell the members and the application of its join.

        A member of the same owner and info that lingers is replaced, and nobody is told. A failure is logged, and the
        next step follows. A cancelled call may have shown the subscriber; `linger` or `disappear` must follow.
        """
        channel, info = subscriber.resolved, subscriber.info
        former = self._take_back(client, channel, info)
        self._visible[subscriber] = client
        subscriber.present = True
        self._places[channel.name, info.user] += 1
        if former is not None:
            self._leave_place(former)
            self._names[subscriber] = (*former.names, former.info.client)[-_NAMES:]
        with surviving("A subscriber could not be shown to its channel"):
            await self._show(channel, info, joins=former is None)
        if former is not None:
            await self._withdraw(channel, former.info)
        elif channel.spec.presence:
            await self._note(client, channel, joined=True)
        if subscriber not in self._visible and not self._lingers(client, channel, info):
            # The subscription ended while it appeared, and its member may have been withdrawn too early.
            await self._withdraw(channel, info)

    async def _show(self, channel: ResolvedChannel, info: ClientInfo, *, joins: bool) -> None:
        if channel.spec.presence:
            await self._presence.touch(channel.name, info)
        if joins and channel.spec.join_leave:
            self._hub.announce(Push(channel.name, join=Membership(info)))
        await self._maps.appear(channel.spec, info)

    def linger(self, subscriber: Subscriber, grace: float) -> None:
        """Keep the member of a lost connection for `grace` seconds. Does nothing for one that is not visible, for an
        anonymous one, and without grace: `disappear` withdraws those."""
        client = self._visible.get(subscriber)
        if client is None or not client.user_id or grace <= 0 or self._stopped:
            return
        member = self._hide(subscriber, client)
        owner = _owner(client, member.channel)
        self._lingering.setdefault(owner, {})[member.info.client] = member
        heapq.heappush(self._due, (self._clock() + grace, next(self._numbers), owner, member.info.client))

    async def disappear(self, subscriber: Subscriber) -> None:
        """Withdraw a subscriber, and tell the members and the application that it left. Idempotent.

        A failure is logged, and the next step follows.
        """
        client = self._visible.get(subscriber)
        if client is not None:
            member = self._hide(subscriber, client)
            await self._leave(member)
            if member.channel.spec.presence:
                await self._note(client, member.channel, joined=False)

    def _hide(self, subscriber: Subscriber, client: Client) -> _Member:
        del self._visible[subscriber]
        subscriber.present = False
        names = self._names.pop(subscriber, ())
        return _Member(client, subscriber.resolved, subscriber.info, names)

    async def _leave(self, member: _Member) -> None:
        channel, info = member.channel, member.info
        self._leave_place(member)
        if channel.spec.join_leave:
            for name in (*member.names, info.client):
                self._hub.announce(Push(channel.name, leave=Membership(structs.replace(info, client=name))))
        await self._withdraw(channel, info)

    def _leave_place(self, member: _Member) -> None:
        place = member.channel.name, member.info.user
        self._places[place] -= 1
        if not self._places[place]:
            del self._places[place]

    async def _withdraw(self, channel: ResolvedChannel, info: ClientInfo) -> None:
        """Drop the entries of a member, without telling anybody. Idempotent."""
        if channel.spec.presence:
            with surviving(_NOT_GONE):
                await self._presence.drop(channel.name, info.client)
        with surviving(_NOT_GONE):
            alone = (channel.name, info.user) not in self._places
            await self._maps.disappear(channel.spec, info, user=alone)

    async def _note(self, client: Client, channel: ResolvedChannel, *, joined: bool) -> None:
        with surviving("A join or a leave was not wholly noted"):
            await self._hooks.presence_changed(client, channel, joined=joined)

    async def renew(self) -> None:
        """Renew the entries of every member, before `limits.presence_ttl` is over. A failure is logged, and the others
        are renewed all the same."""
        turn = Turn()
        for subscriber in [*self._visible]:
            if subscriber in self._visible:
                with surviving("A member was not renewed"):
                    await self._renew(subscriber.resolved, subscriber.info)
            await turn.give_way()

    async def _renew(self, channel: ResolvedChannel, info: ClientInfo) -> None:
        if channel.spec.presence:
            await self._presence.touch(channel.name, info)
        await self._maps.appear(channel.spec, info)

    async def expire(self) -> None:
        """Withdraw the members that have lingered for their time, as `disappear`. To be called several times a second.
        The application's hooks run in tasks of their own."""
        await self._let_go(self._clock())

    async def stop(self) -> None:
        """Withdraw every member that lingers, and let none linger from now on. Idempotent."""
        self._stopped = True
        await self._let_go(math.inf)

    async def _let_go(self, until: float) -> None:
        turn = Turn()
        while self._due and self._due[0][0] <= until:
            _, _, owner, name = heapq.heappop(self._due)
            member = self._taken(owner, name)
            if member is not None:
                await self._leave(member)
                if member.channel.spec.presence:
                    self._spawn(self._note(member.client, member.channel, joined=False))
            await turn.give_way()

    def _take_back(self, client: Client, channel: ResolvedChannel, info: ClientInfo) -> _Member | None:
        """Take out the member that this connection replaces: the first that was lost and looks the same."""
        owner = _owner(client, channel)
        for name, member in self._lingering.get(owner, {}).items():
            same = member.info.conn_info == info.conn_info and member.info.chan_info == info.chan_info
            if same and member.channel.spec == channel.spec:
                return self._taken(owner, name)
        return None

    def _taken(self, owner: _Owner, name: str) -> _Member | None:
        members = self._lingering.get(owner, {})
        member = members.pop(name, None)
        if member is not None and not members:
            del self._lingering[owner]
        return member

    def _lingers(self, client: Client, channel: ResolvedChannel, info: ClientInfo) -> bool:
        return info.client in self._lingering.get(_owner(client, channel), ())


def _owner(client: Client, channel: ResolvedChannel) -> _Owner:
    return channel.name, client.user_id, client.login_id
