"""One function per command, in one table.

A handler gets the session and the command's request, and replies through the session. It raises `CommandError` to
answer with an error and `Disconnect` to end the connection; `dispatch` turns either into what the wire says.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from msgspec import Raw, structs

from hotclub.engine.application import ChannelSpec, KeyChange, Predicate, SubscribeGrant, SubscribeRequest
from hotclub.engine.broker.base import HistoryQuery, Message
from hotclub.engine.connecting import connect
from hotclub.engine.errors import command_error, disconnect
from hotclub.engine.map_subscription import check_first, goes_on, next_page, open_map
from hotclub.engine.maps import check_key
from hotclub.engine.model import EMPTY, ClientInfo, Position
from hotclub.engine.protocol import messages as wire
from hotclub.engine.protocol.payload import NotJson, check_payload
from hotclub.engine.session import Session
from hotclub.engine.subscriber import Subscriber
from hotclub.engine.subscription import Opening, Terms, close_subscription, go_live, open_subscription, withdraw
from hotclub.engine.tags import compile_filter
from hotclub.engine.tracking import open_poll, track, untrack

Handler = Callable[[Session, int, Any], Awaitable[None]]


def _channel(session: Session, channel: str) -> ChannelSpec:
    """The options of a command's channel; a command without one is malformed (protocol §2.2)."""
    if not channel:
        raise disconnect(3501)
    return session.exchange.spec(channel)


async def subscribe(session: Session, command: int, request: wire.SubscribeCommand) -> None:
    """Authorise, then take the steps of `subscription` (protocol §2.2)."""
    spec = _channel(session, request.channel)
    if request.delta not in ("", "fossil"):
        raise disconnect(3501)
    _check_type(spec, request)
    subscriber = session.subscribers.get(request.channel)
    if subscriber is not None and goes_on(subscriber, request):
        opening = await next_page(session, subscriber, request)
    else:
        if subscriber is not None:
            await _begin_anew(session, subscriber)
        opening = await _open(session, spec, request)
    session.reply(wire.Reply(command, subscribe=opening.result))
    if opening.result.phase == wire.LIVE_PHASE:
        await go_live(session, opening)


def _check_type(spec: ChannelSpec, request: wire.SubscribeCommand) -> None:
    """A client says what kind of channel it takes this one for; a wrong guess would not understand the reply."""
    if request.type == spec.type:
        return
    if spec.poll is not None:
        code = 107
    elif spec.map is None or request.type == wire.SHARED_POLL_TYPE:
        code = 108
    else:
        code = 103
    raise command_error(code, "this channel is of another type")


async def _begin_anew(session: Session, subscriber: Subscriber) -> None:
    if subscriber.catch_up is None:
        raise command_error(105)
    await withdraw(session, subscriber)


async def _open(session: Session, spec: ChannelSpec, request: wire.SubscribeCommand) -> Opening:
    if spec.map is not None:
        check_first(spec, request)
    if len(session.subscribers) >= session.exchange.limits.channels_per_connection:
        raise command_error(106)
    wanted = _filter(spec, request)
    data = check_payload(request.data, session.exchange.limits) if request.data else EMPTY
    asked = SubscribeRequest(token=request.token, data=data)
    with _decision(session, request.channel):
        grant = await session.exchange.application.subscribe(session.client, request.channel, asked)
    terms = _terms(session, spec, request, grant, wanted)
    if spec.poll is not None:
        return open_poll(session, terms)
    return await (open_subscription(session, terms) if spec.map is None else open_map(session, terms, request))


@contextmanager
def _decision(session: Session, channel: str) -> Iterator[None]:
    """What the application decides in this block counts for nothing when the server has taken it back at its end."""
    revoked: set[str] = set()
    session.revoked = revoked
    try:
        yield
    finally:
        session.revoked = None
    if channel in revoked:
        raise command_error(103)


def _filter(spec: ChannelSpec, request: wire.SubscribeCommand) -> Predicate | None:
    """The subscriber's own choice by tags, which not every channel offers (protocol §2.12)."""
    if request.tf is None:
        return None
    if not spec.filters:
        raise command_error(107)
    return compile_filter(request.tf)


def _terms(
    session: Session,
    spec: ChannelSpec,
    request: wire.SubscribeCommand,
    grant: SubscribeGrant,
    wanted: Predicate | None,
) -> Terms:
    admits = _both(grant.admits, wanted)
    # In the binary form the npm SDK offers compaction, and then finds no channel by its number: 64 bits are an object
    # there, compared by identity.
    compact = spec.compaction and bool(request.flag & wire.COMPACTION) and not session.codec.binary
    return Terms(
        channel=request.channel,
        spec=grant.overrides.of(spec),
        chan_info=grant.info,
        data=grant.data,
        asked=Position(request.epoch, request.offset) if request.recover else None,
        reject_unrecovered=bool(request.flag & wire.REJECT_UNRECOVERED),
        delta=spec.delta and request.delta == "fossil" and admits is None,
        compact=compact,
        admits=admits,
        ttl=grant.ttl,
    )


def _both(first: Predicate | None, second: Predicate | None) -> Predicate | None:
    if first is None or second is None:
        return first or second
    return lambda tags: first(tags) and second(tags)


async def unsubscribe(session: Session, command: int, request: wire.UnsubscribeCommand) -> None:
    """Never answered with an error: a client tears its connection down over one (protocol §2.3)."""
    if not request.channel:
        raise disconnect(3501)
    await close_subscription(session, request.channel)
    session.reply(wire.Reply(command, unsubscribe=wire.EmptyResult()))


async def publish(session: Session, command: int, request: wire.PublishCommand) -> None:
    """Publish to a channel, as one of its subscribers unless it is open to all (protocol §2.4)."""
    spec = _channel(session, request.channel)
    if request.type not in (0, wire.MAP_PUBLISH):
        raise command_error(107)
    if spec.poll is not None or (request.type == wire.MAP_PUBLISH) is not (spec.map is not None):
        raise command_error(108, "this channel is of another type")
    subscriber = session.subscribers.get(request.channel)
    if spec.members_only and (subscriber is None or subscriber.buffer is not None):
        raise command_error(103)
    info = session.info() if subscriber is None else subscriber.info
    await (_publish if spec.map is None else _change_key)(session, info, request)
    session.reply(wire.Reply(command, publish=wire.EmptyResult()))


async def _publish(session: Session, info: ClientInfo, request: wire.PublishCommand) -> None:
    data, binary = _payload(session, request.data)
    grant = await session.exchange.application.publish(session.client, request.channel, data)
    if grant.position is None and grant.data:
        message = Message(
            data=grant.data,
            info=info,
            tags=grant.tags,
            idempotency_key=grant.idempotency_key,
            binary=binary and grant.data == data,
        )
        await session.exchange.publish(request.channel, message)


async def _change_key(session: Session, info: ClientInfo, request: wire.PublishCommand) -> None:
    """Set or remove a key of a map. That something else stood in the way is no error (protocol §2.13)."""
    check_key(request.key, session.exchange.limits)
    data, binary = (EMPTY, False) if request.removed else _payload(session, request.data)
    change = KeyChange(key=request.key, data=data, removed=request.removed)
    message = await session.exchange.application.change_key(session.client, request.channel, change)
    if message is not None:
        binary = binary and message.data == data
        message = structs.replace(message, info=info, binary=binary)
        await session.exchange.maps.change(request.channel, message)


def _payload(session: Session, data: Raw) -> tuple[Raw, bool]:
    """The payload, and whether it is bytes that only the binary form of the protocol can carry (protocol §6b)."""
    try:
        return check_payload(data, session.exchange.limits), False
    except NotJson:
        if session.codec.binary:
            return data, True
        raise


async def presence(session: Session, command: int, request: wire.PresenceCommand) -> None:
    with _decision(session, request.channel):
        await _may_see_presence(session, request.channel)
        members = await session.exchange.members(request.channel)
    session.reply(wire.Reply(command, presence=wire.PresenceResult(dict(members))))


async def presence_stats(session: Session, command: int, request: wire.PresenceStatsCommand) -> None:
    with _decision(session, request.channel):
        await _may_see_presence(session, request.channel)
        stats = await session.exchange.presence_stats(request.channel)
    result = wire.PresenceStatsResult(stats.num_clients, stats.num_users)
    session.reply(wire.Reply(command, presence_stats=result))


async def _may_see_presence(session: Session, channel: str) -> None:
    if not _channel(session, channel).presence:
        raise command_error(108)
    await session.exchange.application.authorize_presence(session.client, channel)


async def history(session: Session, command: int, request: wire.HistoryCommand) -> None:
    """Read the log; `limit` 0 reads the position alone, and no reply exceeds the node's limit (protocol §2.6)."""
    if _channel(session, request.channel).retention.size <= 0:
        raise command_error(108)
    since = None if request.since is None else Position(request.since.epoch, request.since.offset)
    if since is not None and (since.offset < 0 or (request.reverse and since.offset == 0)):
        raise command_error(107)
    most = session.exchange.limits.history_publications
    limit = most if request.limit < 0 else min(request.limit, most)
    query = HistoryQuery(limit=limit, since=since, reverse=request.reverse)
    with _decision(session, request.channel):
        application = session.exchange.application
        await application.authorize_history(session.client, request.channel)
        admits = await application.admits(session.client, request.channel)
        page = await session.exchange.history(request.channel, query)
    shown = tuple(item for item in page.publications if admits is None or admits(item.tags))
    if any(publication.binary for publication in shown) and not session.codec.binary:
        raise disconnect(3506)
    result = wire.HistoryResult(shown, page.top.epoch, page.top.offset)
    session.reply(wire.Reply(command, history=result))


async def ping(session: Session, command: int, _request: wire.PingCommand) -> None:
    session.reply(wire.Reply(command, ping=wire.EmptyResult()))


async def rpc(session: Session, command: int, request: wire.RpcCommand) -> None:
    data = check_payload(request.data, session.exchange.limits) if request.data else EMPTY
    answer = await session.exchange.application.rpc(session.client, request.method, data)
    session.reply(wire.Reply(command, rpc=wire.RpcResult(answer)))


async def send(session: Session, _command: int, request: wire.SendCommand) -> None:
    """An asynchronous message; it has no reply, so a refusal is logged and not sent (protocol §2.7)."""
    data = check_payload(request.data, session.exchange.limits) if request.data else EMPTY
    await session.exchange.application.send(session.client, data)


async def refresh(session: Session, command: int, request: wire.RefreshCommand) -> None:
    """A new token for the connection (protocol §2.8)."""
    if not request.token:
        raise disconnect(3501)
    grant = await session.exchange.application.refresh(session.client, request.token)
    if grant.info:
        session.client.info = grant.info
    session.expire_in(grant.ttl)
    session.reply(wire.Reply(command, refresh=wire.RefreshResult(expires=grant.ttl > 0, ttl=grant.ttl)))


async def sub_refresh(session: Session, command: int, request: wire.SubRefreshCommand) -> None:
    """A new token for a subscription (protocol §2.8), or keys of a shared poll to follow (§2.14)."""
    # Some SDKs leave the channel to the token.
    channel = request.channel or session.exchange.application.token_channel(request.token)
    _channel(session, channel)
    subscriber = session.subscribers.get(channel)
    if subscriber is None:
        raise command_error(103)
    if request.type != 0:
        await _follow(session, subscriber, command, request)
        return
    if not request.token:
        raise command_error(107)
    grant = await session.exchange.application.refresh_subscription(session.client, channel, request.token)
    session.expire_subscription_in(subscriber, grant.ttl)
    session.reply(wire.Reply(command, sub_refresh=wire.SubRefreshResult(expires=grant.ttl > 0, ttl=grant.ttl)))


async def _follow(session: Session, subscriber: Subscriber, command: int, request: wire.SubRefreshCommand) -> None:
    if subscriber.tracked is None or request.type not in (wire.TRACK, wire.UNTRACK):
        raise command_error(107)
    if request.type == wire.TRACK:
        await track(session, subscriber, command, request)
    else:
        untrack(session, subscriber, command, request)


HANDLERS: Final[dict[type, Handler]] = {
    wire.ConnectCommand: connect,
    wire.SubscribeCommand: subscribe,
    wire.UnsubscribeCommand: unsubscribe,
    wire.PublishCommand: publish,
    wire.PresenceCommand: presence,
    wire.PresenceStatsCommand: presence_stats,
    wire.HistoryCommand: history,
    wire.PingCommand: ping,
    wire.SendCommand: send,
    wire.RpcCommand: rpc,
    wire.RefreshCommand: refresh,
    wire.SubRefreshCommand: sub_refresh,
}
