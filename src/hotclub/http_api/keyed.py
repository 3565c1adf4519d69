"""The HTTP API's methods for maps and shared polls (protocol §8.1).

Every method takes the rights of the API key and a decoded request, and raises `Refused`: `PERMISSION_DENIED` for a
channel outside the rights, `UNKNOWN_CHANNEL`, `BAD_REQUEST` for a channel of another kind. A cancelled call may have
made its change.
"""

from typing import Annotated, Any, Final

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, ValidationError, convert

from hotclub.actions import connections, maps
from hotclub.actions.polls import publish_item
from hotclub.channels.registry import get_registry
from hotclub.conf.config import get_config
from hotclub.conf.values import KeyRights
from hotclub.engine.broker.base import HistoryQuery
from hotclub.engine.broker.maps import KeyMode, MapMessage, MapOutcome, MapQuery
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused, UnrecoverablePosition
from hotclub.engine.model import EMPTY, Position, Publication
from hotclub.engine.port import ChannelSpec, PolledItem
from hotclub.engine.protocol.payload import check_payload
from hotclub.http_api import messages as wire
from hotclub.runtime.node import in_thread

NOWHERE: Final = Position("", 0)
"""The position in a request that names none."""


class MapPublishRequest(Struct, frozen=True, kw_only=True):
    """A key of a map and its new value."""

    channel: wire.Name
    key: wire.Name
    data: Raw | UnsetType = UNSET
    b64data: str = ""
    tags: dict[str, str] = {}
    score: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] = 0
    key_mode: Annotated[str, Meta(extra_json_schema={"enum": ["", "if_new", "if_exists"]})] = ""
    version: wire.Count = 0
    version_epoch: wire.Key = ""
    expected_position: wire.StreamPosition | None = None
    """Sets the key only if it was last changed at this position."""
    idempotency_key: wire.Key = ""
    delta: bool = False
    """Accepted for a channel whose class has `delta`, which sends differences anyway; refused with 108 for another."""
    stream_data: Any = None
    """Refused with 108, as `b64stream_data` is: a map sends what it stores."""
    b64stream_data: str = ""


class MapRemoveRequest(Struct, frozen=True, kw_only=True):
    """A key to remove from a map."""

    channel: wire.Name
    key: wire.Name
    expected_position: wire.StreamPosition | None = None
    idempotency_key: wire.Key = ""


class MapChangeResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The position of the map after the request, and the reason if the change was not made."""

    offset: int = 0
    epoch: str = ""
    suppressed: bool = False
    suppress_reason: str = ""


class MapReadStateRequest(Struct, frozen=True, kw_only=True):
    """A page of a map's entries, or one key."""

    channel: wire.Name
    key: str = ""
    cursor: str = ""
    limit: wire.Limit = 0
    """0 reads the position alone, unless a key is named; -1 is all."""
    asc: bool = False
    revision_offset: wire.Count = 0
    """The `offset` of an earlier page: entries that changed after it are left out."""
    revision_epoch: str = ""
    """The `epoch` of an earlier page: error 112 when the map has been cleared since."""


class MapEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An entry of a map, or a change of one. `time` is in milliseconds since 1970."""

    key: str
    data: Raw | UnsetType = UNSET
    offset: int = 0
    info: wire.ClientInfo | None = None
    tags: dict[str, str] = {}
    score: int = 0
    removed: bool = False
    time: int = 0


class MapReadStateResult(Struct, frozen=True, kw_only=True):
    """Entries of a map, its position, and the `cursor` of the next page, "" after the last."""

    entries: list[MapEntry]
    epoch: str
    offset: int
    cursor: str = ""


class MapReadStreamRequest(Struct, frozen=True, kw_only=True):
    """A part of the changes that a persistent map keeps."""

    channel: wire.Name
    since_offset: wire.Count = 0
    since_epoch: str = ""
    limit: wire.Limit = 0
    """0 reads the position alone, -1 everything kept."""
    reverse: bool = False


class MapReadStreamResult(Struct, frozen=True, kw_only=True):
    """Changes of a map, and its position."""

    entries: list[MapEntry]
    epoch: str
    offset: int


class MapStatsResult(Struct, frozen=True):
    """The number of keys in a map."""

    num_keys: int


class SharedPollPublishRequest(Struct, frozen=True, kw_only=True):
    """A key's new value, for the clients of all processes that follow the key."""

    channel: wire.Name
    key: wire.Name
    data: Raw | UnsetType = UNSET
    b64data: str = ""
    version: wire.Count = 0
    removed: bool = False
    epoch: str = ""


async def map_publish(rights: KeyRights, request: MapPublishRequest) -> MapChangeResult:
    """Set a key of a map.

    Raises:
        Refused: also `NOT_AVAILABLE` for an option that the channel does not have.
        IdempotencyConflict: the idempotency key was used for another change.
    """
    spec = _require_map(rights, request.channel)
    if request.delta and not spec.delta:
        raise Refused(Code.NOT_AVAILABLE, "the channel's class has no delta")
    if request.stream_data is not None or request.b64stream_data:
        raise Refused(Code.NOT_AVAILABLE, "a map sends what it stores")
    message = MapMessage(
        key=request.key,
        data=_payload(request.data, request.b64data),
        tags=request.tags,
        score=request.score,
        mode=_key_mode(request.key_mode),
        version=request.version,
        version_epoch=request.version_epoch,
        expected=_position(request.expected_position),
        idempotency_key=request.idempotency_key,
    )
    return _result(await maps.change_map(request.channel, message))


async def map_remove(rights: KeyRights, request: MapRemoveRequest) -> MapChangeResult:
    """Remove a key of a map.

    Raises:
        Refused: see the module.
        IdempotencyConflict: the idempotency key was used for another change.
    """
    _require_map(rights, request.channel)
    message = MapMessage(
        key=request.key,
        removed=True,
        expected=_position(request.expected_position),
        idempotency_key=request.idempotency_key,
    )
    return _result(await maps.change_map(request.channel, message))


async def map_read_state(rights: KeyRights, request: MapReadStateRequest) -> MapReadStateResult:
    """Read the entries of a map.

    Raises:
        Refused: see the module.
        UnrecoverablePosition: the map has another epoch than the request.
    """
    _require_map(rights, request.channel)
    query = MapQuery(key=request.key, cursor=request.cursor, limit=_page_size(request), asc=request.asc)
    page = await maps.read_map(request.channel, query)
    revision, entries = Position(request.revision_epoch, request.revision_offset), page.entries
    if revision != NOWHERE:
        if revision.epoch != page.top.epoch:
            raise UnrecoverablePosition(revision.epoch, page.top.epoch)
        entries = tuple(entry for entry in entries if entry.offset <= revision.offset)
    wanted = entries if request.limit or request.key else ()
    return MapReadStateResult(
        entries=[_entry(entry) for entry in wanted],
        epoch=page.top.epoch,
        offset=page.top.offset,
        cursor=page.cursor if request.limit or request.key else "",
    )


def _page_size(request: MapReadStateRequest) -> int:
    return max(request.limit, -1) or 1


async def map_read_stream(rights: KeyRights, request: MapReadStreamRequest) -> MapReadStreamResult:
    """Read the changes that a persistent map keeps.

    Raises:
        Refused: see the module.
        UnrecoverablePosition: the map has another epoch than the request.
    """
    _require_map(rights, request.channel)
    since = Position(request.since_epoch, request.since_offset)
    query = HistoryQuery(
        limit=max(request.limit, -1), since=None if since == NOWHERE else since, reverse=request.reverse
    )
    page = await connections.read_page(request.channel, query)
    return MapReadStreamResult(
        entries=[_entry(change) for change in page.publications], epoch=page.top.epoch, offset=page.top.offset
    )


async def map_stats(rights: KeyRights, request: wire.ChannelRequest) -> MapStatsResult:
    """Count the keys of a map."""
    _require_map(rights, request.channel)
    return MapStatsResult((await maps.amap_stats(request.channel)).num_keys)


async def map_clear(rights: KeyRights, request: wire.ChannelRequest) -> wire.Empty:
    """Remove every key of a map."""
    _require_map(rights, request.channel)
    await maps.amap_clear(request.channel)
    return wire.Empty()


async def shared_poll_publish(rights: KeyRights, request: SharedPollPublishRequest) -> wire.Empty:
    """Send a key's new value to its followers; see `hotclub.polls.shared_poll_publish` for the errors."""
    rights.require(request.channel)
    data = EMPTY if request.removed else _payload(request.data, request.b64data)
    item = PolledItem(key=request.key, data=data, version=request.version, removed=request.removed)
    await in_thread(publish_item, request.channel, item, request.epoch)
    return wire.Empty()


def _require_map(rights: KeyRights, channel: str) -> ChannelSpec:
    rights.require(channel)
    spec = get_registry().route(channel).spec
    if spec.map is None:
        raise Refused(Code.BAD_REQUEST, "this channel is not a map")
    return spec


def _key_mode(text: str) -> KeyMode:
    try:
        mode: KeyMode = convert(text, KeyMode)
    except ValidationError:
        raise Refused(Code.BAD_REQUEST, "key_mode is neither if_new nor if_exists") from None
    return mode


def _payload(plain: Raw | UnsetType, base64_text: str) -> Raw:
    data = wire.binary(base64_text, "b64data") if base64_text else bytes(wire.payload(plain))
    return check_payload(data, get_config().limits)


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


def _entry(item: Publication) -> MapEntry:
    return MapEntry(
        key=item.key,
        data=UNSET if item.binary else item.data or UNSET,
        offset=item.offset,
        info=None if item.info is None else wire.client_info(item.info),
        tags=item.tags,
        score=item.score,
        removed=item.removed,
        time=item.time,
    )
