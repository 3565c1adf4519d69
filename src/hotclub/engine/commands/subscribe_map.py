"""Subscribing to a map, page by page (protocol §2.13).

STATE: enter the hub → link the broker → pages of entries; the first page gives the map's position. STREAM: pages of the
changes since that position. LIVE: the last read of the log → the buffered changes → reply → on as in `opening`. The
server goes live as early as it can: in an ephemeral map with the last page of entries, in a persistent map when one
page of changes would close the gap. Each page is a command of its own. When one fails, `withdraw` undoes all of them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Never, TypeGuard

from msgspec import structs

from hotclub.engine.broker.base import HistoryQuery
from hotclub.engine.broker.maps import MapQuery
from hotclub.engine.codes import Close, Code
from hotclub.engine.commands.base import check_form
from hotclub.engine.commands.opening import Opening, Terms, agreed, enter, join_log, still_wanted, whole, withdraw
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
from hotclub.engine.recovery import recover
from hotclub.engine.session import Session
from hotclub.engine.subscriber import CatchUp, MapSubscriber, Subscriber

DEFAULT_PAGE: Final = 100
"""Entries of a page, where the client names no limit."""
MIN_PAGE: Final = 100
MAX_PAGE: Final = 1000


def check_first(spec: ChannelSpec, request: SubscribeCommand) -> None:
    """Check that a command can be the first of a subscription.

    Raises:
        Refused: `PERMISSION_DENIED`, the command asks for a later page; `BAD_REQUEST`, the map does not have its phase.
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
    """Take the steps of the first page. Call `go_live` only if the result's phase is LIVE.

    Raises:
        Refused: as `next_page`; `ALREADY_SUBSCRIBED`, see `enter`.
        Disconnect: as `next_page`.

    On any exception, cancellation included, the subscription is withdrawn.
    """
    subscriber = enter(session, terms)
    assert isinstance(subscriber, MapSubscriber)
    limit = session.limits.map_catch_up
    subscriber.catch_up = CatchUp(until=session.clock() + limit, data=terms.data, ttl=terms.ttl)
    subscriber.expiry = asyncio.get_running_loop().call_later(limit, _give_up, session, subscriber)
    return await _take_page(session, subscriber, request)


async def next_page(session: Session, subscriber: MapSubscriber, request: SubscribeCommand) -> Opening:
    """Take the steps of a page after the first. Call `go_live` only if the result's phase is LIVE.

    Raises:
        Refused: `UNRECOVERABLE_POSITION`, the map has a new epoch, or its log no longer holds the changes since the
            position; `PERMISSION_DENIED`, the server ended the subscription meanwhile; `BAD_REQUEST` for a malformed
            cursor or an unknown phase.
        Disconnect: `SLOW`, the client took longer than `limits.map_catch_up`; `INSUFFICIENT_STATE`, an offset is
            missing between the log and the buffer, or they are of different epochs; `INAPPROPRIATE_PROTOCOL`, a
            publication is not JSON and the connection speaks JSON; `CONNECTION_CLOSED`, the connection has ended.

    On any exception but `SLOW`, cancellation included, the subscription is withdrawn.
    """
    assert subscriber.catch_up is not None
    if session.clock() >= subscriber.catch_up.until:
        raise Disconnect(Close.SLOW)
    return await _take_page(session, subscriber, request)


async def _take_page(session: Session, subscriber: MapSubscriber, request: SubscribeCommand) -> Opening:
    assert subscriber.catch_up is not None
    try:
        still_wanted(session, subscriber)
        await session.channels.link(subscriber.resolved)
        result = await _PHASES.get(request.phase, _unknown)(session, subscriber, subscriber.catch_up, request)
        still_wanted(session, subscriber)
    except BaseException:
        await withdraw(session, subscriber)
        raise
    if result.phase == LIVE_PHASE:
        subscriber.catch_up = None
    return Opening(subscriber=subscriber, result=result)


def _give_up(session: Session, subscriber: Subscriber) -> None:
    """Stop buffering for a client that takes too long. `next_page` ends its connection if it asks for another page."""
    session.hub.leave(subscriber)
    subscriber.buffer = []
    subscriber.held = None


async def _unknown(_session: Session, _subscriber: Subscriber, _catch_up: CatchUp, _request: SubscribeCommand) -> Never:
    raise Refused(Code.BAD_REQUEST)


async def _state(
    session: Session, subscriber: Subscriber, catch_up: CatchUp, request: SubscribeCommand
) -> SubscribeResult:
    """A page of entries. An entry that changed after the first page was read is left out: a later page of changes has
    it."""
    limit = _limit(request)
    query = MapQuery(cursor=request.cursor, limit=limit, size=_budget(session), asc=request.asc)
    page = await session.channels.maps.read(subscriber.resolved, query)
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
    """A page of changes. The page that closes the gap also goes live."""
    if not subscriber.spec.positioned:
        raise Refused(Code.BAD_REQUEST)
    limit, since = _limit(request), Position(request.epoch, request.offset)
    query = HistoryQuery(limit=limit, since=Position("", request.offset))
    page = await session.channels.history(subscriber.resolved, query)
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
    """Go live without any page: from a position in a persistent map, from now on in an ephemeral one."""
    if not subscriber.spec.positioned:
        return _live(subscriber, catch_up, SubscribeResult(was_recovering=request.recover))
    recovering = SubscribeResult(was_recovering=request.recover, recovered=request.recover)
    return await _join(session, subscriber, catch_up, Position(request.epoch, request.offset), recovering)


async def _join(
    session: Session, subscriber: Subscriber, catch_up: CatchUp, since: Position, result: SubscribeResult
) -> SubscribeResult:
    """Read the log for the last time, append the changes that arrive meanwhile, and go live.

    Nothing awaits from the merge to the return, so the buffer is complete. `go_live` sends the changes that arrive
    later.
    """
    catch_up.joining, subscriber.buffer = True, []
    limits = session.limits
    query = HistoryQuery(limit=limits.recovery_publications, since=Position("", since.offset))
    page = await session.channels.history(subscriber.resolved, query)
    size = sum(len(bytes(change.data)) for change in page.publications)
    # In a stream offset 0 without an epoch is the beginning. A map's client holds entries, perhaps of another epoch.
    if not since.epoch or size > limits.outbox_bytes // 2 or not recover(since, page.top, page.publications).recovered:
        raise Refused(Code.UNRECOVERABLE_POSITION)
    changes = join_log(subscriber, page.publications, page.top, since.offset)
    joined = SubscribeResult(
        recoverable=True,
        positioned=True,
        epoch=page.top.epoch,
        offset=subscriber.offset,
        publications=changes,
        state=result.state,
        recovered=result.recovered,
        was_recovering=result.was_recovering,
    )
    return _live(subscriber, catch_up, joined)


def _live(subscriber: Subscriber, catch_up: CatchUp, result: SubscribeResult) -> SubscribeResult:
    return _page(subscriber, LIVE_PHASE, agreed(subscriber, result, data=catch_up.data, ttl=catch_up.ttl))


def _page(subscriber: Subscriber, phase: int, result: SubscribeResult) -> SubscribeResult:
    check_form(subscriber.form.encoder.codec, (*result.state, *result.publications))
    return structs.replace(result, type=MAP_TYPE, phase=phase)


def _shown(subscriber: Subscriber, publications: Sequence[Publication]) -> tuple[Publication, ...]:
    """The publications that the subscriber gets, each whole. They become the bases of later differences."""
    if subscriber.admits is not None:
        publications = [item for item in publications if subscriber.admits(item.tags)]
    return whole(subscriber, publications)


def _limit(request: SubscribeCommand) -> int:
    return min(max(request.limit or DEFAULT_PAGE, MIN_PAGE), MAX_PAGE)


def _budget(session: Session) -> int:
    """Bytes of data after which a page ends, so that a page alone does not fill the outbox."""
    return session.limits.outbox_bytes // 4


def _cut(publications: Sequence[Publication], budget: int) -> Sequence[Publication]:
    """The first publications, as many as fit into `budget` bytes, but at least one."""
    size = 0
    for number, publication in enumerate(publications):
        size += len(bytes(publication.data))
        if number and size > budget:
            return publications[:number]
    return publications


Phase = Callable[[Session, Subscriber, CatchUp, SubscribeCommand], Awaitable[SubscribeResult]]
"""Makes the result of one page."""
_PHASES: Final[dict[int, Phase]] = {LIVE_PHASE: _at_once, STREAM_PHASE: _stream, STATE_PHASE: _state}
