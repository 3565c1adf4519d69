"""The presence commands: who is in a channel, and how many (protocol §2.5)."""

from hotclub.engine.codes import Code
from hotclub.engine.commands.base import channel_options, decision
from hotclub.engine.errors import Refused
from hotclub.engine.protocol import messages as wire
from hotclub.engine.session import Session


async def presence(session: Session, command: int, request: wire.PresenceCommand) -> None:
    with decision(session, request.channel):
        await _may_see_presence(session, request.channel)
        members = await session.channels.members(request.channel)
    session.reply(wire.Reply(command, presence=wire.PresenceResult(dict(members))))


async def presence_stats(session: Session, command: int, request: wire.PresenceStatsCommand) -> None:
    with decision(session, request.channel):
        await _may_see_presence(session, request.channel)
        stats = await session.channels.presence_stats(request.channel)
    result = wire.PresenceStatsResult(stats.num_clients, stats.num_users)
    session.reply(wire.Reply(command, presence_stats=result))


async def _may_see_presence(session: Session, channel: str) -> None:
    if not channel_options(session, channel).presence:
        raise Refused(Code.NOT_AVAILABLE)
    await session.application.authorize_presence(session.client, channel)
