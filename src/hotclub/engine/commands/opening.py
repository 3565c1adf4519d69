"""The story of subscribing, as named steps, each with its undo (protocol §3.2).

authorise → enter the hub, buffering → link the broker → read the log → recover, or say that it cannot → reply →
release the buffer → appear. Whatever fails on the way, `withdraw` undoes what was done.
"""

import asyncio
from functools import partial

from msgspec import Raw, Struct, structs

from hotclub.engine.broker.base import HistoryQuery
from hotclub.engine.codes import Close, Code
from hotclub.engine.errors import Disconnect, Refused
from hotclub.engine.model import EMPTY, Position, Publication
from hotclub.engine.port import ChannelSpec, Predicate, SubscribeGrant
from hotclub.engine.protocol.connection import State
from hotclub.engine.protocol.messages import Push, SubscribePush, SubscribeResult
from hotclub.engine.recovery import Recovery, merge, recover, recover_cache
from hotclub.engine.session import Session
from hotclub.engine.shape import chain
from hotclub.engine.subscriber import Subscriber


class Terms(Struct, frozen=True, kw_only=True):
    """What an authorised subscription asks for.

    `asked` is the position to recover from, `ttl` its life in seconds (0 for ever), `admits` what it lets through by
    tags; `delta` and `compact` are what was agreed on. With `unasked` the application has still to be asked what it
    lets through.
    """

    channel: str
    spec: ChannelSpec
    chan_info: Raw = EMPTY
    data: Raw = EMPTY
    asked: Position | None = None
    reject_unrecovered: bool = False
    server_side: bool = False
    delta: bool = False
    compact: bool = False
    admits: Predicate | None = None
    unasked: bool = False
    ttl: int = 0


class Opening(Struct, frozen=True, kw_only=True):
    """A subscription up to its reply: send `result`, then call `go_live`."""

    subscriber: Subscriber
    result: SubscribeResult


async def open_subscription(session: Session, terms: Terms) -> Opening:
    """Take every step up to the reply.

    Raises:
        Refused: `UNRECOVERABLE_POSITION` when `terms.reject_unrecovered` and the position cannot be recovered;
            `PERMISSION_DENIED` when the server ended the subscription meanwhile; `NOT_AVAILABLE` for a map or a shared
            poll.
        Disconnect: `INSUFFICIENT_STATE` when the log and what arrived meanwhile do not join; `CONNECTION_CLOSED` when
            the connection has ended.

    On any exception, cancellation included, nothing of the subscription is left.
    """
    if terms.spec.map is not None or terms.spec.poll is not None:
        raise Refused(Code.NOT_AVAILABLE, "a map or a shared poll has no subscribers by the server's will")
    subscriber = enter(session, terms)
    try:
        if terms.unasked:
            subscriber.filter(await session.application.admits(session.client, terms.channel))
        await session.channels.link(terms.channel, terms.spec)
        result = agreed(subscriber, await _position(session, subscriber, terms), data=terms.data, ttl=terms.ttl)
        still_wanted(session, subscriber)
    except BaseException:
        await withdraw(session, subscriber)
        raise
    return Opening(subscriber=subscriber, result=result)


def enter(session: Session, terms: Terms) -> Subscriber:
    """Take the place that the terms describe. `withdraw` undoes it.

    Raises:
        Refused: `ALREADY_SUBSCRIBED`, it was taken while the application decided.
    """
    if terms.channel in session.subscribers:
        raise Refused(Code.ALREADY_SUBSCRIBED)
    subscriber = session.enter(
        terms.channel,
        terms.spec,
        terms.chan_info,
        server_side=terms.server_side,
        delta=terms.delta,
        compact=terms.compact,
    )
    subscriber.filter(terms.admits)
    return subscriber


def agreed(subscriber: Subscriber, result: SubscribeResult, *, data: Raw, ttl: int) -> SubscribeResult:
    """What goes into every reply, whatever the log said."""
    return structs.replace(
        result,
        data=data,
        expires=ttl > 0,
        ttl=ttl,
        delta=subscriber.form.delta,
        id=subscriber.form.number,
        publications=_visible(subscriber, result.publications),
        publish_debounce=subscriber.spec.debounce,
    )


def _visible(subscriber: Subscriber, publications: tuple[Publication, ...]) -> tuple[Publication, ...]:
    """What of a replay this subscriber gets. Filtered ones counted in the gap check all the same."""
    if subscriber.admits is not None:
        publications = tuple(item for item in publications if subscriber.admits(item.tags))
    if not subscriber.form.encoder.codec.binary and any(publication.binary for publication in publications):
        raise Disconnect(Close.INAPPROPRIATE_PROTOCOL)
    if not subscriber.form.delta:
        return publications
    for publication in publications:
        subscriber.rebase(publication)
    return chain(subscriber.form.encoder.codec, publications)


async def withdraw(session: Session, subscriber: Subscriber) -> None:
    """Undo every step, as far as they were taken. A cancelled caller waits for it all the same: nobody else knows of
    the place any more."""
    session.leave(subscriber)
    work = asyncio.ensure_future(session.retire(subscriber))
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        await work
        raise


def still_wanted(session: Session, subscriber: Subscriber) -> None:
    """Raise when the connection has ended or the server has ended the subscription meanwhile."""
    if session.closed:
        raise Disconnect(Close.CONNECTION_CLOSED)
    if subscriber.expelled or session.subscribers.get(subscriber.channel) is not subscriber:
        raise Refused(Code.PERMISSION_DENIED)


async def _position(session: Session, subscriber: Subscriber, terms: Terms) -> SubscribeResult:
    """Read the log, recover, and put what was buffered meanwhile behind it.

    From the merge to the return nothing awaits, so the buffer is complete; what comes between the return and
    `go_live` is appended to it and sent from there.
    """
    recovering = terms.asked is not None
    if not terms.spec.positioned:
        return SubscribeResult(was_recovering=recovering)
    asked = terms.asked if terms.spec.recoverable else None
    page = await session.channels.history(terms.channel, _query(session, terms.spec, asked))
    if terms.spec.cache:
        outcome, asked = recover_cache(asked, page.top, page.publications), asked or page.top
    else:
        outcome = _recover(session, asked, page.top, page.publications)
    if not outcome.recovered and terms.asked is not None and terms.spec.recoverable and terms.reject_unrecovered:
        raise Refused(Code.UNRECOVERABLE_POSITION)
    buffered = take_buffer(subscriber, page.top.epoch)
    start = outcome.start(asked, page.top)
    newer = merge(outcome.publications, buffered, start)
    top = max(page.top.offset, newer[-1].offset if newer else 0)
    subscriber.epoch, subscriber.offset = page.top.epoch, top
    return SubscribeResult(
        recoverable=terms.spec.recoverable,
        positioned=True,
        epoch=page.top.epoch,
        # A recovering client walks on from where it was; any other starts at the top (protocol §3.1).
        offset=(start if terms.asked is None else max(terms.asked.offset, 0)) if outcome.recovered else top,
        publications=newer if outcome.recovered else (),
        recovered=outcome.recovered,
        was_recovering=recovering or asked is not None,
    )


def _query(session: Session, spec: ChannelSpec, asked: Position | None) -> HistoryQuery:
    if spec.cache:
        return HistoryQuery(limit=1, reverse=True)
    if asked is None:
        return HistoryQuery()
    return HistoryQuery(limit=session.limits.recovery_publications, since=Position("", max(asked.offset, 0)))


def _recover(
    session: Session, asked: Position | None, top: Position, publications: tuple[Publication, ...]
) -> Recovery:
    if asked is None:
        return Recovery(recovered=False)
    if sum(len(bytes(publication.data)) for publication in publications) > session.limits.outbox_bytes:
        # More than a connection may hold unread: reloading is cheaper for both sides.
        return Recovery(recovered=False)
    return recover(asked, top, publications)


def take_buffer(subscriber: Subscriber, epoch: str) -> list[Publication]:
    """What arrived since `enter`. A publication of another log than the one just read ends the connection; what belongs
    to no log goes on waiting."""
    buffered = subscriber.buffer or []
    subscriber.buffer = [item for item in buffered if not item[1].offset]
    if any(seen != epoch for seen, publication in buffered if publication.offset):
        raise Disconnect(Close.INSUFFICIENT_STATE)
    return [publication for _, publication in buffered if publication.offset]


async def go_live(session: Session, opening: Opening) -> None:
    """After the reply is in the outbox: send what waited, let publications pass, and become visible to the members.

    The publications are let through before anything awaits. The subscriber sees its own join.
    """
    subscriber = opening.subscriber
    waiting, subscriber.buffer = subscriber.buffer or [], None
    session.expire_subscription_in(subscriber, opening.result.ttl)
    for epoch, publication in waiting:
        session.hub.deliver_among(subscriber.channel, (subscriber,), publication, epoch)
    if subscriber.held is not None:
        session.hub.release(subscriber)
    spec = subscriber.spec
    if not spec.visible or not _is_current(session, subscriber):
        return
    subscriber.present = True
    await session.channels.appear(subscriber.channel, spec, subscriber.info)
    if spec.presence:
        await session.application.presence_changed(subscriber.channel, session.client, joined=True)
    if not _is_current(session, subscriber):
        # The server ended it while it appeared: its undo may have come first, and dropping twice is harmless.
        await session.channels.vanish(subscriber.channel, spec, subscriber.info)


def _is_current(session: Session, subscriber: Subscriber) -> bool:
    return not session.closed and session.subscribers.get(subscriber.channel) is subscriber


async def subscribe_from_server(session: Session, terms: Terms, grant: SubscribeGrant | None) -> None:
    """Subscribe a connection by the server's will, and tell its client (protocol §3.5), if it is told of the
    connection already, otherwise after that.

    `grant` is what its client is given again when it comes back. One that is subscribed already is left as it is.
    Raises as `open_subscription` does.
    """
    if session.state is State.CONNECTING:
        session.postponed.append(partial(subscribe_from_server, session, terms, grant))
        return
    if session.closed or terms.channel in session.subscribers:
        return
    opening = await open_subscription(session, terms)
    if grant is not None:
        session.be_given(opening.subscriber, grant)
    result = opening.result
    told = SubscribePush(result.recoverable, result.positioned, result.epoch, result.offset, result.data)
    session.push(Push(terms.channel, subscribe=told))
    for publication in result.publications:
        # Unlike a reply, this push has no room for what was missed.
        session.outbox.push(opening.subscriber.form.frame(terms.channel, publication))
    await go_live(session, opening)


async def close_subscription(session: Session, channel: str) -> None:
    """Undo a live subscription at its client's wish. Idempotent."""
    subscriber = session.subscribers.get(channel)
    if subscriber is not None:
        await withdraw(session, subscriber)
