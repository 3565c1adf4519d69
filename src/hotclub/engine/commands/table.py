"""One handler per command, in one table."""

from typing import Final

from hotclub.engine.commands.base import Handler
from hotclub.engine.commands.connect import connect
from hotclub.engine.commands.history import history
from hotclub.engine.commands.malformed import refuse
from hotclub.engine.commands.presence import presence, presence_stats
from hotclub.engine.commands.publish import publish
from hotclub.engine.commands.refresh import refresh, sub_refresh
from hotclub.engine.commands.rpc import ping, rpc, send
from hotclub.engine.commands.subscribe import subscribe, unsubscribe
from hotclub.engine.protocol import messages as wire
from hotclub.engine.protocol.malformed import Malformed

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
    Malformed: refuse,
}
"""The handler of each command, by the type of its request."""
