"""The story of subscribing to a map, a page at a time (protocol §2.13).

STATE: enter the hub → link the broker → pages of entries, the first of which says where the map stood. STREAM: pages of
what changed since. LIVE: the last read of the log → what arrived meanwhile → reply → from here on as in `subscription`.
The server goes live as soon as it can: an ephemeral map with its last page of entries, a persistent one when a page of
changes would close the gap. Each page is a command of its own; whatever fails in one of them, `withdraw` undoes all.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Never, TypeGuard

from msgspec import structs

from hotclub.engine.broker.base import HistoryQuery
from hotclub.engine.broker.maps import MapQuery
from hotclub.engine.codes import Close, Code
from hotclub.engine.commands.opening import Opening, Terms, agreed, enter, still_wanted, take_buffer, withdraw
from hotclub.engine.errors import Disconnect, Refused
from hotclub.engine.model import Position, Publication
from hotclub.engine.port import ChannelSpec
from hotclub.engine.protocol.messages import (
    LIVE_PHASE,
    MAP_TYPE,
    STATE_PHASE,
    STREAM_PHASE,
    SubscribeCommand,
    SubscribeResult,
)
from hotclub.engine.recovery import merge, recover
from hotclub.engine.session import Session
from hotclub.engine.subscriber import CatchUp, MapSubscriber, Subscriber

DEFAULT_PAGE: Final = 100
MIN_PAGE: Final = 100
MAX_PAGE: Final = 1000


def check_first(spec: ChannelSpec, request: SubscribeCommand) -> None:
    """Refuse a command that cannot be the first of a subscription: one that goes on with nothing.

    Raises:
        Refused: `PERMISSION_DENIED` for that, `BAD_REQUEST` for a phase that there is not.
    """
    if request.phase not in _PHASES or (request.phase == STREAM_PHASE and not spec.positioned):
        raise Refused(Code.BAD_REQUEST)
    if request.cursor or (request.phase == STREAM_PHASE and not request.recover):
        raise Refused(Code.PERMISSION_DENIED)


def goes_on(subscriber: Subscriber | None, request: SubscribeCommand) -> TypeGuard[MapSubscriber]:
    """Whether the command is the next page of a subscription under way."""
    if not isinstance(subscriber, MapSubscriber) or subscriber.catch_up is None:
        return False
    return bool(request.cursor) or request.phase != STATE_PHASE


async def open_map(session: Session, terms: Terms, request: SubscribeCommand) -> Opening:
    """Take the steps of the first page; `next_page` takes those of the others.

    `go_live` is to be called only if the result's phase is LIVE.

    Raises:
        Refused: as `next_page`.
        Disconnect: as `next_page`.
    """
    subscriber = enter(session, terms)
    assert isinstance(subscriber, MapSubscriber)
    limit = session.limits.map_catch_up
    subscriber.catch_up = CatchUp(until=session.clock() + limit, data=terms.data, ttl=terms.ttl)
    subscriber.expiry = asyncio.get_running_loop().call_later(limit, _give_up, session, subscriber)
    return await _take_page(session, subscriber, request)


async def next_page(session: Session, subscriber: MapSubscriber, request: SubscribeCommand) -> Opening:
    """Take the steps of one page.

    Raises:
        Refused: `UNRECOVERABLE_POSITION` when the map is another one by now, or its log does not reach back far enough;
            `PERMISSION_DENIED` when the server ended the subscription meanwhile; `BAD_REQUEST` for a cursor or a phase
            that there is not.
        Disconnect: `SLOW` when the client has taken too long; `INSUFFICIENT_STATE` when log and buffer do not join;
            `CONNECTION_CLOSED` when the connection has ended.

    On any exception, cancellation included, nothing of the subscription is left.
    """
    assert subscriber.catch_up is not None
    if session.clock() >= subscriber.catch_up.until:
        raise Disconnect(Close.SLOW)
    return await _take_page(session, subscriber, request)


async def _take_page(session: Session, subscriber: MapSubscriber, request: SubscribeCommand) -> Opening:
    assert subscriber.catch_up is not None
    try:
        still_wanted(session, subscriber)
        await session.channels.link(subscriber.channel, subscriber.spec)
        result = await _PHASES.get(request.phase, _unknown)(session, subscriber, subscriber.catch_up, request)
        still_wanted(session, subscriber)
    except BaseException:
        await withdraw(session, subscriber)
        raise
    if result.phase == LIVE_PHASE:
        subscriber.catch_up = None
    return Opening(subscriber=subscriber, result=result)


def _give_up(session: Session, subscriber: Subscriber) -> None:
    """The client has taken too long: stop collecting for it. If it comes back, `next_page` tells it."""
    session.hub.leave(subscriber)
    subscriber.buffer = []
    subscriber.held = None


async def _unknown(_session: Session, _subscriber: Subscriber, _catch_up: CatchUp, _request: SubscribeCommand) -> Never:
    raise Refused(Code.BAD_REQUEST)


async def _state(
    session: Session, subscriber: Subscriber, catch_up: CatchUp, request: SubscribeCommand
) -> SubscribeResult:
    """A page of entries. What changed after the first page was read is left out: it comes with the changes."""
    limit = _limit(request)
    query = MapQuery(cursor=request.cursor, limit=limit, size=_budget(session), asc=request.asc)
    page = await session.channels.maps.read(subscriber.channel, query)
    if catch_up.frozen is None:
        catch_up.frozen = page.top
    frozen = catch_up.frozen
    if frozen.epoch != page.top.epoch or request.epoch not in ("", frozen.epoch):
        raise Refused(Code.UNRECOVERABLE_POSITION)
    state = _shown(subscriber, [entry for entry in page.entries if entry.offset <= frozen.offset])
    if page.cursor or (subscriber.spec.positioned and frozen.offset + limit < page.top.offset):
        result = SubscribeResult(epoch=frozen.epoch, offset=frozen.offset, state=state, cursor=page.cursor)
        return _page(subscriber, STATE_PHASE, result)
    if not subscriber.spec.positioned:
        return _live(subscriber, catch_up, SubscribeResult(state=state))
    return await _join(session, subscriber, catch_up, frozen, SubscribeResult(state=state))


async def _stream(
    session: Session, subscriber: Subscriber, catch_up: CatchUp, request: SubscribeCommand
) -> SubscribeResult:
    """A page of changes, or the last of them."""
    if not subscriber.spec.positioned:
        raise Refused(Code.BAD_REQUEST)
    limit, since = _limit(request), Position(request.epoch, request.offset)
    page = await session.channels.history(
        subscriber.channel, HistoryQuery(limit=limit, since=Position("", request.offset))
    )
    if catch_up.goal is None:
        catch_up.goal = page.top.offset
    if since.epoch != page.top.epoch:
        raise Refused(Code.UNRECOVERABLE_POSITION)
    if since.offset + limit >= catch_up.goal:
        recovering = SubscribeResult(was_recovering=request.recover, recovered=request.recover)
        return await _join(session, subscriber, catch_up, since, recovering)
    changes = _cut(page.publications, _budget(session))
    if not changes or changes[0].offset != since.offset + 1:
        raise Refused(Code.UNRECOVERABLE_POSITION)
    result = SubscribeResult(epoch=page.top.epoch, offset=changes[-1].offset, publications=_shown(subscriber, changes))
    return _page(subscriber, STREAM_PHASE, result)


async def _at_once(
    session: Session, subscriber: Subscriber, catch_up: CatchUp, request: SubscribeCommand
) -> SubscribeResult:
    """Live without any page, from a position or, in an ephemeral map, from now on."""
    if not subscriber.spec.positioned:
        return _live(subscriber, catch_up, SubscribeResult(was_recovering=request.recover))
    recovering = SubscribeResult(was_recovering=request.recover, recovered=request.recover)
    return await _join(session, subscriber, catch_up, Position(request.epoch, request.offset), recovering)


async def _join(
    session: Session, subscriber: Subscriber, catch_up: CatchUp, since: Position, result: SubscribeResult
) -> SubscribeResult:
    """The last read of the log, with what arrives meanwhile put behind it.

    From the merge to the return nothing awaits, so the buffer is complete; what comes after it is sent by `go_live`.
    """
    catch_up.joining, subscriber.buffer = True, []
    limits = session.limits
    query = HistoryQuery(limit=limits.recovery_publications, since=Position("", since.offset))
    page = await session.channels.history(subscriber.channel, query)
    size = sum(len(bytes(change.data)) for change in page.publications)
    # Unlike a stream's, a map's position without an epoch proves nothing: its entries may be another map's.
    if not since.epoch or size > limits.outbox_bytes // 2 or not recover(since, page.top, page.publications).recovered:
        raise Refused(Code.UNRECOVERABLE_POSITION)
    changes = merge(page.publications, take_buffer(subscriber, page.top.epoch), since.offset)
    top = max(page.top.offset, changes[-1].offset if changes else 0)
    subscriber.epoch, subscriber.offset = page.top.epoch, top
    joined = SubscribeResult(
        recoverable=True,
        positioned=True,
        epoch=page.top.epoch,
        offset=top,
        publications=changes,
        state=result.state,
        recovered=result.recovered,
        was_recovering=result.was_recovering,
    )
    return _live(subscriber, catch_up, joined)


def _live(subscriber: Subscriber, catch_up: CatchUp, result: SubscribeResult) -> SubscribeResult:
    return _page(subscriber, LIVE_PHASE, agreed(subscriber, result, data=catch_up.data, ttl=catch_up.ttl))


def _page(subscriber: Subscriber, phase: int, result: SubscribeResult) -> SubscribeResult:
    shown = (*result.state, *result.publications)
    if not subscriber.form.encoder.codec.binary and any(publication.binary for publication in shown):
        raise Disconnect(Close.INAPPROPRIATE_PROTOCOL)
    return structs.replace(result, type=MAP_TYPE, phase=phase)


def _shown(subscriber: Subscriber, publications: Sequence[Publication]) -> tuple[Publication, ...]:
    """What of these the subscriber gets, each whole; with differences, those that follow are made against them."""
    if subscriber.admits is not None:
        publications = [item for item in publications if subscriber.admits(item.tags)]
    if not subscriber.form.delta:
        return tuple(publications)
    codec = subscriber.form.encoder.codec
    for publication in publications:
        subscriber.rebase(publication)
    return tuple(item if item.removed else codec.delta_publication(item, None) for item in publications)


def _limit(request: SubscribeCommand) -> int:
    return min(max(request.limit or DEFAULT_PAGE, MIN_PAGE), MAX_PAGE)


def _budget(session: Session) -> int:
    """Bytes of data after which a page ends: a reader that takes what it asked for is not a slow one."""
    return session.limits.outbox_bytes // 4


def _cut(publications: Sequence[Publication], budget: int) -> Sequence[Publication]:
    """As many as fit into a page, at least one."""
    size = 0
    for number, publication in enumerate(publications):
        size += len(bytes(publication.data))
        if number and size > budget:
            return publications[:number]
    return publications


Phase = Callable[[Session, Subscriber, CatchUp, SubscribeCommand], Awaitable[SubscribeResult]]
_PHASES: Final[dict[int, Phase]] = {LIVE_PHASE: _at_once, STREAM_PHASE: _stream, STATE_PHASE: _state}
