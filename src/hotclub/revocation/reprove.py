"""Makes clients ask again for what the node granted, when the node may have missed a revocation."""

import asyncio
from typing import Final

from hotclub.engine.codes import Close, Unsubscribe
from hotclub.engine.errors import Disconnect, Unsubscribed
from hotclub.engine.names import personal_name
from hotclub.engine.node import Node
from hotclub.engine.peers import Peer
from hotclub.engine.session import Session
from hotclub.engine.target import Target

_PER_TURN: Final = 100
"""Connections per turn of the event loop."""


async def reprove(node: Node, *, personal: bool) -> None:
    """End every subscription of the node so that its client subscribes again, and forget the kept grants.

    Each hundred connections take one turn of the event loop. A cancelled call leaves the remaining connections as they
    are. A client that is connecting meanwhile is told to connect again.

    Args:
        node: the node.
        personal: keep the subscriptions to personal channels, which end with their logins alone.
    """
    node.hub.peers.departed.forget(Target())
    peers = node.hub.peers.find(Target())
    for peer in peers:
        for subscriber in peer.subscribers.values():
            # Otherwise the node would keep the grant when the connection ends.
            subscriber.given = None
    for start in range(0, len(peers), _PER_TURN):
        for peer in peers[start : start + _PER_TURN]:
            _doubt(peer, personal_name(peer.user_id) if personal else "")
        await asyncio.sleep(0)


def _doubt(peer: Peer, spared: str) -> None:
    """End the connection's subscriptions, except the one to the channel `spared`.

    The connection itself ends where the client would not subscribe again: the server made one of the subscriptions, or
    the end of an undecided subscription would be a final refusal.
    """
    undecided = isinstance(peer, Session) and peer.revoked is not None
    subscribers = [subscriber for channel, subscriber in peer.subscribers.items() if channel != spared]
    if undecided or any(subscriber.server_side or subscriber.buffer is not None for subscriber in subscribers):
        peer.close(Disconnect(Close.INSUFFICIENT_STATE))
        return
    for subscriber in subscribers:
        peer.expel(subscriber.channel, Unsubscribed(Unsubscribe.INSUFFICIENT_STATE))
