"""Subscriptions that the server gives to live connections (protocol §3.5)."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

from hotclub.engine.commands.opening import Terms, go_live, open_subscription
from hotclub.engine.errors import Disconnect, Refused
from hotclub.engine.failures import surviving
from hotclub.engine.observe import logger
from hotclub.engine.port import SubscribeGrant
from hotclub.engine.protocol.connection import State
from hotclub.engine.protocol.messages import Push, SubscribePush
from hotclub.engine.session import Session
from hotclub.engine.target import Target

_AT_ONE_TIME: Final = 32
"""How many connections one order subscribes at the same time: one whose hooks are slow must not hold up the others."""


async def subscribe_all(sessions: Sequence[Session], target: Target, terms: Terms, grant: SubscribeGrant) -> None:
    """Subscribe the connections of an order, each as `subscribe_from_server`.

    Args:
        sessions: the connections.
        target: what the order names. A grant to one connection ends with it; a grant to a user or a login lasts until
            its client is back.
        terms: the terms of the subscriptions.
        grant: what was granted.

    A cancellation withdraws the subscriptions that are under way.
    """
    free = asyncio.Semaphore(_AT_ONE_TIME)

    async def subscribe(session: Session) -> None:
        lasts = target.client_id is None and target.login_id in (None, session.login)
        async with free:
            await subscribe_from_server(session, terms, grant if lasts else None)

    await asyncio.gather(*map(subscribe, sessions))


async def subscribe_from_server(session: Session, terms: Terms, grant: SubscribeGrant | None) -> None:
    """Subscribe a connection by the server's will, and tell its client (protocol §3.5).

    A connection that is still connecting is subscribed after its connect reply. A connection that has ended or is
    subscribed already is left as it is. What keeps a connection from being subscribed is logged, or ends it.

    Args:
        session: the connection.
        terms: the terms of the subscription.
        grant: what the client's next connection is granted again; None for nothing.

    A cancellation before the client is told withdraws the subscription.
    """
    if session.state is State.CONNECTING:
        session.postponed.append(partial(subscribe_from_server, session, terms, grant))
        return
    with surviving("The server could not subscribe a connection"):
        try:
            await _be_subscribed(session, terms, grant)
        except Disconnect as reason:
            session.close(reason)
        except Refused:
            logger.info("A connection was unsubscribed while it was being subscribed")


async def _be_subscribed(session: Session, terms: Terms, grant: SubscribeGrant | None) -> None:
    if session.closed or terms.channel.name in session.subscribers:
        return
    opening = await open_subscription(session, terms)
    if grant is not None:
        session.be_given(opening.subscriber, grant)
    result = opening.result
    told = SubscribePush(result.recoverable, result.positioned, result.epoch, result.offset, result.data)
    session.push(Push(terms.channel.name, subscribe=told))
    for publication in result.publications:
        # Unlike a subscribe reply, a subscribe push has no field for publications.
        session.outbox.push(opening.subscriber.form.frame(terms.channel.name, publication))
    await go_live(session, opening)
