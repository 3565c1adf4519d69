"""Clients that come back to a channel. A client gets all missed publications, or is told that some are missing."""

from typing import Any, Final

from msgspec import Struct

from tests.support.listener import Listener, Refused

TRANSPORTS: Final = ("websocket-json", "websocket-protobuf", "sse-json")
"""Both forms of the protocol, and commands by POST."""
BY_THE_SERVER: Final = ("uni_http_stream-json", "uni_websocket-json")
"""Transports on which the server makes every subscription. The connect command recovers them."""


class Outcome(Struct, frozen=True):
    """The reply to a returning client: whether it was recovered, and the offsets of the replayed publications."""

    recovered: bool
    offsets: tuple[int, ...] = ()


async def come_back(port: int, transport: str, channel: str, epoch: str, offset: int, **fields: Any) -> Outcome:
    """Subscribe with a position. Error 112, with which a map refuses, counts as not recovered."""
    try:
        async with Listener.open(port, transport, channel, since=(epoch, offset), **fields) as late:
            return Outcome(late.recovered, tuple(seen for seen, _ in late.seen))
    except Refused as refused:
        if refused.args[0]["code"] != 112:
            raise
        return Outcome(recovered=False)


def whole(offset: int, published: int, kept: int) -> Outcome:
    """The expected outcome for a client that returns with this offset to a log that keeps `kept` publications."""
    if not published - kept <= offset <= published:
        return Outcome(recovered=False)
    return Outcome(recovered=True, offsets=tuple(range(offset + 1, published + 1)))
