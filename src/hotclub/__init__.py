"""Hotclub: Django, live. Channels with history, recovery and presence, from the same Django process."""

from hotclub.channels import Channel, History, rpc
from hotclub.client import Client
from hotclub.control import (
    adisconnect,
    ahistory,
    apresence,
    apresence_stats,
    aunsubscribe,
    disconnect,
    history,
    presence,
    presence_stats,
    unsubscribe,
)
from hotclub.engine.errors import (
    CommandError,
    Disconnect,
    HotclubError,
    IdempotencyConflict,
    UnrecoverablePosition,
    Unsubscribed,
)
from hotclub.engine.model import ClientInfo, HistoryPage, Position, PresenceStats, Publication
from hotclub.publishing import abroadcast, apublish, apublish_to_user, broadcast, publish, publish_to_user
from hotclub.runtime import NoNode

__version__ = "0.1.0"

__all__ = [
    "Channel",
    "Client",
    "ClientInfo",
    "CommandError",
    "Disconnect",
    "History",
    "HistoryPage",
    "HotclubError",
    "IdempotencyConflict",
    "NoNode",
    "Position",
    "PresenceStats",
    "Publication",
    "UnrecoverablePosition",
    "Unsubscribed",
    "__version__",
    "abroadcast",
    "adisconnect",
    "ahistory",
    "apresence",
    "apresence_stats",
    "apublish",
    "apublish_to_user",
    "aunsubscribe",
    "broadcast",
    "disconnect",
    "history",
    "presence",
    "presence_stats",
    "publish",
    "publish_to_user",
    "rpc",
    "unsubscribe",
]
