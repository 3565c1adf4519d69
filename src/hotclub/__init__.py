"""Hotclub: Django, live. Channels with history, recovery and presence, from the same Django process."""

from hotclub.access.poll_keys import sign_keys
from hotclub.access.tickets import aticket, ticket
from hotclub.access.tokens import connection_token, subscription_token
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
from hotclub.actions.maps import (
    amap_clear,
    amap_publish,
    amap_remove,
    amap_state,
    amap_stats,
    map_clear,
    map_publish,
    map_remove,
    map_state,
    map_stats,
)
from hotclub.actions.polls import ashared_poll_publish, shared_poll_publish
from hotclub.actions.publish import abroadcast, apublish, apublish_to_user, broadcast, publish, publish_to_user
from hotclub.channels.base import Channel, History
from hotclub.channels.client import Client, TokenUser
from hotclub.channels.maps import MapChannel, MapEntry
from hotclub.channels.polls import Polled, PollResult, SharedPollChannel
from hotclub.channels.rpc import rpc
from hotclub.channels.welcome import Welcome
from hotclub.conf.values import Rate
from hotclub.conf.version import __version__
from hotclub.engine.broker.maps import MapOutcome, MapPage, MapStats, Suppressed
from hotclub.engine.codes import Close, Code, Unsubscribe
from hotclub.engine.errors import (
    Disconnect,
    HotclubError,
    IdempotencyConflict,
    Refused,
    UnrecoverablePosition,
    Unsubscribed,
)
from hotclub.engine.model import ClientInfo, HistoryPage, Position, PresenceStats, Publication
from hotclub.runtime.node import NoNode

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
    "MapEntry",
    "MapOutcome",
    "MapPage",
    "MapStats",
    "NoNode",
    "PollResult",
    "Polled",
    "Position",
    "PresenceStats",
    "Publication",
    "Rate",
    "Refused",
    "SharedPollChannel",
    "Suppressed",
    "TokenUser",
    "UnrecoverablePosition",
    "Unsubscribe",
    "Unsubscribed",
    "Welcome",
    "__version__",
    "abroadcast",
    "adisconnect",
    "ahistory",
    "amap_clear",
    "amap_publish",
    "amap_remove",
    "amap_state",
    "amap_stats",
    "apresence",
    "apresence_stats",
    "apublish",
    "apublish_to_user",
    "ashared_poll_publish",
    "asubscribe",
    "aticket",
    "aunsubscribe",
    "broadcast",
    "connection_token",
    "disconnect",
    "history",
    "map_clear",
    "map_publish",
    "map_remove",
    "map_state",
    "map_stats",
    "presence",
    "presence_stats",
    "publish",
    "publish_to_user",
    "rpc",
    "shared_poll_publish",
    "sign_keys",
    "subscribe",
    "subscription_token",
    "ticket",
    "unsubscribe",
]
