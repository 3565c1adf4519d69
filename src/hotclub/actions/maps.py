"""Changing and reading maps from anywhere; sync names plain, async twins with `a`.

Like a publication, a change leaves when the transaction commits, or at once when there is none. The maps live in the
engine: a process without connections changes them through the database, and cannot read them.
"""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from hotclub.channels.registry import get_registry
from hotclub.conf.config import get_config
from hotclub.engine.broker.maps import KeyMode, MapMessage, MapOutcome, MapPage, MapQuery, MapStats
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.engine.maps import check_key
from hotclub.engine.model import Position
from hotclub.orders.messages import ChangeMap, ClearMap
from hotclub.orders.send import send
from hotclub.runtime.encoding import encode
from hotclub.runtime.node import (
    aask_node,
    after_commit,
    ask_node,
    begin_in_node,
    current_node,
    in_thread,
    refuse_event_loop,
    require_node,
)


def map_publish(  # noqa: PLR0913 - the options of a change are its contract
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

    Inside `transaction.atomic()` the change is made with the commit, or not at all.

    Args:
        channel: the name of a `MapChannel`.
        key: 1 to 256 bytes of text.
        data: what JSON can hold; see `publish`.
        tags: text by name, by which subscribers may choose.
        score: the place in an ordered map.
        mode: `"if_new"` sets only a key that is not there, `"if_exists"` only one that is.
        version: set only if it is higher than the key's; 0 has no version.
        version_epoch: what the version counts in; another one than the key's begins anew.
        expected: set only if the key was last changed there (compare and set; persistent maps only).
        idempotency_key: repeating a call with the same key and data sets once.

    Returns:
        What became of it. None when it is not known yet (inside a transaction) or known elsewhere only (no node in this
        process).

    Raises:
        Refused: `UNKNOWN_CHANNEL`, no such channel; `NOT_AVAILABLE`, the channel is no map; `BAD_REQUEST`, the key is
            none, or `expected` without positions.
        TypeError, ValueError: JSON cannot hold the data.
        IdempotencyConflict: the idempotency key was used for another change.
        SynchronousOnlyOperation: called where an event loop runs; await `amap_publish`.
        NoNode: the event loop of this process is stuck; the change may still be made.
    """
    refuse_event_loop("map_publish")
    return _send(
        channel,
        MapMessage(
            key=key,
            data=encode(data),
            tags=dict(tags or {}),
            score=score,
            mode=mode,
            version=version,
            version_epoch=version_epoch,
            expected=expected,
            idempotency_key=idempotency_key,
        ),
    )


async def amap_publish(  # noqa: PLR0913 - as above
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
    """`map_publish` for async code. A cancelled call may have set the key: repeat it with the same idempotency key."""
    return await _asend(
        channel,
        MapMessage(
            key=key,
            data=encode(data),
            tags=dict(tags or {}),
            score=score,
            mode=mode,
            version=version,
            version_epoch=version_epoch,
            expected=expected,
            idempotency_key=idempotency_key,
        ),
    )


def map_remove(
    channel: str, key: str, *, expected: Position | None = None, idempotency_key: str = ""
) -> MapOutcome | None:
    """Remove a key of a map. Returns and raises as `map_publish` does."""
    refuse_event_loop("map_remove")
    return _send(channel, MapMessage(key=key, removed=True, expected=expected, idempotency_key=idempotency_key))


async def amap_remove(
    channel: str, key: str, *, expected: Position | None = None, idempotency_key: str = ""
) -> MapOutcome | None:
    """`map_remove` for async code."""
    return await _asend(channel, MapMessage(key=key, removed=True, expected=expected, idempotency_key=idempotency_key))


def map_clear(channel: str) -> None:
    """Remove every key of a map. Raises as `map_publish` does."""
    refuse_event_loop("map_clear")
    _clear(channel)


async def amap_clear(channel: str) -> None:
    """`map_clear` for async code."""
    await in_thread(_clear, channel)


def map_state(channel: str, *, key: str = "", cursor: str = "", limit: int = 100, asc: bool = False) -> MapPage:
    """The entries of a map, a page at a time.

    Args:
        channel: the name of a `MapChannel`.
        key: only this one.
        cursor: that of the page before.
        limit: most entries; -1 for all.
        asc: lowest score first, in ordered maps.

    Raises:
        Refused: `UNKNOWN_CHANNEL`, no such channel; `NOT_AVAILABLE`, the channel is no map; `BAD_REQUEST`, the cursor
            is none.
        NoNode: no node runs in this process, or it gave no answer in time.
        SynchronousOnlyOperation: called where an event loop runs; await `amap_state`.
    """
    refuse_event_loop("map_state")
    node = require_node()
    query = MapQuery(cursor=cursor, limit=limit, key=key, asc=asc)
    return ask_node(node, node.channels.maps.read(channel, query))


async def amap_state(channel: str, *, key: str = "", cursor: str = "", limit: int = 100, asc: bool = False) -> MapPage:
    """`map_state` for async code."""
    node = require_node()
    query = MapQuery(cursor=cursor, limit=limit, key=key, asc=asc)
    return await aask_node(node, node.channels.maps.read(channel, query))


def map_stats(channel: str) -> MapStats:
    """How many keys a map has. Raises as `map_state` does."""
    refuse_event_loop("map_stats")
    node = require_node()
    return ask_node(node, node.channels.maps.stats(channel))


async def amap_stats(channel: str) -> MapStats:
    """`map_stats` for async code."""
    node = require_node()
    return await aask_node(node, node.channels.maps.stats(channel))


async def change_map(channel: str, message: MapMessage) -> MapOutcome | None:
    """`amap_publish` or `amap_remove` for a message that is made already. Raises as they do."""
    return await _asend(channel, message)


async def _asend(channel: str, message: MapMessage) -> MapOutcome | None:
    node = current_node()
    if node is None or transaction.get_connection(get_config().database).in_atomic_block:
        return await in_thread(_send, channel, message)
    _check(channel, message)
    return await aask_node(node, node.channels.maps.change(channel, message))


def _send(channel: str, message: MapMessage) -> MapOutcome | None:
    _check(channel, message)
    node = current_node()
    if node is None:
        send(ChangeMap(channel, message))
        return None
    if transaction.get_connection(get_config().database).in_atomic_block:
        after_commit(lambda: begin_in_node(node, node.channels.maps.change(channel, message)))
        return None
    return ask_node(node, node.channels.maps.change(channel, message))


def _check(channel: str, message: MapMessage) -> None:
    """What the engine would refuse later, when nobody listens any more."""
    config, spec = get_config(), get_registry().route(channel).spec
    if spec.map is None:
        raise Refused(Code.NOT_AVAILABLE, "this channel is no map")
    check_key(message.key, config.limits)
    if message.expected is not None and spec.retention.size <= 0:
        raise Refused(Code.BAD_REQUEST, "an ephemeral map has no positions to compare")


def _clear(channel: str) -> None:
    if get_registry().route(channel).spec.map is None:
        raise Refused(Code.NOT_AVAILABLE, "this channel is no map")
    node = current_node()
    if node is None:
        send(ClearMap(channel))
    elif transaction.get_connection(get_config().database).in_atomic_block:
        after_commit(lambda: begin_in_node(node, node.channels.maps.clear(channel)))
    else:
        ask_node(node, node.channels.maps.clear(channel))
