"""The presence commands: who is in a channel, and how many (protocol §2.5)."""

from itertools import islice
from typing import Final

from hotclub.engine.codes import Code
from hotclub.engine.commands.base import decision, resolve
from hotclub.engine.errors import Refused
from hotclub.engine.port import ResolvedChannel
from hotclub.engine.protocol import messages as wire
from hotclub.engine.session import Session
from hotclub.engine.turns import Turn

_AT_ONCE: Final = 500
"""How many members are encoded before the loop may go on."""


async def presence(session: Session, command: int, request: wire.PresenceCommand) -> None:
    """Reply with the members of a channel, by client id (protocol §2.5).

    Raises:
        Refused: `NOT_AVAILABLE`, the channel has no presence; `PERMISSION_DENIED`, as `Subscribes.authorize`; or as
            `resolve`.
    """
    with decision(session, request.channel):
        channel = await _visible(session, request.channel)
        members = await session.channels.members(channel)
    if len(members) <= _AT_ONCE:
        session.reply(wire.Reply(command, presence=wire.PresenceResult(dict(members))))
        return
    parts, turn, rest = list[bytes](), Turn(), iter(members.items())
    while some := dict(islice(rest, _AT_ONCE)):
        parts.append(session.codec.encode_members(command, some))
        await turn.give_way()
    session.reply_encoded(command, session.codec.join_members(command, parts))


async def presence_stats(session: Session, command: int, request: wire.PresenceStatsCommand) -> None:
    """Reply with how many connections and users are in a channel (protocol §2.5). Raises as `presence`."""
    with decision(session, request.channel):
        channel = await _visible(session, request.channel)
        stats = await session.channels.presence_stats(channel)
    result = wire.PresenceStatsResult(stats.num_clients, stats.num_users)
    session.reply(wire.Reply(command, presence_stats=result))


async def _visible(session: Session, name: str) -> ResolvedChannel:
    """The channel, if this client may see its members."""
    channel = resolve(session, name)
    if not channel.spec.presence:
        raise Refused(Code.NOT_AVAILABLE, why="this channel has no presence")
    await session.application.subscribes.authorize(session.client, channel)
    return channel
