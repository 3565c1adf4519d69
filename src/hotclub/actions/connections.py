"""Ends and subscribes live connections, and answers questions about channels. Async twins have an `a` in front.

`disconnect`, `subscribe` and `unsubscribe` reach every process of the site. Inside a transaction they act when it
commits. The node of this process answers the questions.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from hotclub.channels.client import AnyUser, Client, user_id_of
from hotclub.channels.registry import Route, get_registry
from hotclub.channels.results import ClientInfo, HistoryPage
from hotclub.durable.sql import read_history
from hotclub.engine import model
from hotclub.engine.broker.base import HistoryQuery
from hotclub.engine.codes import Close, Code, Unsubscribe
from hotclub.engine.errors import Refused
from hotclub.engine.model import EMPTY, Position, PresenceStats
from hotclub.engine.names import normal
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


def disconnect(
    user: "AnyUser | None" = None,
    *,
    login: str | None = None,
    client: Client | str | None = None,
    code: int = Close.FORCE_DISCONNECT,
    reason: str = "force disconnect",
) -> None:
    """End connections, in every process of the site, within a second.

    A connection ends when it matches all of `user`, `login` and `client` that are given. Inside a transaction the
    connections end with the commit.

    Args:
        user: the user, or the primary key.
        login: a `Client.login_id`: the connections of one browser's login.
        client: one connection: a `Client`, or its `id`.
        code: 3500–3999 and 4500–4999 are final; after any other the client comes back. Applications use 4000–4999.
        reason: the text that the client gets.

    Raises:
        TypeError: `user`, `login` and `client` are all missing.
        ValueError: the user is unsaved, anonymous or not a primary key, `login` or `client` is "", or the reason is not
            1 to 123 bytes of plain text.
        SynchronousOnlyOperation: the function was called where an event loop runs; await `adisconnect`.
    """
    refuse_event_loop("disconnect")
    everywhere(EndConnections(_somebody("disconnect", user, login, client), code, reason))


async def adisconnect(
    user: "AnyUser | None" = None,
    *,
    login: str | None = None,
    client: Client | str | None = None,
    code: int = Close.FORCE_DISCONNECT,
    reason: str = "force disconnect",
) -> None:
    """`disconnect` for async code. A cancelled call may have ended connections; repeating it does no harm."""
    await in_thread(everywhere, EndConnections(_somebody("disconnect", user, login, client), code, reason))


def unsubscribe(
    channel: str,
    *,
    user: "AnyUser | None" = None,
    client: Client | str | None = None,
    code: int = Unsubscribe.SERVER,
) -> None:
    """End subscriptions to a channel, in every process of the site.

    The subscriptions of the connections that match both `user` and `client` end; without either, all of them end.
    Inside a transaction they end with the commit.

    Args:
        channel: the channel's name.
        user: the user, or the primary key.
        client: one connection: a `Client`, or its `id`.
        code: from 2500 on the client subscribes again, and `can_subscribe` decides anew.

    Raises:
        Refused: `UNKNOWN_CHANNEL`, no such channel.
        ValueError: the user is unsaved, anonymous or not a primary key, or `client` is "".
        SynchronousOnlyOperation: the function was called where an event loop runs; await `aunsubscribe`.
    """
    refuse_event_loop("unsubscribe")
    name = get_registry().route(channel).name
    everywhere(EndSubscriptions(_target(user, None, client), name, code))


async def aunsubscribe(
    channel: str,
    *,
    user: "AnyUser | None" = None,
    client: Client | str | None = None,
    code: int = Unsubscribe.SERVER,
) -> None:
    """`unsubscribe` for async code. A cancelled call may have ended subscriptions; repeating it does no harm."""
    name = get_registry().route(channel).name
    await in_thread(everywhere, EndSubscriptions(_target(user, None, client), name, code))


def subscribe(  # noqa: PLR0913 - the connections, the channel and the terms
    channel: str,
    *,
    user: "AnyUser | None" = None,
    login: str | None = None,
    client: Client | str | None = None,
    data: Any = None,
    info: Any = None,
    ttl: timedelta | None = None,
    since: Position | None = None,
) -> None:
    """Subscribe live connections to a channel by the server's will, in every process of the site, within a second.

    The server subscribes the connections that match all of `user`, `login` and `client` that are given. It does not
    ask `can_subscribe`. A signed-in client that comes back within ten minutes gets the subscription again, unless it
    was for one connection alone or has been ended. For a subscription at every connect, return the channel from the
    `ON_CONNECT` hook.

    Args:
        channel: the channel's name.
        user: the user, or the primary key.
        login: a `Client.login_id`: the connections of one browser's login.
        client: one connection: a `Client`, or its `id`.
        data: JSON for the subscribers.
        info: JSON that the channel's members see of the subscribers (`chan_info`).
        ttl: how long the subscription lasts, None for ever. Its end also ends the connection, with 3006.
        since: the position after which the subscribers first get what the channel keeps; None for nothing.

    Raises:
        Refused: `UNKNOWN_CHANNEL`, no such channel; `NOT_AVAILABLE`, it is a map or a shared poll.
        TypeError: `user`, `login` and `client` are all missing, or JSON cannot hold `data` or `info`.
        ValueError: the user is unsaved, anonymous or not a primary key, `login` or `client` is "", or JSON cannot hold
            `data` or `info`.
        SynchronousOnlyOperation: the function was called where an event loop runs; await `asubscribe`.
    """
    refuse_event_loop("subscribe")
    target = _somebody("subscribe", user, login, client)
    subscribe_everywhere(_subscription(target, channel, data, info, ttl, since))


async def asubscribe(  # noqa: PLR0913 - as subscribe
    channel: str,
    *,
    user: "AnyUser | None" = None,
    login: str | None = None,
    client: Client | str | None = None,
    data: Any = None,
    info: Any = None,
    ttl: timedelta | None = None,
    since: Position | None = None,
) -> None:
    """`subscribe` for async code. A cancelled call may have subscribed connections; repeating it does no harm."""
    target = _somebody("subscribe", user, login, client)
    await in_thread(subscribe_everywhere, _subscription(target, channel, data, info, ttl, since))


def presence(channel: str) -> Mapping[str, ClientInfo]:
    """Return the members of a channel, from synchronous code.

    Args:
        channel: the channel's name.

    Returns:
        The members by `Client.id`. Their `conn_info` and `chan_info` are decoded JSON.

    Raises:
        Refused: `UNKNOWN_CHANNEL`, no such channel; `NOT_AVAILABLE`, the channel has no presence.
        NoNode: no node runs in this process, or its event loop gave no answer in time.
        SynchronousOnlyOperation: the function was called where an event loop runs; await `apresence`.
    """
    refuse_event_loop("presence")
    node = require_node()
    return _members(ask_node(node, node.presence_members(normal(channel))))


async def apresence(channel: str) -> Mapping[str, ClientInfo]:
    """`presence` for async code. Nothing is changed, so a cancelled call leaves nothing behind."""
    return _members(await read_members(channel))


def presence_stats(channel: str) -> PresenceStats:
    """Count the connections and users in a channel, from synchronous code.

    Args:
        channel: the channel's name.

    Returns:
        The numbers. All anonymous connections count as one user.

    Raises:
        Refused: `UNKNOWN_CHANNEL`, no such channel; `NOT_AVAILABLE`, the channel has no presence.
        NoNode: no node runs in this process, or its event loop gave no answer in time.
        SynchronousOnlyOperation: the function was called where an event loop runs; await `apresence_stats`.
    """
    refuse_event_loop("presence_stats")
    node = require_node()
    return ask_node(node, node.presence_stats(normal(channel)))


async def apresence_stats(channel: str) -> PresenceStats:
    """`presence_stats` for async code. Nothing is changed, so a cancelled call leaves nothing behind."""
    node = require_node()
    return await aask_node(node, node.presence_stats(normal(channel)))


def history(channel: str, *, limit: int = 100, since: Position | None = None, reverse: bool = False) -> HistoryPage:
    """Read the kept publications of a channel and the top of its log, from synchronous code.

    A durable channel is read in the caller's transaction, in any process. Other channels are read in a server process.

    Args:
        channel: the channel's name.
        limit: the most publications; 0 reads the top alone, -1 everything kept.
        since: only what came after this position; with `reverse`, before it.
        reverse: return the newest publication first, instead of the oldest.

    Returns:
        The page. A publication's `data` is decoded JSON, its `raw` the bytes.

    Raises:
        Refused: `UNKNOWN_CHANNEL`, no such channel; `NOT_AVAILABLE`, the channel has no history.
        UnrecoverablePosition: `since` names another epoch: the log cannot be continued from there.
        NoNode: the channel is not durable, and no node runs in this process or its event loop gave no answer in time.
        SynchronousOnlyOperation: the function was called where an event loop runs; await `ahistory`.
    """
    refuse_event_loop("history")
    query = HistoryQuery(limit=limit, since=since, reverse=reverse)
    route = get_registry().route(channel)
    if route.spec.durable:
        return HistoryPage.of(_durable_history(route, query))
    node = require_node()
    return HistoryPage.of(ask_node(node, node.history(route.name, query)))


async def ahistory(
    channel: str, *, limit: int = 100, since: Position | None = None, reverse: bool = False
) -> HistoryPage:
    """`history` for async code. Nothing is changed, so a cancelled call leaves nothing behind."""
    return HistoryPage.of(await read_page(channel, HistoryQuery(limit=limit, since=since, reverse=reverse)))


async def read_page(channel: str, query: HistoryQuery) -> model.HistoryPage:
    """Read a channel's log, and leave payloads as bytes. Raises as `history`.

    A cancelled call leaves nothing behind.
    """
    route = get_registry().route(channel)
    if route.spec.durable:
        return await in_thread(_durable_history, route, query)
    node = require_node()
    return await aask_node(node, node.history(route.name, query))


async def read_members(channel: str) -> Mapping[str, model.ClientInfo]:
    """Return a channel's members by client id, and leave payloads as bytes. Raises as `presence`.

    A cancelled call leaves nothing behind.
    """
    node = require_node()
    return await aask_node(node, node.presence_members(normal(channel)))


def _members(members: Mapping[str, model.ClientInfo]) -> Mapping[str, ClientInfo]:
    return {client: ClientInfo.of(info) for client, info in members.items()}


def _durable_history(route: Route, query: HistoryQuery) -> model.HistoryPage:
    return read_history(route.name, query, route.spec.retention)


def subscribe_everywhere(order: Subscribe) -> None:
    """Check an order to subscribe, and give it to every node. Synchronous.

    Raises:
        Refused: `UNKNOWN_CHANNEL`, no such channel; `NOT_AVAILABLE`, it is a map or a shared poll, or an override needs
            what the channel does not keep.
    """
    spec = order.overrides.of(get_registry().route(order.channel).spec)
    if spec.map is not None or spec.poll is not None:
        raise Refused(Code.NOT_AVAILABLE, "a map or a shared poll has no subscribers by the server's will")
    everywhere(order)


def _subscription(
    target: Target, channel: str, data: Any, info: Any, ttl: timedelta | None, since: Position | None
) -> Subscribe:
    return Subscribe(
        target=target,
        channel=normal(channel),
        data=EMPTY if data is None else encode(data),
        info=EMPTY if info is None else encode(info),
        ttl=0 if ttl is None else max(1, int(ttl.total_seconds())),
        since=since,
    )


def _somebody(function: str, user: "AnyUser | None", login: str | None, client: Client | str | None) -> Target:
    if user is None and not login and client is None:
        raise TypeError(f"{function}() needs a user, a login or a client")
    return _target(user, login, client)


def _target(user: "AnyUser | None", login: str | None, client: Client | str | None) -> Target:
    if "" in (login, client):
        raise ValueError('the login or client "" is none, so it names no connection')
    return Target(
        user_id=None if user is None else user_id_of(user),
        login_id=login,
        client_id=client.id if isinstance(client, Client) else client,
    )
