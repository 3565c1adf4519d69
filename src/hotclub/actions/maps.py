"""Changes and reads maps. Async twins have an `a` in front.

A change is made when the transaction commits, or at once when there is none. The engine of a server process holds
the maps. A process without a node sends its changes as orders, and cannot read maps.
"""

from collections.abc import Mapping
from typing import Any

from hotclub.channels.registry import get_registry
from hotclub.channels.results import MapOutcome, MapPage
from hotclub.conf.config import get_config
from hotclub.engine.broker import maps
from hotclub.engine.broker.maps import KeyMode, MapMessage, MapQuery, MapStats
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.engine.maps import check_key
from hotclub.engine.model import Position
from hotclub.engine.names import normal
from hotclub.orders.messages import ChangeMap, ClearMap
from hotclub.orders.send import carry_out
from hotclub.runtime.encoding import encode
from hotclub.runtime.node import (
    aask_node,
    ask_node,
    current_node,
    in_thread,
    refuse_event_loop,
    require_node,
)
from hotclub.runtime.transactions import in_transaction


def map_publish(  # noqa: PLR0913 - every option of a change
    channel: str,
    key: str,
    data: Any,
    *,
    tags: Mapping[str, str] | None = None,
    score: int = 0,
    mode: KeyMode = "",
    version: int = 0,
    version_epoch: str = "",
    expected: Position | None = None,
    idempotency_key: str = "",
) -> MapOutcome | None:
    """Set a key of a map, from synchronous code.

    Inside `transaction.atomic()` the key is set with the commit, or not at all.

    Args:
        channel: the name of a `MapChannel`.
        key: 1 to 256 bytes of text.
        data: what JSON can hold; see `publish`.
        tags: text by name, by which subscribers may choose.
        score: the entry's place in an ordered map.
        mode: `"if_new"` sets the key only if the map does not have it, `"if_exists"` only if the map has it.
        version: sets the key only if this is higher than the key's version; 0 has no version.
        version_epoch: what the version counts in; in another epoch than the key's, versions begin anew.
        expected: sets the key only if the key was last changed at this position (persistent maps only).
        idempotency_key: repeating a call with the same idempotency key, key and data sets the key once.

    Returns:
        The outcome of the change. None inside a transaction, where the outcome is not known yet, and in a process
        without a node, which does not learn it.

    Raises:
        Refused: `UNKNOWN_CHANNEL`, no such channel; `NOT_AVAILABLE`, the channel is not a map; `BAD_REQUEST`, the key
            is too short or too long, or `expected` is given for a map without positions; `LIMIT_EXCEEDED`, the map is
            full.
        TypeError, ValueError: JSON cannot hold the data.
        IdempotencyConflict: the idempotency key was used for another change.
        SynchronousOnlyOperation: the function was called where an event loop runs; await `amap_publish`.
        NoNode: the event loop of this process is stuck; the key may still be set.
    """
    refuse_event_loop("map_publish")
    message = _setting(
        key,
        data,
        tags,
        score=score,
        mode=mode,
        version=version,
        version_epoch=version_epoch,
        expected=expected,
        idempotency_key=idempotency_key,
    )
    return _told(_send(channel, message))


async def amap_publish(  # noqa: PLR0913 - as map_publish
    channel: str,
    key: str,
    data: Any,
    *,
    tags: Mapping[str, str] | None = None,
    score: int = 0,
    mode: KeyMode = "",
    version: int = 0,
    version_epoch: str = "",
    expected: Position | None = None,
    idempotency_key: str = "",
) -> MapOutcome | None:
    """`map_publish` for async code.

    A cancelled call may have set the key: repeat it with the same idempotency key.
    """
    message = _setting(
        key,
        data,
        tags,
        score=score,
        mode=mode,
        version=version,
        version_epoch=version_epoch,
        expected=expected,
        idempotency_key=idempotency_key,
    )
    return _told(await change_map(channel, message))


def map_remove(
    channel: str, key: str, *, expected: Position | None = None, idempotency_key: str = ""
) -> MapOutcome | None:
    """Remove a key of a map, from synchronous code.

    Inside `transaction.atomic()` the key is removed with the commit, or not at all.

    Args:
        channel: the name of a `MapChannel`.
        key: the key.
        expected: removes the key only if the key was last changed at this position (persistent maps only).
        idempotency_key: repeating a call with the same idempotency key and key removes the key once.

    Returns:
        As `map_publish`. For a key that is not there, the reason is `Suppressed.KEY_NOT_FOUND`.

    Raises:
        Refused: `UNKNOWN_CHANNEL`, no such channel; `NOT_AVAILABLE`, the channel is not a map; `BAD_REQUEST`, the key
            is too short or too long, or `expected` is given for a map without positions.
        IdempotencyConflict: the idempotency key was used for another change.
        SynchronousOnlyOperation: the function was called where an event loop runs; await `amap_remove`.
        NoNode: the event loop of this process is stuck; the key may still be removed.
    """
    refuse_event_loop("map_remove")
    return _told(_send(channel, _removal(key, expected, idempotency_key)))


async def amap_remove(
    channel: str, key: str, *, expected: Position | None = None, idempotency_key: str = ""
) -> MapOutcome | None:
    """`map_remove` for async code.

    A cancelled call may have removed the key: repeat it with the same idempotency key.
    """
    return _told(await change_map(channel, _removal(key, expected, idempotency_key)))


def map_clear(channel: str) -> None:
    """Remove every key of a map, from synchronous code; inside a transaction with the commit.

    Args:
        channel: the name of a `MapChannel`.

    Raises:
        Refused: `UNKNOWN_CHANNEL`, no such channel; `NOT_AVAILABLE`, the channel is not a map.
        SynchronousOnlyOperation: the function was called where an event loop runs; await `amap_clear`.
        NoNode: the event loop of this process is stuck; the keys may still be removed.
    """
    refuse_event_loop("map_clear")
    _clear(channel)


async def amap_clear(channel: str) -> None:
    """`map_clear` for async code. A cancelled call may have removed the keys; repeating it does no harm."""
    await in_thread(_clear, channel)


def map_state(channel: str, *, key: str = "", cursor: str = "", limit: int = 100, asc: bool = False) -> MapPage:
    """Read the entries of a map, a page at a time, from synchronous code.

    Args:
        channel: the name of a `MapChannel`.
        key: reads this entry alone.
        cursor: the `cursor` of the page before, "" for the first page.
        limit: the most entries of the page; -1 for all.
        asc: in ordered maps, return the lowest score first instead of the highest.

    Returns:
        The page. An entry's `data` is decoded JSON.

    Raises:
        Refused: `UNKNOWN_CHANNEL`, no such channel; `NOT_AVAILABLE`, the channel is not a map; `BAD_REQUEST`, the
            cursor is not one of this map.
        NoNode: no node runs in this process, or its event loop gave no answer in time.
        SynchronousOnlyOperation: the function was called where an event loop runs; await `amap_state`.
    """
    refuse_event_loop("map_state")
    node = require_node()
    query = MapQuery(cursor=cursor, limit=limit, key=key, asc=asc)
    return MapPage.of(ask_node(node, node.channels.maps.read(normal(channel), query)))


async def amap_state(channel: str, *, key: str = "", cursor: str = "", limit: int = 100, asc: bool = False) -> MapPage:
    """`map_state` for async code. Nothing is changed, so a cancelled call leaves nothing behind."""
    return MapPage.of(await read_map(channel, MapQuery(cursor=cursor, limit=limit, key=key, asc=asc)))


def map_stats(channel: str) -> MapStats:
    """Count the keys of a map, from synchronous code.

    Args:
        channel: the name of a `MapChannel`.

    Returns:
        The number, as `num_keys`.

    Raises:
        Refused: `UNKNOWN_CHANNEL`, no such channel; `NOT_AVAILABLE`, the channel is not a map.
        NoNode: no node runs in this process, or its event loop gave no answer in time.
        SynchronousOnlyOperation: the function was called where an event loop runs; await `amap_stats`.
    """
    refuse_event_loop("map_stats")
    node = require_node()
    return ask_node(node, node.channels.maps.stats(normal(channel)))


async def amap_stats(channel: str) -> MapStats:
    """`map_stats` for async code. Nothing is changed, so a cancelled call leaves nothing behind."""
    node = require_node()
    return await aask_node(node, node.channels.maps.stats(normal(channel)))


async def change_map(channel: str, message: MapMessage) -> maps.MapOutcome | None:
    """Change a map. Returns and raises as `map_publish`, but leaves payloads as bytes.

    A cancelled call may have changed the map.
    """
    node = current_node()
    if node is None or in_transaction():
        return await in_thread(_send, channel, message)
    name = _checked(channel, message)
    return await aask_node(node, node.channels.maps.change(name, message))


async def read_map(channel: str, query: MapQuery) -> maps.MapPage:
    """Read a page of a map, and leave payloads as bytes. Raises as `map_state`.

    A cancelled call leaves nothing behind.
    """
    node = require_node()
    return await aask_node(node, node.channels.maps.read(normal(channel), query))


def _setting(key: str, data: Any, tags: Mapping[str, str] | None, **options: Any) -> MapMessage:
    return MapMessage(key=key, data=encode(data), tags=dict(tags or {}), **options)


def _removal(key: str, expected: Position | None, idempotency_key: str) -> MapMessage:
    return MapMessage(key=key, removed=True, expected=expected, idempotency_key=idempotency_key)


def _told(outcome: maps.MapOutcome | None) -> MapOutcome | None:
    return None if outcome is None else MapOutcome.of(outcome)


def _send(channel: str, message: MapMessage) -> maps.MapOutcome | None:
    name = _checked(channel, message)
    return carry_out([ChangeMap(name, message)], lambda node: node.channels.maps.change(name, message))


def _checked(channel: str, message: MapMessage) -> str:
    """Refuse a change that the engine would refuse only after the commit, where the caller does not get the error.

    Returns the channel's name in normal form C.
    """
    config, route = get_config(), get_registry().route(channel)
    spec = route.spec
    if spec.map is None:
        raise Refused(Code.NOT_AVAILABLE, "this channel is not a map")
    check_key(message.key, config.limits)
    if message.expected is not None and spec.retention.size <= 0:
        raise Refused(Code.BAD_REQUEST, "an ephemeral map has no positions to compare")
    return route.name


def _clear(channel: str) -> None:
    route = get_registry().route(channel)
    if route.spec.map is None:
        raise Refused(Code.NOT_AVAILABLE, "this channel is not a map")
    carry_out([ClearMap(route.name)], lambda node: node.channels.maps.clear(route.name))
