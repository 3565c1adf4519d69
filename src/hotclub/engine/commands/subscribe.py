"""The subscribe and unsubscribe commands (protocol §2.2, §2.3)."""

from hotclub.engine.codes import Code
from hotclub.engine.commands.base import decision, optional_payload, resolve
from hotclub.engine.commands.opening import Opening, Terms, close_subscription, go_live, open_subscription, withdraw
from hotclub.engine.commands.subscribe_map import check_first, goes_on, next_page, open_map
from hotclub.engine.commands.track import open_poll
from hotclub.engine.errors import Refused
from hotclub.engine.model import Position
from hotclub.engine.port import ChannelSpec, Predicate, ResolvedChannel, SubscribeGrant, SubscribeRequest
from hotclub.engine.protocol import messages as wire
from hotclub.engine.session import Session
from hotclub.engine.subscriber import MapSubscriber, Subscriber
from hotclub.engine.tags import compile_filter


async def subscribe(session: Session, command: int, request: wire.SubscribeCommand) -> None:
    """Subscribe to a channel, or take the next page of a map (protocol §2.2, §2.13).

    Raises:
        Refused: `ALREADY_SUBSCRIBED`; `LIMIT_EXCEEDED` for one subscription too many; `BAD_REQUEST` for a malformed
            payload or filter and for an unknown kind of delta; as `_check_type`, `decision`, `Subscribes.subscribe`,
            `open_subscription` or `next_page`.
        Disconnect: as `open_subscription` and `next_page`.

    A cancellation before the reply withdraws the subscription.
    """
    channel = resolve(session, request.channel)
    if request.delta not in ("", wire.FOSSIL):
        raise Refused(Code.BAD_REQUEST, why="an unknown kind of delta")
    _check_type(channel.spec, request)
    subscriber = session.subscribers.get(request.channel)
    if goes_on(subscriber, request):
        opening = await next_page(session, subscriber, request)
    else:
        if subscriber is not None:
            await _begin_anew(session, subscriber)
        opening = await _open(session, channel, request)
    session.reply(wire.Reply(command, subscribe=opening.result))
    if opening.result.phase == wire.LIVE_PHASE:
        await go_live(session, opening)


def _check_type(spec: ChannelSpec, request: wire.SubscribeCommand) -> None:
    """Refuse a client that takes the channel for another type: it would misread the reply.

    Raises:
        Refused: `BAD_REQUEST` in a shared poll; `NOT_AVAILABLE` in a stream, and in a map that the client takes for a
            shared poll; `PERMISSION_DENIED` in any other map.
    """
    if request.type == spec.type:
        return
    if spec.poll is not None:
        code = Code.BAD_REQUEST
    elif spec.map is None or request.type == wire.SHARED_POLL_TYPE:
        code = Code.NOT_AVAILABLE
    else:
        code = Code.PERMISSION_DENIED
    raise Refused(code, "this channel is of another type")


async def _begin_anew(session: Session, subscriber: Subscriber) -> None:
    if not isinstance(subscriber, MapSubscriber) or subscriber.catch_up is None:
        raise Refused(Code.ALREADY_SUBSCRIBED)
    await withdraw(session, subscriber)


async def _open(session: Session, channel: ResolvedChannel, request: wire.SubscribeCommand) -> Opening:
    spec = channel.spec
    if spec.map is not None:
        check_first(spec, request)
    if len(session.subscribers) >= session.limits.channels_per_connection:
        raise Refused(Code.LIMIT_EXCEEDED, why="too many subscriptions on one connection")
    wanted = _filter(spec, request)
    data = optional_payload(session, request.data)
    asked = SubscribeRequest(token=request.token, data=data)
    with decision(session, request.channel):
        grant = await session.application.subscribes.subscribe(session.client, channel, asked)
    terms = _terms(session, channel, request, grant, wanted)
    if spec.poll is not None:
        return open_poll(session, terms)
    return await (open_subscription(session, terms) if spec.map is None else open_map(session, terms, request))


def _filter(spec: ChannelSpec, request: wire.SubscribeCommand) -> Predicate | None:
    """The predicate of the client's own filter by tags, None for no filter (protocol §2.12)."""
    if request.tf is None:
        return None
    if not spec.filters:
        raise Refused(Code.BAD_REQUEST, why="this channel takes no filter by tags")
    return compile_filter(request.tf)


def _terms(
    session: Session,
    channel: ResolvedChannel,
    request: wire.SubscribeCommand,
    grant: SubscribeGrant,
    wanted: Predicate | None,
) -> Terms:
    spec = channel.spec
    admits = _both(grant.admits, wanted)
    # The npm SDK offers compaction in the binary form as well, but cannot find the channel there: it holds the number
    # in an object, and compares objects by identity.
    compact = spec.compaction and bool(request.flag & wire.COMPACTION) and not session.codec.binary
    return Terms(
        channel=channel.overridden(grant.overrides),
        chan_info=grant.info,
        data=grant.data,
        asked=Position(request.epoch, request.offset) if request.recover else None,
        reject_unrecovered=bool(request.flag & wire.REJECT_UNRECOVERED),
        delta=spec.delta and request.delta == wire.FOSSIL and admits is None,
        compact=compact,
        admits=admits,
        ttl=grant.ttl,
    )


def _both(first: Predicate | None, second: Predicate | None) -> Predicate | None:
    if first is None or second is None:
        return first or second
    return lambda tags: first(tags) and second(tags)


async def unsubscribe(session: Session, command: int, request: wire.UnsubscribeCommand) -> None:
    """End a subscription (protocol §2.3). Idempotent, because an SDK ends its connection when it gets an error."""
    await close_subscription(session, request.channel)
    session.reply(wire.Reply(command, unsubscribe=wire.EmptyResult()))
