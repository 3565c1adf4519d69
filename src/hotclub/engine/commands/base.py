"""What the command families share."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from msgspec import Raw

from hotclub.engine.codes import Close, Code
from hotclub.engine.errors import Disconnect, Refused
from hotclub.engine.port import ChannelSpec
from hotclub.engine.protocol.payload import NotJson, check_payload
from hotclub.engine.session import Session

Handler = Callable[[Session, int, Any], Awaitable[None]]


def channel_options(session: Session, channel: str) -> ChannelSpec:
    """The options of a command's channel; a command without one is malformed (protocol §2.2)."""
    if not channel:
        raise Disconnect(Close.BAD_REQUEST)
    return session.channels.spec(channel)


@contextmanager
def decision(session: Session, channel: str) -> Iterator[None]:
    """What the application decides in this block counts for nothing when the server has taken it back at its end."""
    revoked: set[str] = set()
    session.revoked = revoked
    try:
        yield
    finally:
        session.revoked = None
    if channel in revoked:
        raise Refused(Code.PERMISSION_DENIED)


def checked_payload(session: Session, data: Raw) -> tuple[Raw, bool]:
    """The payload, and whether it is bytes that only the binary form of the protocol can carry (protocol §6b)."""
    try:
        return check_payload(data, session.limits), False
    except NotJson:
        if session.codec.binary:
            return data, True
        raise
