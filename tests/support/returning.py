"""Clients that come back to a channel, and what they must be told: all that they missed, or that it is not all."""

from typing import Any, Final

from msgspec import Struct

from tests.support.listener import Listener, Refused

TRANSPORTS: Final = ("websocket-json", "websocket-protobuf", "sse-json")
"""Both forms of the protocol, and commands by POST."""
BY_THE_SERVER: Final = ("uni_http_stream-json", "uni_websocket-json")
"""Over these every subscription is the server's, and is recovered by the connect command."""


class Outcome(Struct, frozen=True):
    """What a returning client was told: whether it has everything, and the offsets of what it was replayed."""

    recovered: bool
    offsets: tuple[int, ...] = ()


async def come_back(port: int, transport: str, channel: str, epoch: str, offset: int, **fields: Any) -> Outcome:
    """Subscribe with a position. Being refused is told as not recovered: a map says error 112 where others do not."""
    try:
        async with Listener.open(port, transport, channel, since=(epoch, offset), **fields) as late:
            return Outcome(late.recovered, tuple(seen for seen, _ in late.seen))
    except Refused as refused:
        if refused.args[0]["code"] != 112:
            raise
        return Outcome(recovered=False)


def whole(offset: int, published: int, kept: int) -> Outcome:
    """What a client is to be told that comes back with this offset to a log that keeps so many."""
    if not published - kept <= offset <= published:
        return Outcome(recovered=False)
    return Outcome(recovered=True, offsets=tuple(range(offset + 1, published + 1)))
