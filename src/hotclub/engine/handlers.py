"""One function per command, in one table.

A handler gets the session and the command's request, and replies through the session. It raises `CommandError` to
answer with an error and `Disconnect` to end the connection; `dispatch` turns either into what the wire says.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from hotclub.engine.application import ChannelSpec, ConnectRequest, SubscribeRequest
from hotclub.engine.broker.base import HistoryQuery, Message
from hotclub.engine.errors import CommandError, command_error, disconnect
from hotclub.engine.model import EMPTY, Position
from hotclub.engine.protocol import messages as wire
from hotclub.engine.protocol.connection import Event
from hotclub.engine.protocol.payload import check_payload
from hotclub.engine.session import Session
from hotclub.engine.subscription import Opening, Terms, close_subscription, go_live, open_subscription

Handler = Callable[[Session, int, Any], Awaitable[None]]


def _channel(session: Session, channel: str) -> ChannelSpec:
    """The options of a command's channel; a command without one is malformed (protocol §2.2)."""
    if not channel:
        raise disconnect(3501)
    return session.exchange.spec(channel)


async def connect(session: Session, command: int, request: wire.ConnectCommand) -> None:
    """Let the application decide, then subscribe to what it grants (protocol §2.1, §3.5)."""
    session.advance(Event.CONNECT)
    try:
        await _be_granted(session, request)
    except CommandError:
        if not session.closed:
            session.advance(Event.DENIED)
        raise
    if session.closed:
        return
    session.advance(Event.GRANTED)
    session.exchange.hub.add(session)
    openings = [await _open_server_side(session, name, request) for name in session.granted_channels]
    limits = session.exchange.limits
    result = wire.ConnectResult(
        client=session.id,
        version=session.version,
        ping=max(1, round(limits.ping_interval)),
        pong=True,
        data=session.connect_data,
        subs={opening.subscriber.channel: opening.result for opening in openings},
    )
    session.reply(wire.Reply(command, connect=result))
    session.start_pulse()
    for opening in openings:
        await go_live(session, opening)


async def _be_granted(session: Session, request: wire.ConnectCommand) -> None:
    data = check_payload(request.data, session.exchange.limits) if request.data else EMPTY
    asked = ConnectRequest(token=request.token, data=data, name=request.name[:16], version=request.version[:64])
    grant = await session.exchange.application.connect(session.client, asked)
    client = session.client
    client.user_id, client.session_id, client.info = grant.user_id, grant.session_id, grant.info
    client.state = grant.state
    session.connected = True
    session.connect_data = grant.data
    session.granted_channels = grant.channels


async def _open_server_side(session: Session, channel: str, request: wire.ConnectCommand) -> Opening:
    known = request.subs.get(channel)
    asked = Position(known.epoch, known.offset) if known is not None and known.recover else None
    spec = session.exchange.spec(channel)
    return await open_subscription(session, Terms(channel=channel, spec=spec, asked=asked, server_side=True))


async def subscribe(session: Session, command: int, request: wire.SubscribeCommand) -> None:
    """Authorise, then take the steps of `subscription` (protocol §2.2)."""
    spec = _channel(session, request.channel)
    if request.delta not in ("", "fossil"):
        raise disconnect(3501)
    if request.type != 0:
        raise command_error(108)
    if request.channel in session.subscribers:
        raise command_error(105)
    if len(session.subscribers) >= session.exchange.limits.channels_per_connection:
        raise command_error(106)
    data = check_payload(request.data, session.exchange.limits) if request.data else EMPTY
    application = session.exchange.application
    grant = await application.subscribe(
        session.client, request.channel, SubscribeRequest(token=request.token, data=data)
    )
    terms = Terms(
        channel=request.channel,
        spec=spec,
        chan_info=grant.info,
        data=grant.data,
        asked=Position(request.epoch, request.offset) if request.recover and spec.recoverable else None,
        reject_unrecovered=bool(request.flag & wire.REJECT_UNRECOVERED),
    )
    opening = await open_subscription(session, terms)
    session.reply(wire.Reply(command, subscribe=opening.result))
    await go_live(session, opening)


async def unsubscribe(session: Session, command: int, request: wire.UnsubscribeCommand) -> None:
    """Never answered with an error: a client tears its connection down over one (protocol §2.3)."""
    if not request.channel:
        raise disconnect(3501)
    await close_subscription(session, request.channel)
    session.reply(wire.Reply(command, unsubscribe=wire.EmptyResult()))


async def publish(session: Session, command: int, request: wire.PublishCommand) -> None:
    """Publish to a channel that the session is subscribed to (protocol §2.4)."""
    _channel(session, request.channel)
    if request.type != 0:
        raise command_error(108)
    data = check_payload(request.data, session.exchange.limits)
    subscriber = session.subscribers.get(request.channel)
    if subscriber is None:
        raise command_error(103)
    grant = await session.exchange.application.publish(session.client, request.channel, data)
    if grant.position is None and grant.data:
        message = Message(data=grant.data, info=subscriber.info, tags=grant.tags, idempotency_key=grant.idempotency_key)
        await session.exchange.publish(request.channel, message)
    session.reply(wire.Reply(command, publish=wire.EmptyResult()))


async def presence(session: Session, command: int, request: wire.PresenceCommand) -> None:
    await _may_see_presence(session, request.channel)
    members = await session.exchange.members(request.channel)
    session.reply(wire.Reply(command, presence=wire.PresenceResult(dict(members))))


async def presence_stats(session: Session, command: int, request: wire.PresenceStatsCommand) -> None:
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
    await session.exchange.application.authorize_history(session.client, request.channel)
    since = None if request.since is None else Position(request.since.epoch, request.since.offset)
    if since is not None and (since.offset < 0 or (request.reverse and since.offset == 0)):
        raise command_error(107)
    most = session.exchange.limits.history_publications
    limit = most if request.limit < 0 else min(request.limit, most)
    page = await session.exchange.history(
        request.channel, HistoryQuery(limit=limit, since=since, reverse=request.reverse)
    )
    result = wire.HistoryResult(page.publications, page.top.epoch, page.top.offset)
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


async def refresh(_session: Session, _command: int, _request: wire.RefreshCommand) -> None:
    """No connection of this server is refreshed by its client (protocol §2.8)."""
    raise disconnect(3501)


async def sub_refresh(session: Session, _command: int, request: wire.SubRefreshCommand) -> None:
    """No subscription of this server expires, so there is none to refresh (protocol §2.8)."""
    _channel(session, request.channel)
    if request.channel not in session.subscribers:
        raise command_error(103)
    raise command_error(108)


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
