"""Hotclub: live channels for Django, with history, recovery and presence, in the Django process itself.

This module exports the names that most projects need. Maps are in `hotclub.maps`, shared polls in `hotclub.polls`,
tokens in `hotclub.tokens`, the test client in `hotclub.testing` and the ASGI application in `hotclub.asgi`.
"""

from hotclub.actions.connections import (
    adisconnect,
    ahistory,
    apresence,
    apresence_stats,
    asubscribe,
    aunsubscribe,
    disconnect,
    history,
    presence,
    presence_stats,
    subscribe,
    unsubscribe,
)
from hotclub.actions.publish import abroadcast, apublish, apublish_to_user, broadcast, publish, publish_to_user
from hotclub.channels.base import Channel, History
from hotclub.channels.client import Client
from hotclub.channels.maps import MapChannel
from hotclub.channels.polls import SharedPollChannel
from hotclub.channels.results import ClientInfo, HistoryPage, Publication
from hotclub.channels.rpc import rpc
from hotclub.channels.welcome import Welcome
from hotclub.conf.values import Rate
from hotclub.conf.version import __version__
from hotclub.engine.codes import Close, Code, Unsubscribe
from hotclub.engine.errors import (
    Disconnect,
    HotclubError,
    IdempotencyConflict,
    Refused,
    UnrecoverablePosition,
    Unsubscribed,
)
from hotclub.engine.model import Position, PresenceStats
from hotclub.runtime.node import NoNode
from hotclub.runtime.tables import NotMigrated

__all__ = [
    "Channel",
    "Client",
    "ClientInfo",
    "Close",
    "Code",
    "Disconnect",
    "History",
    "HistoryPage",
    "HotclubError",
    "IdempotencyConflict",
    "MapChannel",
    "NoNode",
    "NotMigrated",
    "Position",
    "PresenceStats",
    "Publication",
    "Rate",
    "Refused",
    "SharedPollChannel",
    "UnrecoverablePosition",
    "Unsubscribe",
    "Unsubscribed",
    "Welcome",
    "__version__",
    "abroadcast",
    "adisconnect",
    "ahistory",
    "apresence",
    "apresence_stats",
    "apublish",
    "apublish_to_user",
    "asubscribe",
    "aunsubscribe",
    "broadcast",
    "disconnect",
    "history",
    "presence",
    "presence_stats",
    "publish",
    "publish_to_user",
    "rpc",
    "subscribe",
    "unsubscribe",
]
