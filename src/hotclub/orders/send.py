"""Sending orders to every process of the site."""

from collections.abc import Callable

import msgspec
from msgspec import Raw

from hotclub.durable import sql
from hotclub.durable.broker import RELAY
from hotclub.engine.broker.base import Message, Retention
from hotclub.engine.node import Node
from hotclub.orders.messages import RelayMessage
from hotclub.runtime.node import (
    after_commit,
    current_node,
    tell_node,
)


def send_relay(message: RelayMessage) -> None:
    """Hand a message to every other node of the site, with the commit of the current transaction.

    Nodes get it within RELAY_INTERVAL; one that is not there for a minute misses it. Synchronous.
    """
    sql.append(RELAY, Message(data=Raw(msgspec.json.encode(message))), Retention())


def everywhere(message: "Callable[[str], RelayMessage]", act: "Callable[[Node], object]") -> None:
    """Write the message for the other processes into the transaction, and act on this one's node at its commit."""
    node = current_node()
    if node is not None:
        # First, so that a failing database ends this process's connections all the same.
        after_commit(lambda: tell_node(node, act, node))
    send_relay(message("" if node is None else node.id))
