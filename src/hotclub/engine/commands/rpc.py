"""The commands that name no channel: rpc, send and ping (protocol §2.7, §2.9)."""

from hotclub.engine.commands.base import optional_payload
from hotclub.engine.protocol import messages as wire
from hotclub.engine.session import Revoked, Session


async def ping(session: Session, command: int, _request: wire.PingCommand) -> None:
    """Reply with an empty result (protocol §2.9)."""
    session.reply(wire.Reply(command, ping=wire.EmptyResult()))


async def rpc(session: Session, command: int, request: wire.RpcCommand) -> None:
    """Call a procedure of the application and reply with its answer (protocol §2.7).

    Raises:
        Refused: `BAD_REQUEST` for a malformed payload, as `check_payload`; or as `Calls.rpc`.
    """
    data = optional_payload(session, request.data)
    session.revoked = session.client.revoked = Revoked()
    try:
        answer = await session.application.calls.rpc(session.client, request.method, data)
    finally:
        session.revoked, session.client.revoked = None, ()
    session.reply(wire.Reply(command, rpc=wire.RpcResult(answer)))


async def send(session: Session, _command: int, request: wire.SendCommand) -> None:
    """Hand an asynchronous message to the application (protocol §2.7). The command has no reply, so no error is sent.

    Raises:
        Refused: `BAD_REQUEST` for a malformed payload, as `check_payload`.
        Disconnect: as `Calls.send`.
    """
    data = optional_payload(session, request.data)
    await session.application.calls.send(session.client, data)
