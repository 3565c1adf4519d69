"""Helpers that several command handlers use."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from msgspec import Raw

from hotclub.engine.codes import Close, Code
from hotclub.engine.errors import Disconnect, Refused
from hotclub.engine.model import EMPTY, Publication
from hotclub.engine.port import ResolvedChannel
from hotclub.engine.protocol.base import Codec
from hotclub.engine.protocol.payload import NotJson, check_payload
from hotclub.engine.session import Revoked, Session

Handler = Callable[[Session, int, Any], Awaitable[None]]
"""Serves one command. Takes the session, the command's id (0 for none) and the request, and sends the reply.

Raises `Refused` to answer with an error, `Disconnect` to end the connection. The dispatcher cancels a handler when the
connection ends; a cancelled handler sends no reply.
"""


def resolve(session: Session, channel: str) -> ResolvedChannel:
    """Resolve the channel that a command names (protocol §2.2).

    Raises:
        Refused: `BAD_REQUEST`, the command names no channel; or as `Channels.resolve`.
    """
    if not channel:
        raise Refused(Code.BAD_REQUEST, why="a command names no channel")
    return session.channels.resolve(channel)


@contextmanager
def decision(session: Session, channel: str) -> Iterator[None]:
    """Refuse the command if the server unsubscribes this connection from the channel while the block runs.

    Raises:
        Refused: `PERMISSION_DENIED`, at the end of the block.
    """
    session.revoked = revoked = Revoked()
    try:
        yield
    finally:
        session.revoked = None
    if channel in revoked:
        raise Refused(Code.PERMISSION_DENIED)


def optional_payload(session: Session, data: Raw) -> Raw:
    """Validate a payload that a client may leave out, and return it.

    Raises:
        Refused: `BAD_REQUEST`, as `check_payload`.
    """
    return check_payload(data, session.limits) if data else EMPTY


def check_form(codec: Codec, publications: Iterable[Publication]) -> None:
    """Check that the codec can carry the publications (protocol §6b).

    Raises:
        Disconnect: `INAPPROPRIATE_PROTOCOL`, a publication is not JSON and the codec is.
    """
    if not codec.binary and any(publication.binary for publication in publications):
        raise Disconnect(Close.INAPPROPRIATE_PROTOCOL)


def checked_payload(session: Session, data: Raw) -> tuple[Raw, bool]:
    """Validate a payload that a client sent.

    Returns the payload, and whether it is bytes that only the binary form of the protocol can carry (protocol §6b).

    Raises:
        Refused: `BAD_REQUEST`, as `check_payload`; a connection in the binary form may send bytes that are not JSON.
    """
    try:
        return check_payload(data, session.limits), False
    except NotJson:
        if session.codec.binary:
            return data, True
        raise
