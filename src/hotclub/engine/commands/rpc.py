"""The commands that name no channel: rpc, send and ping (protocol §2.7, §2.9)."""

from hotclub.engine.model import EMPTY
from hotclub.engine.protocol import messages as wire
from hotclub.engine.protocol.payload import check_payload
from hotclub.engine.session import Session


async def ping(session: Session, command: int, _request: wire.PingCommand) -> None:
    session.reply(wire.Reply(command, ping=wire.EmptyResult()))


async def rpc(session: Session, command: int, request: wire.RpcCommand) -> None:
    data = check_payload(request.data, session.limits) if request.data else EMPTY
    answer = await session.application.rpc(session.client, request.method, data)
    session.reply(wire.Reply(command, rpc=wire.RpcResult(answer)))


async def send(session: Session, _command: int, request: wire.SendCommand) -> None:
    """An asynchronous message; it has no reply, so a refusal is logged and not sent (protocol §2.7)."""
    data = check_payload(request.data, session.limits) if request.data else EMPTY
    await session.application.send(session.client, data)
