"""The answer to a command that cannot be decoded."""

from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.engine.protocol.connection import Event
from hotclub.engine.protocol.malformed import Malformed
from hotclub.engine.session import Session


async def refuse(session: Session, _command: int, request: Malformed) -> None:
    """Refuse the command. After a malformed connect command nothing more is taken from the client (protocol §1.5).

    Raises:
        Refused: `BAD_REQUEST`, always.
        Disconnect: `BAD_REQUEST`, the connection has had a connect command before.
    """
    if request.connects:
        session.advance(Event.CONNECT)
        session.advance(Event.DENIED)
    raise Refused(Code.BAD_REQUEST, request.why, why=request.why)
