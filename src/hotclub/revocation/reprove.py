"""When a revocation may have been missed: whatever was granted up to now is asked for again."""

import asyncio
from typing import Final

from hotclub.engine.codes import Close, Unsubscribe
from hotclub.engine.errors import Disconnect, Unsubscribed
from hotclub.engine.node import Node
from hotclub.engine.peers import Peer
from hotclub.engine.session import Session
from hotclub.engine.target import Target

_PER_TURN: Final = 100
"""Connections per turn of the event loop."""


async def reprove(node: Node) -> None:
    """End every subscription of the node so that its client subscribes again, and forget the grants of those who are
    away.

    Takes a turn of the event loop per hundred connections. Connections that are just being made are told to come again.
    """
    node.hub.peers.departed.forget(Target())
    peers = node.hub.peers.find(Target())
    for peer in peers:
        for subscriber in peer.subscribers.values():
            # Or the end of the connection would have the grant remembered.
            subscriber.given = None
    for start in range(0, len(peers), _PER_TURN):
        for peer in peers[start : start + _PER_TURN]:
            _doubt(peer)
        await asyncio.sleep(0)


def _doubt(peer: Peer) -> None:
    """A client's own subscriptions end one by one. What the server subscribed it to, or is about to decide, ends with
    the connection: a refusal would be final for the client."""
    undecided = isinstance(peer, Session) and peer.revoked is not None
    subscribers = list(peer.subscribers.values())
    if undecided or any(subscriber.server_side or subscriber.buffer is not None for subscriber in subscribers):
        peer.close(Disconnect(Close.INSUFFICIENT_STATE))
        return
    for subscriber in subscribers:
        peer.expel(subscriber.channel, Unsubscribed(Unsubscribe.INSUFFICIENT_STATE))
