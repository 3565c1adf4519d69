"""What control operations do in the process of the connections. For the thread of the node's event loop."""

import time
from collections.abc import Collection

from msgspec import Raw

from hotclub.engine.broker.base import Message
from hotclub.engine.codes import Close
from hotclub.engine.errors import Disconnect, Unsubscribed
from hotclub.engine.model import Position, Publication
from hotclub.engine.node import Node
from hotclub.engine.port import PolledItem, SubscribeGrant
from hotclub.engine.protocol.messages import Push, RefreshPush
from hotclub.engine.session import Session
from hotclub.engine.target import Target


def end(node: Node, target: Target, reason: Disconnect, spare: Collection[str] = ()) -> None:
    """End the connections that `target` names, but not those whose client ids are to be spared."""
    node.hub.peers.departed.forget(target)
    for peer in node.hub.peers.find(target):
        if peer.id not in spare:
            peer.close(reason)


def unsubscribe(node: Node, target: Target, channel: str, reason: Unsubscribed) -> None:
    """End subscriptions to the channel, or to every channel for ""."""
    if channel:
        node.unsubscribe(target, channel, reason)
        return
    node.hub.peers.departed.forget(target)
    for peer in node.hub.peers.find(target):
        for name in list(peer.subscribers):
            peer.expel(name, reason)


def subscribe(node: Node, target: Target, channel: str, grant: SubscribeGrant, since: Position | None) -> None:
    """Begin to subscribe; a failure is logged."""

    async def work() -> None:
        await node.subscribe(target, channel, grant, since)

    node.channels.spawn(work())


def refresh(node: Node, target: Target, ttl: int, info: Raw) -> None:
    """Let connections live for `ttl` seconds from now, 0 for ever and -1 for over; `info` replaces what is shown."""
    for peer in node.hub.peers.find(target):
        if ttl < 0:
            peer.close(Disconnect(Close.CONNECTION_EXPIRED))
        elif isinstance(peer, Session):
            if info:
                peer.client.info = info
            peer.expire_in(ttl)
            peer.push(Push(refresh=RefreshPush(ttl > 0, ttl)))


def publish_unkept(node: Node, channel: str, message: Message) -> None:
    """Send to the subscribers of this process, and keep nothing. Positions do not move. An idempotency key counts."""
    if message.idempotency_key and not node.channels.is_first(channel, message.idempotency_key):
        return
    publication = Publication(
        data=message.data, info=message.info, tags=message.tags, time=int(time.time() * 1000), binary=message.binary
    )
    node.hub.deliver(channel, publication, "")


def publish_item(node: Node, channel: str, item: PolledItem, epoch: str) -> None:
    """Tell who follows the key in this process."""
    node.channels.polls.publish(channel, item, epoch)
