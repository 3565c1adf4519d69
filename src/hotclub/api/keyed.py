"""The HTTP API's methods for maps and shared polls."""

import base64
import binascii
from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType

from hotclub import maps
from hotclub.api import messages as wire
from hotclub.api.settings import Grant
from hotclub.conf import get_config
from hotclub.engine.application import PolledItem
from hotclub.engine.broker.base import HistoryQuery
from hotclub.engine.broker.maps import MapMessage, MapOutcome
from hotclub.engine.errors import command_error
from hotclub.engine.maps import check_key
from hotclub.engine.model import EMPTY, Position, Publication
from hotclub.engine.protocol.payload import check_payload
from hotclub.registry import get_registry
from hotclub.runtime import aask_node, require_node, tell_node


class MapPublishRequest(Struct, frozen=True, kw_only=True):
    channel: str
    key: str
    data: Raw | UnsetType = UNSET
    b64data: str = ""
    tags: dict[str, str] = {}
    score: int = 0
    key_mode: Literal["", "if_new", "if_exists"] = ""
    version: int = 0
    version_epoch: str = ""
    expected_position: wire.StreamPosition | None = None
    """Set only if the key was last changed there."""
    idempotency_key: str = ""
    delta: bool = False
    """Understood; whether differences are sent is an option of the channel's class."""


class MapRemoveRequest(Struct, frozen=True, kw_only=True):
    channel: str
    key: str
    expected_position: wire.StreamPosition | None = None
    idempotency_key: str = ""


class MapChangeResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the map stands, and why the change was not made, if so."""

    offset: int = 0
    epoch: str = ""
    suppressed: bool = False
    suppress_reason: str = ""


class MapReadStateRequest(Struct, frozen=True, kw_only=True):
    channel: str
    key: str = ""
    cursor: str = ""
    limit: int = 100
    """-1 is all."""
    asc: bool = False


class MapItem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An entry of a map, or a change of one."""

    key: str
    data: Raw | UnsetType = UNSET
    offset: int = 0
    info: wire.ClientInfo | None = None
    tags: dict[str, str] = {}
    score: int = 0
    removed: bool = False


class MapReadStateResult(Struct, frozen=True, kw_only=True):
    publications: list[MapItem]
    epoch: str
    offset: int
    cursor: str = ""


class MapReadStreamResult(Struct, frozen=True, kw_only=True):
    publications: list[MapItem]
    epoch: str
    offset: int


class MapStatsResult(Struct, frozen=True):
    num_keys: int


class SharedPollPublishRequest(Struct, frozen=True, kw_only=True):
    """A key's value, before it is asked for the next time; for who follows it in the process that answers."""

    channel: str
    key: str
    data: Raw | UnsetType = UNSET
    version: int = 0
    removed: bool = False
    epoch: str = ""


async def map_publish(grant: Grant, request: MapPublishRequest) -> MapChangeResult:
    grant.require(request.channel)
    message = MapMessage(
        key=request.key,
        data=_payload(request),
        tags=request.tags,
        score=request.score,
        mode=request.key_mode,
        version=request.version,
        version_epoch=request.version_epoch,
        expected=_position(request.expected_position),
        idempotency_key=request.idempotency_key,
    )
    return _result(await maps.change_map(request.channel, message))


async def map_remove(grant: Grant, request: MapRemoveRequest) -> MapChangeResult:
    grant.require(request.channel)
    message = MapMessage(
        key=request.key,
        removed=True,
        expected=_position(request.expected_position),
        idempotency_key=request.idempotency_key,
    )
    return _result(await maps.change_map(request.channel, message))


async def map_read_state(grant: Grant, request: MapReadStateRequest) -> MapReadStateResult:
    _require_map(grant, request.channel)
    page = await maps.amap_state(
        request.channel, key=request.key, cursor=request.cursor, limit=request.limit, asc=request.asc
    )
    return MapReadStateResult(
        publications=[_item(entry) for entry in page.entries],
        epoch=page.top.epoch,
        offset=page.top.offset,
        cursor=page.cursor,
    )


async def map_read_stream(grant: Grant, request: wire.HistoryRequest) -> MapReadStreamResult:
    _require_map(grant, request.channel)
    query = HistoryQuery(limit=max(request.limit, -1), since=_position(request.since), reverse=request.reverse)
    node = require_node()
    page = await aask_node(node, node.history(request.channel, query))
    return MapReadStreamResult(
        publications=[_item(change) for change in page.publications], epoch=page.top.epoch, offset=page.top.offset
    )


async def map_stats(grant: Grant, request: wire.ChannelRequest) -> MapStatsResult:
    _require_map(grant, request.channel)
    return MapStatsResult((await maps.amap_stats(request.channel)).num_keys)


async def map_clear(grant: Grant, request: wire.ChannelRequest) -> wire.Empty:
    grant.require(request.channel)
    await maps.amap_clear(request.channel)
    return wire.Empty()


async def shared_poll_publish(grant: Grant, request: SharedPollPublishRequest) -> wire.Empty:
    grant.require(request.channel)
    if get_registry().route(request.channel).spec.poll is None:
        raise command_error(108, "this channel is no shared poll")
    limits, node = get_config().limits, require_node()
    check_key(request.key, limits)
    data = EMPTY if request.removed else check_payload(bytes(wire.payload(request.data)), limits)
    item = PolledItem(key=request.key, data=data, version=request.version, removed=request.removed)
    tell_node(node, node.exchange.polls.publish, request.channel, item, request.epoch)
    return wire.Empty()


def _require_map(grant: Grant, channel: str) -> None:
    grant.require(channel)
    if get_registry().route(channel).spec.map is None:
        raise command_error(108, "this channel is no map")


def _payload(request: MapPublishRequest) -> Raw:
    try:
        data = base64.b64decode(request.b64data, validate=True) if request.b64data else wire.payload(request.data)
    except binascii.Error:
        raise command_error(107, "b64data is no base64") from None
    return check_payload(bytes(data), get_config().limits)


def _position(given: wire.StreamPosition | None) -> Position | None:
    return None if given is None else Position(given.epoch, given.offset)


def _result(outcome: MapOutcome | None) -> MapChangeResult:
    if outcome is None:
        return MapChangeResult()
    reason = "" if outcome.suppressed is None else outcome.suppressed.value
    position = outcome.position
    return MapChangeResult(
        offset=position.offset, epoch=position.epoch, suppressed=bool(reason), suppress_reason=reason
    )


def _item(item: Publication) -> MapItem:
    return MapItem(
        key=item.key,
        data=UNSET if item.binary else item.data or UNSET,
        offset=item.offset,
        info=None if item.info is None else wire.client_info(item.info),
        tags=item.tags,
        score=item.score,
        removed=item.removed,
    )
