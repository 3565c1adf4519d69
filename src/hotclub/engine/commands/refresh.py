"""The refresh commands: a new token for a connection or a subscription (protocol §2.8)."""

from hotclub.engine.codes import Code
from hotclub.engine.commands.base import resolve
from hotclub.engine.commands.opening import still_wanted
from hotclub.engine.commands.track import track, untrack
from hotclub.engine.errors import Refused
from hotclub.engine.protocol import messages as wire
from hotclub.engine.session import Session
from hotclub.engine.subscriber import PollSubscriber, Subscriber


async def refresh(session: Session, command: int, request: wire.RefreshCommand) -> None:
    """Take a new token for the connection (protocol §2.8).

    Raises:
        Refused: `BAD_REQUEST`, the command has no token.
        Disconnect: as `Connects.refresh`.
    """
    if not request.token:
        raise Refused(Code.BAD_REQUEST, why="a refresh without a token")
    grant = await session.application.connects.refresh(session.client, request.token)
    if grant.info:
        session.client.info = grant.info
    session.expire_in(grant.ttl)
    session.reply(wire.Reply(command, refresh=wire.RefreshResult(expires=grant.ttl > 0, ttl=grant.ttl)))


async def sub_refresh(session: Session, command: int, request: wire.SubRefreshCommand) -> None:
    """Take a new token for a subscription (protocol §2.8), or the keys of a shared poll to follow (§2.14).

    Raises:
        Refused: `PERMISSION_DENIED`, the connection is not subscribed to the channel; `BAD_REQUEST` for a command
            without a token or of an unknown type; or as `resolve` and `track`.
        Disconnect: as `Subscribes.refresh_subscription` and `resolve`.
    """
    # Some SDKs send no channel name; the token names the channel.
    application = session.application.subscribes
    channel = resolve(session, request.channel or application.token_channel(request.token))
    subscriber = session.subscribers.get(channel.name)
    if subscriber is None:
        raise Refused(Code.PERMISSION_DENIED, why="a refresh of a channel that is not subscribed")
    if request.type != 0:
        await _follow(session, subscriber, command, request)
        return
    if not request.token:
        raise Refused(Code.BAD_REQUEST, why="a refresh without a token")
    grant = await application.refresh_subscription(session.client, channel, request.token)
    still_wanted(session, subscriber)
    session.expire_subscription_in(subscriber, grant.ttl)
    session.reply(wire.Reply(command, sub_refresh=wire.SubRefreshResult(expires=grant.ttl > 0, ttl=grant.ttl)))


async def _follow(session: Session, subscriber: Subscriber, command: int, request: wire.SubRefreshCommand) -> None:
    if not isinstance(subscriber, PollSubscriber) or request.type not in (wire.TRACK, wire.UNTRACK):
        raise Refused(Code.BAD_REQUEST, why="an unknown type of sub_refresh for this channel")
    if request.type == wire.TRACK:
        await track(session, subscriber, command, request)
    else:
        untrack(session, subscriber, command, request)
