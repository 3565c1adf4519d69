"""The refresh commands: a new token for a connection or a subscription (protocol §2.8)."""

from hotclub.engine.codes import Close, Code
from hotclub.engine.commands.base import channel_options
from hotclub.engine.commands.track import track, untrack
from hotclub.engine.errors import Disconnect, Refused
from hotclub.engine.protocol import messages as wire
from hotclub.engine.session import Session
from hotclub.engine.subscriber import PollSubscriber, Subscriber


async def refresh(session: Session, command: int, request: wire.RefreshCommand) -> None:
    """A new token for the connection (protocol §2.8)."""
    if not request.token:
        raise Disconnect(Close.BAD_REQUEST)
    grant = await session.application.refresh(session.client, request.token)
    if grant.info:
        session.client.info = grant.info
    session.expire_in(grant.ttl)
    session.reply(wire.Reply(command, refresh=wire.RefreshResult(expires=grant.ttl > 0, ttl=grant.ttl)))


async def sub_refresh(session: Session, command: int, request: wire.SubRefreshCommand) -> None:
    """A new token for a subscription (protocol §2.8), or keys of a shared poll to follow (§2.14)."""
    # Some SDKs leave the channel to the token.
    channel = request.channel or session.application.token_channel(request.token)
    channel_options(session, channel)
    subscriber = session.subscribers.get(channel)
    if subscriber is None:
        raise Refused(Code.PERMISSION_DENIED)
    if request.type != 0:
        await _follow(session, subscriber, command, request)
        return
    if not request.token:
        raise Refused(Code.BAD_REQUEST)
    grant = await session.application.refresh_subscription(session.client, channel, request.token)
    session.expire_subscription_in(subscriber, grant.ttl)
    session.reply(wire.Reply(command, sub_refresh=wire.SubRefreshResult(expires=grant.ttl > 0, ttl=grant.ttl)))


async def _follow(session: Session, subscriber: Subscriber, command: int, request: wire.SubRefreshCommand) -> None:
    if not isinstance(subscriber, PollSubscriber) or request.type not in (wire.TRACK, wire.UNTRACK):
        raise Refused(Code.BAD_REQUEST)
    if request.type == wire.TRACK:
        await track(session, subscriber, command, request)
    else:
        untrack(session, subscriber, command, request)
