"""The history command (protocol §2.6)."""

from hotclub.engine.broker.base import HistoryQuery
from hotclub.engine.codes import Code
from hotclub.engine.commands.base import check_form, decision, resolve
from hotclub.engine.errors import Refused
from hotclub.engine.model import Position
from hotclub.engine.protocol import messages as wire
from hotclub.engine.session import Session


async def history(session: Session, command: int, request: wire.HistoryCommand) -> None:
    """Reply with a part of the channel's log, at most `limits.history_publications` of it (protocol §2.6).

    `request.limit` 0 reads the position alone.

    Raises:
        Refused: `NOT_AVAILABLE`, the channel keeps no history; `BAD_REQUEST` for a position before the log;
            `PERMISSION_DENIED`, as `Subscribes.authorize`; or as `resolve`.
        UnrecoverablePosition: `request.since` names another epoch.
        Disconnect: `INAPPROPRIATE_PROTOCOL`, a publication is not JSON and the connection speaks JSON.
    """
    channel = resolve(session, request.channel)
    if channel.spec.retention.size <= 0:
        raise Refused(Code.NOT_AVAILABLE, why="this channel keeps no history")
    since = None if request.since is None else Position(request.since.epoch, request.since.offset)
    if since is not None and (since.offset < 0 or (request.reverse and since.offset == 0)):
        raise Refused(Code.BAD_REQUEST, why="nothing is before offset 0")
    most = session.limits.history_publications
    limit = most if request.limit < 0 else min(request.limit, most)
    query = HistoryQuery(limit=limit, since=since, reverse=request.reverse)
    with decision(session, request.channel):
        application = session.application.subscribes
        await application.authorize(session.client, channel)
        admits = await application.admits(session.client, channel)
        page = await session.channels.history(channel, query)
    shown = tuple(item for item in page.publications if admits is None or admits(item.tags))
    check_form(session.codec, shown)
    result = wire.HistoryResult(shown, page.top.epoch, page.top.offset)
    session.reply(wire.Reply(command, history=result))
