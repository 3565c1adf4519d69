"""The story of subscribing, as named steps, each with its undo (protocol §3.2).

authorise → enter the hub, buffering → link the broker → read the log → recover, or say that it cannot → reply →
release the buffer → appear. Whatever fails on the way, `_withdraw` undoes what was done.
"""

from msgspec import Raw, Struct

from hotclub.engine.application import ChannelSpec
from hotclub.engine.broker.base import HistoryQuery
from hotclub.engine.errors import command_error, disconnect
from hotclub.engine.model import EMPTY, Position, Publication
from hotclub.engine.protocol.messages import SubscribeResult
from hotclub.engine.recovery import Recovery, merge, recover
from hotclub.engine.session import Session
from hotclub.engine.subscriber import Subscriber


class Terms(Struct, frozen=True, kw_only=True):
    """What an authorised subscription asks for: `asked` is the position to recover from."""

    channel: str
    spec: ChannelSpec
    chan_info: Raw = EMPTY
    data: Raw = EMPTY
    asked: Position | None = None
    reject_unrecovered: bool = False
    server_side: bool = False


class Opening(Struct, frozen=True, kw_only=True):
    """A subscription up to its reply: send `result`, then call `go_live`."""

    subscriber: Subscriber
    result: SubscribeResult


async def open_subscription(session: Session, terms: Terms) -> Opening:
    """Take every step up to the reply.

    Raises:
        CommandError: 112 when `terms.reject_unrecovered` and the position cannot be recovered; 103 when the server
            ended the subscription meanwhile.
        Disconnect: 3010 when the log and what arrived meanwhile do not join; 3000 when the connection has ended.

    On any exception, cancellation included, nothing of the subscription is left.
    """
    subscriber = session.enter(terms.channel, terms.spec, terms.chan_info, server_side=terms.server_side)
    try:
        await session.exchange.link(terms.channel, terms.spec)
        result = await _position(session, subscriber, terms)
        _still_wanted(session, subscriber)
    except BaseException:
        await _withdraw(session, subscriber)
        raise
    return Opening(subscriber=subscriber, result=result)


async def _withdraw(session: Session, subscriber: Subscriber) -> None:
    session.leave(subscriber)
    await session.retire(subscriber)


def _still_wanted(session: Session, subscriber: Subscriber) -> None:
    if session.closed:
        raise disconnect(3000)
    if subscriber.expelled:
        raise command_error(103)


async def _position(session: Session, subscriber: Subscriber, terms: Terms) -> SubscribeResult:
    """Read the log, recover, and put what was buffered meanwhile behind it.

    From the merge to the return nothing awaits, so the buffer is complete; what comes between the return and
    `go_live` is appended to it and sent from there.
    """
    if not terms.spec.positioned:
        return SubscribeResult(data=terms.data)
    asked = terms.asked
    limit = session.exchange.limits.recovery_publications if asked is not None else 0
    since = None if asked is None else Position("", max(asked.offset, 0))
    page = await session.exchange.history(terms.channel, HistoryQuery(limit=limit, since=since))
    outcome = _recover(session, asked, page.top, page.publications)
    if asked is not None and not outcome.recovered and terms.reject_unrecovered:
        raise command_error(112)
    buffered = _take_buffer(subscriber, page.top.epoch)
    start = asked.offset if asked is not None and outcome.recovered else page.top.offset
    newer = merge(outcome.publications, buffered, start)
    top = max(page.top.offset, newer[-1].offset if newer else 0)
    subscriber.epoch, subscriber.offset = page.top.epoch, top
    return SubscribeResult(
        recoverable=terms.spec.recoverable,
        positioned=True,
        epoch=page.top.epoch,
        # A recovering client walks from here through the publications; any other starts at the top (protocol §3.1).
        offset=start if outcome.recovered else top,
        publications=newer if outcome.recovered else (),
        recovered=outcome.recovered,
        was_recovering=asked is not None,
        data=terms.data,
    )


def _recover(
    session: Session, asked: Position | None, top: Position, publications: tuple[Publication, ...]
) -> Recovery:
    if asked is None:
        return Recovery(recovered=False)
    if sum(len(bytes(publication.data)) for publication in publications) > session.exchange.limits.outbox_bytes:
        # More than a connection may hold unread: reloading is cheaper for both sides.
        return Recovery(recovered=False)
    return recover(asked, top, publications)


def _take_buffer(subscriber: Subscriber, epoch: str) -> list[Publication]:
    """What arrived since `enter`. A publication of another log than the one just read ends the connection."""
    buffered, subscriber.buffer = subscriber.buffer or [], []
    if any(seen != epoch for seen, _ in buffered):
        raise disconnect(3010)
    return [publication for _, publication in buffered]


async def go_live(session: Session, opening: Opening) -> None:
    """After the reply is in the outbox: send what waited, let publications pass, and become visible to the members.

    The publications are let through before anything awaits. The subscriber sees its own join.
    """
    subscriber = opening.subscriber
    waiting, subscriber.buffer = subscriber.buffer or [], None
    for epoch, publication in waiting:
        session.exchange.hub.deliver_to(subscriber, publication, epoch)
    if not subscriber.spec.presence or not _is_current(session, subscriber):
        return
    subscriber.present = True
    await session.exchange.appear(subscriber.channel, subscriber.info)
    await session.exchange.application.presence_changed(subscriber.channel, session.client, joined=True)
    if not _is_current(session, subscriber):
        # The server ended it while it appeared: its undo may have come first, and dropping twice is harmless.
        await session.exchange.presence.drop(subscriber.channel, subscriber.info.client)


def _is_current(session: Session, subscriber: Subscriber) -> bool:
    return not session.closed and session.subscribers.get(subscriber.channel) is subscriber


async def close_subscription(session: Session, channel: str) -> None:
    """Undo a live subscription at its client's wish. Idempotent."""
    subscriber = session.subscribers.get(channel)
    if subscriber is not None:
        await _withdraw(session, subscriber)
