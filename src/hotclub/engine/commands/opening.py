"""Subscribing, as named steps (protocol §3.2).

Authorise → enter the hub and buffer → link the broker → read the log → recover, or report that recovery failed → reply
→ release the buffer → appear. When a step fails, `withdraw` undoes the steps that were taken.
"""

from collections.abc import Sequence

from msgspec import Raw, Struct, structs

from hotclub.engine.broker.base import HistoryQuery
from hotclub.engine.codes import Close, Code
from hotclub.engine.commands.base import check_form
from hotclub.engine.errors import Disconnect, Refused
from hotclub.engine.failures import finished
from hotclub.engine.model import EMPTY, Position, Publication
from hotclub.engine.port import ChannelSpec, Predicate, ResolvedChannel
from hotclub.engine.protocol.messages import SubscribeResult
from hotclub.engine.recovery import Recovery, merge, recover, recover_cache
from hotclub.engine.session import Session
from hotclub.engine.shape import Delivery, chain, difference
from hotclub.engine.subscriber import Subscriber


class Terms(Struct, frozen=True, kw_only=True):
    """The terms of an authorised subscription.

    `channel` has the overrides of this subscription. `asked` is the position to recover from, None for no recovery.
    `ttl` is the subscription's life in seconds, 0 for ever. `admits` selects publications by their tags. `delta` and
    `compact` are what client and server agreed on. With `unasked`, `Subscribes.admits` is still to be asked.
    """

    channel: ResolvedChannel
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
    """A subscription before its reply. Its owner sends `result`, then calls `go_live`."""

    subscriber: Subscriber
    result: SubscribeResult


async def open_subscription(session: Session, terms: Terms) -> Opening:
    """Take every step up to the reply.

    Raises:
        Refused: `UNRECOVERABLE_POSITION`, the position cannot be recovered and `terms.reject_unrecovered` is set;
            `PERMISSION_DENIED`, the server ended the subscription meanwhile; `ALREADY_SUBSCRIBED`, see `enter`;
            `NOT_AVAILABLE` for a map or a shared poll.
        Disconnect: `INSUFFICIENT_STATE`, an offset is missing between the log and the buffer, or they are of different
            epochs; `INAPPROPRIATE_PROTOCOL`, see `agreed`; `CONNECTION_CLOSED`, the connection has ended.

    On any exception, cancellation included, the subscription is withdrawn.
    """
    if terms.channel.spec.map is not None or terms.channel.spec.poll is not None:
        raise Refused(Code.NOT_AVAILABLE, "a map or a shared poll has no subscribers by the server's will")
    subscriber = enter(session, terms)
    try:
        if terms.unasked:
            subscriber.filter(await session.application.subscribes.admits(session.client, terms.channel))
        await session.channels.link(terms.channel)
        result = agreed(subscriber, await _position(session, subscriber, terms), data=terms.data, ttl=terms.ttl)
        still_wanted(session, subscriber)
    except BaseException:
        await withdraw(session, subscriber)
        raise
    return Opening(subscriber=subscriber, result=result)


def enter(session: Session, terms: Terms) -> Subscriber:
    """Take the connection's place in the channel, with an empty buffer. `withdraw` undoes it.

    Raises:
        Refused: `ALREADY_SUBSCRIBED`, the connection got a place in the channel while the application decided.
    """
    if terms.channel.name in session.subscribers:
        raise Refused(Code.ALREADY_SUBSCRIBED)
    subscriber = session.enter(
        terms.channel,
        terms.chan_info,
        server_side=terms.server_side,
        delta=terms.delta,
        compact=terms.compact,
    )
    subscriber.filter(terms.admits)
    return subscriber


def agreed(subscriber: Subscriber, result: SubscribeResult, *, data: Raw, ttl: int) -> SubscribeResult:
    """The result of a subscribe command, with the fields that do not come from the log.

    Args:
        subscriber: the place.
        result: the fields that come from the log. Its publications are filtered, and turned into differences.
        data: what the application shows to the subscriber.
        ttl: the subscription's life in seconds, 0 for ever.

    Raises:
        Disconnect: `INAPPROPRIATE_PROTOCOL`, a publication is not JSON and the connection speaks JSON.
    """
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
    """The publications of a replay that this subscriber gets. The gap check has counted the others, too."""
    if subscriber.admits is not None:
        publications = tuple(item for item in publications if subscriber.admits(item.tags))
    check_form(subscriber.form.encoder.codec, publications)
    if not subscriber.form.delta:
        return publications
    for publication in publications:
        subscriber.rebase(publication)
    return chain(subscriber.form.encoder.codec, publications)


def whole(subscriber: Subscriber, publications: Sequence[Publication]) -> tuple[Publication, ...]:
    """The publications for a reply, each whole. They become the bases of later differences."""
    if not subscriber.form.delta:
        return tuple(publications)
    for publication in publications:
        subscriber.rebase(publication)
    return tuple(difference(subscriber.form.encoder.codec, publication, None) for publication in publications)


async def withdraw(session: Session, subscriber: Subscriber) -> None:
    """Undo every step that was taken. A cancelled caller still waits until it is done: no other code knows the place
    after `leave`."""
    session.leave(subscriber)
    await finished(session.retire(subscriber))


def still_wanted(session: Session, subscriber: Subscriber) -> None:
    """Check that neither the connection nor the subscription has ended meanwhile.

    Raises:
        Disconnect: `CONNECTION_CLOSED`, the connection has ended.
        Refused: `PERMISSION_DENIED`, the server has ended the subscription.
    """
    if session.closed:
        raise Disconnect(Close.CONNECTION_CLOSED)
    if subscriber.expelled or session.subscribers.get(subscriber.channel) is not subscriber:
        raise Refused(Code.PERMISSION_DENIED)


async def _position(session: Session, subscriber: Subscriber, terms: Terms) -> SubscribeResult:
    """Read the log, recover, and append the buffered publications.

    Nothing awaits from the merge to the return, so the buffer is complete. Publications that arrive between the return
    and `go_live` are buffered again, and `go_live` sends them.
    """
    recovering = terms.asked is not None
    spec = terms.channel.spec
    if not spec.positioned:
        return SubscribeResult(was_recovering=recovering)
    asked = terms.asked if spec.recoverable else None
    page = await session.channels.history(terms.channel, _query(session, spec, asked))
    if spec.cache:
        outcome, asked = recover_cache(asked, page.top, page.publications), asked or page.top
    else:
        outcome = _recover(session, asked, page.top, page.publications)
    if not outcome.recovered and terms.asked is not None and spec.recoverable and terms.reject_unrecovered:
        raise Refused(Code.UNRECOVERABLE_POSITION)
    start = outcome.start(asked, page.top)
    newer = join_log(subscriber, outcome.publications, page.top, start)
    return SubscribeResult(
        recoverable=spec.recoverable,
        positioned=True,
        epoch=page.top.epoch,
        # A recovering client counts on from its own offset; any other starts at the top (protocol §3.1).
        offset=(start if terms.asked is None else max(terms.asked.offset, 0))
        if outcome.recovered
        else subscriber.offset,
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
        # A replay of this size would fill the outbox, which ends the connection as a slow one.
        return Recovery(recovered=False)
    return recover(asked, top, publications)


def join_log(subscriber: Subscriber, read: Sequence[Publication], top: Position, after: int) -> tuple[Publication, ...]:
    """Append the buffer to what was read of the log, and move the subscriber to the newest publication.

    Publications without an offset stay in the buffer: they belong to no log.

    Args:
        subscriber: the place.
        read: the publications that were read.
        top: the top of the log at the time of the reading.
        after: the offset above which publications are returned.

    Raises:
        Disconnect: `INSUFFICIENT_STATE`, a buffered publication is of another epoch; or as `merge`.
    """
    buffered = subscriber.buffer or []
    subscriber.buffer = [item for item in buffered if not item[1].offset]
    if any(epoch != top.epoch for epoch, publication in buffered if publication.offset):
        raise Disconnect(Close.INSUFFICIENT_STATE)
    newer = merge(read, [publication for _, publication in buffered if publication.offset], after)
    subscriber.epoch, subscriber.offset = top.epoch, max(top.offset, newer[-1].offset if newer else 0)
    return newer


async def go_live(session: Session, opening: Opening) -> None:
    """Send the buffer, let publications pass, and become visible to the members. The reply must be in the outbox.

    Publications pass before anything awaits. The subscriber sees its own join. When the caller is cancelled, the
    subscription stays live, and `Session.leave` and `Session.retire` undo it. It also stays live when it could not
    become visible, which is logged: the command has been answered.
    """
    subscriber = opening.subscriber
    waiting, subscriber.buffer = subscriber.buffer or [], None
    session.expire_subscription_in(subscriber, opening.result.ttl)
    for epoch, publication in waiting:
        session.hub.deliver_among(Delivery(subscriber.channel, publication), (subscriber,), epoch)
    if subscriber.held is not None:
        session.hub.release(subscriber)
    if subscriber.spec.visible and _is_current(session, subscriber):
        await session.channels.appearances.appear(session.client, subscriber)


def _is_current(session: Session, subscriber: Subscriber) -> bool:
    return not session.closed and session.subscribers.get(subscriber.channel) is subscriber


async def close_subscription(session: Session, channel: str) -> None:
    """End a subscription because its client asked for it. Idempotent."""
    subscriber = session.subscribers.get(channel)
    if subscriber is not None:
        await withdraw(session, subscriber)
