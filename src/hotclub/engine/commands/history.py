"""The history command (protocol §2.6)."""

from hotclub.engine.broker.base import HistoryQuery
from hotclub.engine.codes import Close, Code
from hotclub.engine.commands.base import channel_options, decision
from hotclub.engine.errors import Disconnect, Refused
from hotclub.engine.model import Position
from hotclub.engine.protocol import messages as wire
from hotclub.engine.session import Session


async def history(session: Session, command: int, request: wire.HistoryCommand) -> None:
    """Read the log; `limit` 0 reads the position alone, and no reply exceeds the node's limit (protocol §2.6)."""
    if channel_options(session, request.channel).retention.size <= 0:
        raise Refused(Code.NOT_AVAILABLE)
    since = None if request.since is None else Position(request.since.epoch, request.since.offset)
    if since is not None and (since.offset < 0 or (request.reverse and since.offset == 0)):
        raise Refused(Code.BAD_REQUEST)
    most = session.limits.history_publications
    limit = most if request.limit < 0 else min(request.limit, most)
    query = HistoryQuery(limit=limit, since=since, reverse=request.reverse)
    with decision(session, request.channel):
        application = session.application
        await application.authorize_history(session.client, request.channel)
        admits = await application.admits(session.client, request.channel)
        page = await session.channels.history(request.channel, query)
    shown = tuple(item for item in page.publications if admits is None or admits(item.tags))
    if any(publication.binary for publication in shown) and not session.codec.binary:
        raise Disconnect(Close.INAPPROPRIATE_PROTOCOL)
    result = wire.HistoryResult(shown, page.top.epoch, page.top.offset)
    session.reply(wire.Reply(command, history=result))
