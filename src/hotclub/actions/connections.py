"""Acting on live connections and asking about channels, from anywhere; sync names plain, async twins with `a`.

`disconnect`, `subscribe` and `unsubscribe` reach every process of the site. Inside a transaction they act when it
commits. The questions are answered by the node of this process.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from hotclub.channels.client import Client, user_id_of
from hotclub.channels.registry import Route, get_registry
from hotclub.durable.sql import read_history
from hotclub.engine.broker.base import HistoryQuery
from hotclub.engine.codes import Close, Code, Unsubscribe
from hotclub.engine.errors import Refused
from hotclub.engine.model import EMPTY, ClientInfo, HistoryPage, Position, PresenceStats
from hotclub.engine.target import Target
from hotclub.orders.messages import EndConnections, EndSubscriptions, Subscribe
from hotclub.orders.send import everywhere
from hotclub.runtime.encoding import encode
from hotclub.runtime.node import (
    aask_node,
    ask_node,
    in_thread,
    refuse_event_loop,
    require_node,
)

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser


def disconnect(
    user: "AbstractBaseUser | int | str | None" = None,
    *,
    session: str | None = None,
    client: Client | str | None = None,
    code: int = Close.FORCE_DISCONNECT,
    reason: str = "force disconnect",
) -> None:
    """End connections, in every process of the site, within a second.

    Args:
        user: the user, or the primary key, whose connections end; together with the others, all must match.
        session: a `Client.session_id`.
        client: one connection.
        code: 3500–3999 and 4500–4999 are final; after any other the client comes back. Applications use 4000–4999.
        reason: what the client is told.

    Raises:
        TypeError: nobody is named.
        ValueError: the user has no primary key, or the reason is not 1 to 123 bytes of plain text.
        SynchronousOnlyOperation: called where an event loop runs; await `adisconnect`.
    """
    refuse_event_loop("disconnect")
    everywhere(EndConnections(_somebody("disconnect", user, session, client), code, reason))


async def adisconnect(
    user: "AbstractBaseUser | int | str | None" = None,
    *,
    session: str | None = None,
    client: Client | str | None = None,
    code: int = Close.FORCE_DISCONNECT,
    reason: str = "force disconnect",
) -> None:
    """`disconnect` for async code."""
    await in_thread(everywhere, EndConnections(_somebody("disconnect", user, session, client), code, reason))


def unsubscribe(
    channel: str,
    *,
    user: "AbstractBaseUser | int | str | None" = None,
    client: Client | str | None = None,
    code: int = Unsubscribe.SERVER,
) -> None:
    """End subscriptions to a channel, in every process of the site: of everybody, of a user, or of one connection.

    Args:
        channel: the channel's name.
        user: the user, or the primary key.
        client: one connection.
        code: from 2500 on the client subscribes again, and `can_subscribe` decides anew.

    Raises:
        Refused: `UNKNOWN_CHANNEL`, no such channel.
        ValueError: the user has no primary key.
        SynchronousOnlyOperation: called where an event loop runs; await `aunsubscribe`.
    """
    refuse_event_loop("unsubscribe")
    get_registry().route(channel)
    everywhere(EndSubscriptions(_target(user, None, client), channel, code))


async def aunsubscribe(
    channel: str,
    *,
    user: "AbstractBaseUser | int | str | None" = None,
    client: Client | str | None = None,
    code: int = Unsubscribe.SERVER,
) -> None:
    """`unsubscribe` for async code."""
    get_registry().route(channel)
    await in_thread(everywhere, EndSubscriptions(_target(user, None, client), channel, code))


def subscribe(  # noqa: PLR0913 - whom, to what, and on which terms
    channel: str,
    *,
    user: "AbstractBaseUser | int | str | None" = None,
    session: str | None = None,
    client: Client | str | None = None,
    data: Any = None,
    info: Any = None,
    ttl: timedelta | None = None,
    since: Position | None = None,
) -> None:
    """Subscribe live connections to a channel by the server's will, in every process of the site, within a second.

    `can_subscribe` is not asked, and the clients need not know the channel. A signed-in client that comes
    back within ten minutes has it again, unless it was meant for one connection alone or taken away meanwhile; to have
    it always, let the `ON_CONNECT` hook return it.

    Args:
        channel: the channel's name.
        user: the user, or the primary key; together with the others, all must match.
        session: a `Client.session_id`.
        client: one connection.
        data: JSON for the subscribers.
        info: JSON that the channel's members see of them (`chan_info`).
        ttl: how long the subscription lasts; it ends the connection with 3006.
        since: where in the channel's log to begin.

    Raises:
        Refused: `UNKNOWN_CHANNEL`, no such channel; `NOT_AVAILABLE`, it is a map or a shared poll.
        TypeError: nobody is named.
        ValueError: the user has no primary key.
        SynchronousOnlyOperation: called where an event loop runs; await `asubscribe`.
    """
    refuse_event_loop("subscribe")
    target = _somebody("subscribe", user, session, client)
    subscribe_everywhere(_subscription(target, channel, data, info, ttl, since))


async def asubscribe(  # noqa: PLR0913 - as subscribe
    channel: str,
    *,
    user: "AbstractBaseUser | int | str | None" = None,
    session: str | None = None,
    client: Client | str | None = None,
    data: Any = None,
    info: Any = None,
    ttl: timedelta | None = None,
    since: Position | None = None,
) -> None:
    """`subscribe` for async code."""
    target = _somebody("subscribe", user, session, client)
    await in_thread(subscribe_everywhere, _subscription(target, channel, data, info, ttl, since))


def presence(channel: str) -> Mapping[str, ClientInfo]:
    """Who is in a channel, by client id.

    Raises:
        Refused: `UNKNOWN_CHANNEL`, no such channel; `NOT_AVAILABLE`, the channel has no presence.
        NoNode: no node runs in this process, or it gave no answer in time.
        SynchronousOnlyOperation: called where an event loop runs; await `apresence`.
    """
    refuse_event_loop("presence")
    node = require_node()
    return ask_node(node, node.presence_members(channel))


async def apresence(channel: str) -> Mapping[str, ClientInfo]:
    """`presence` for async code."""
    node = require_node()
    return await aask_node(node, node.presence_members(channel))


def presence_stats(channel: str) -> PresenceStats:
    """How many connections and users are in a channel. Raises like `presence`."""
    refuse_event_loop("presence_stats")
    node = require_node()
    return ask_node(node, node.presence_stats(channel))


async def apresence_stats(channel: str) -> PresenceStats:
    """`presence_stats` for async code."""
    node = require_node()
    return await aask_node(node, node.presence_stats(channel))


def history(channel: str, *, limit: int = 100, since: Position | None = None, reverse: bool = False) -> HistoryPage:
    """What is kept of a channel, oldest first, and the top of its log.

    A durable channel is read in the caller's transaction, in any process; another one in its server's process only.

    Args:
        channel: the channel's name.
        limit: most publications; 0 reads the top alone, -1 everything kept.
        since: only what came after this position; with `reverse`, before it.
        reverse: newest first.

    Raises:
        Refused: `UNKNOWN_CHANNEL`, no such channel; `NOT_AVAILABLE`, the channel has no history.
        UnrecoverablePosition: `since` names another epoch.
        NoNode: the channel is not durable, and no node runs in this process or it gave no answer in time.
        SynchronousOnlyOperation: called where an event loop runs; await `ahistory`.
    """
    refuse_event_loop("history")
    query = HistoryQuery(limit=limit, since=since, reverse=reverse)
    route = get_registry().route(channel)
    if route.spec.durable:
        return _durable_history(route, channel, query)
    node = require_node()
    return ask_node(node, node.history(channel, query))


async def ahistory(
    channel: str, *, limit: int = 100, since: Position | None = None, reverse: bool = False
) -> HistoryPage:
    """`history` for async code."""
    query = HistoryQuery(limit=limit, since=since, reverse=reverse)
    route = get_registry().route(channel)
    if route.spec.durable:
        return await in_thread(_durable_history, route, channel, query)
    node = require_node()
    return await aask_node(node, node.history(channel, query))


def _durable_history(route: Route, channel: str, query: HistoryQuery) -> HistoryPage:
    return read_history(channel, query, route.spec.retention)


def subscribe_everywhere(order: Subscribe) -> None:
    """`subscribe` for an order that is made already. Synchronous. Raises Refused `UNKNOWN_CHANNEL` and `NOT_AVAILABLE`,
    see there."""
    spec = order.overrides.of(get_registry().route(order.channel).spec)
    if spec.map is not None or spec.poll is not None:
        raise Refused(Code.NOT_AVAILABLE, "a map or a shared poll has no subscribers by the server's will")
    everywhere(order)


def _subscription(
    target: Target, channel: str, data: Any, info: Any, ttl: timedelta | None, since: Position | None
) -> Subscribe:
    return Subscribe(
        target=target,
        channel=channel,
        data=EMPTY if data is None else encode(data),
        info=EMPTY if info is None else encode(info),
        ttl=0 if ttl is None else max(1, int(ttl.total_seconds())),
        since=since,
    )


def _somebody(
    function: str, user: "AbstractBaseUser | int | str | None", session: str | None, client: Client | str | None
) -> Target:
    if user is None and not session and client is None:
        raise TypeError(f"{function}() needs a user, a session or a client")
    return _target(user, session, client)


def _target(user: "AbstractBaseUser | int | str | None", session: str | None, client: Client | str | None) -> Target:
    return Target(
        user_id=None if user is None else user_id_of(user),
        session_id=session,
        client_id=client.id if isinstance(client, Client) else client,
    )
