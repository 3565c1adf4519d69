"""Performs orders among the connections of one node, in the thread of the node's event loop."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

from hotclub.access.emulated import may_send
from hotclub.engine.broker.base import Message
from hotclub.engine.codes import Close
from hotclub.engine.errors import Disconnect, HotclubError, Unsubscribed
from hotclub.engine.leases import Leases
from hotclub.engine.model import Publication
from hotclub.engine.node import Node
from hotclub.engine.observe import logger
from hotclub.engine.port import SubscribeGrant
from hotclub.engine.protocol.messages import Emulation, Push, RefreshPush
from hotclub.engine.session import Session
from hotclub.engine.transports.emulation import emulate, emulated_client
from hotclub.orders.messages import (
    ChangeMap,
    ClearMap,
    EndConnections,
    EndSubscriptions,
    LookAtLogins,
    Order,
    Publish,
    PublishPolled,
    PublishUnkept,
    Refresh,
    Subscribe,
    TakeCommands,
    encode_order,
)

_REMEMBERED: Final = 600.0
"""Seconds for which a row counts as performed whose order has arrived once. A reader is never so late, except after an
outage, and whatever is deleted before it is read would be remembered for ever."""
_FORGOTTEN_AT_ONCE: Final = 4
"""The most rows that one order forgets."""

_performed: Final[WeakKeyDictionary[Node, Leases[int, str]]] = WeakKeyDictionary()
"""The rows whose orders have arrived at `perform_once` of each node once, each with its order as JSON text."""


def perform(node: Node, order: Order) -> None:
    """Perform an order among the connections of this node.

    The call does not wait. Orders that need to wait run in a task of the node, which logs a failure.
    """
    _PERFORM[type(order)](node, order)


def origin_of(node: Node) -> str:
    """Return the origin of an order that both the commit and the reader of this node bring to `perform_once`."""
    return f"{node.id}:commit"


def perform_once(node: Node, number: int, order: Order) -> None:
    """Perform an order on its first arrival, and skip its second. Call this in the thread of the node's event loop.

    Args:
        node: the node of this process, which gave the order in a transaction.
        number: the id of the order's row.
        order: the order.
    """
    performed, now = _performed.setdefault(node, Leases(_REMEMBERED)), time.monotonic()
    performed.expire(now, _FORGOTTEN_AT_ONCE)
    payload = encode_order(order)
    # A database that was restored, or that rolled back, gives the id of a row to another order.
    if performed.get(number, now) == payload:
        performed.drop(number)
    else:
        performed.touch(number, payload, now)
        perform(node, order)


def _end_connections(node: Node, order: EndConnections) -> None:
    node.disconnect(order.target, Disconnect(order.code, order.reason), order.spare)


def _end_subscriptions(node: Node, order: EndSubscriptions) -> None:
    node.unsubscribe(order.target, order.channel, Unsubscribed(order.code))


def _look_at_logins(node: Node, _order: LookAtLogins) -> None:
    node.application.connects.doubt()


def _subscribe(node: Node, order: Subscribe) -> None:
    grant = SubscribeGrant(info=order.info, data=order.data, ttl=order.ttl, overrides=order.overrides)

    async def work() -> None:
        await node.subscribe(order.target, order.channel, grant, order.since)

    node.channels.spawn(work())


def _refresh(node: Node, order: Refresh) -> None:
    # A connection that is being decided on gets its life from that decision, unless its life is over.
    for peer in node.hub.peers.find(order.target, remember=order.ttl < 0):
        if order.ttl < 0:
            peer.close(Disconnect(Close.CONNECTION_EXPIRED))
        elif isinstance(peer, Session):
            if order.info:
                peer.client.info = order.info
            peer.expire_in(order.ttl)
            peer.push(Push(refresh=RefreshPush(order.ttl > 0, order.ttl)))


def _publish(node: Node, order: Publish) -> None:
    message = Message(
        data=order.data,
        tags=order.tags,
        idempotency_key=order.idempotency_key,
        version=order.version,
        version_epoch=order.version_epoch,
    )

    async def work() -> None:
        try:
            await node.channels.publish(order.channel, message)
        except HotclubError as error:
            logger.warning("A publication of another process in %r was dropped: %s", order.channel, error)

    node.channels.spawn(work())


def _publish_unkept(node: Node, order: PublishUnkept) -> None:
    message = Message(data=order.data, tags=order.tags, idempotency_key=order.idempotency_key)
    deliver_unkept(node, order.channel, message)


def deliver_unkept(node: Node, channel: str, message: Message) -> None:
    """Send a message to the subscribers on this node, without a place in the channel's log.

    A message whose idempotency key was used before is dropped.
    """
    if message.idempotency_key and not node.channels.is_first(channel, message.idempotency_key):
        return
    publication = Publication(
        data=message.data, info=message.info, tags=message.tags, time=int(time.time() * 1000), binary=message.binary
    )
    node.hub.deliver(channel, publication, "")


def _change_map(node: Node, order: ChangeMap | ClearMap) -> None:
    async def work() -> None:
        maps = node.channels.maps
        try:
            if isinstance(order, ClearMap):
                await maps.clear(order.channel)
            else:
                await maps.change(order.channel, order.message)
        except HotclubError as error:
            logger.warning("A change of another process in the map %r was dropped: %s", order.channel, error)

    node.channels.spawn(work())


def _publish_polled(node: Node, order: PublishPolled) -> None:
    node.channels.polls.publish(order.channel, order.item, order.epoch)


def _take_commands(node: Node, order: TakeCommands) -> None:
    emulation = Emulation(order.session, order.node, order.data)
    client = emulated_client(node, emulation) if order.node == node.id else None
    # Nobody waits for an answer: the request was answered at its own node.
    if client is not None and may_send(client, order.user):
        emulate(node, emulation)


_PERFORM: Final[Mapping[type, Callable[[Node, Any], None]]] = {
    EndConnections: _end_connections,
    EndSubscriptions: _end_subscriptions,
    LookAtLogins: _look_at_logins,
    Subscribe: _subscribe,
    Refresh: _refresh,
    Publish: _publish,
    PublishUnkept: _publish_unkept,
    ChangeMap: _change_map,
    ClearMap: _change_map,
    PublishPolled: _publish_polled,
    TakeCommands: _take_commands,
}
