"""One function per method of the HTTP API, and the table of all methods (protocol §8.1).

Every method takes the rights of the API key and a decoded request. It raises `Refused`, among others with
`PERMISSION_DENIED` for a channel outside the rights and with `UNKNOWN_CHANNEL`. A cancelled call may have made its
change.
"""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from django.utils.module_loading import import_string
from msgspec import Raw, Struct, UnsetType

from hotclub.access import overrides
from hotclub.access.tokens import InvalidToken, payload_of
from hotclub.actions import connections
from hotclub.channels.registry import UnknownChannel, get_registry
from hotclub.conf.config import get_config
from hotclub.conf.values import KeyRights
from hotclub.durable.prune import remove_entries
from hotclub.engine.broker.base import HistoryQuery, Message
from hotclub.engine.codes import Close, Code, Unsubscribe
from hotclub.engine.errors import IdempotencyConflict, Refused, UnrecoverablePosition
from hotclub.engine.model import Position
from hotclub.engine.port import ChannelSpec
from hotclub.engine.target import Target
from hotclub.engine.turns import Turn
from hotclub.http_api import keyed
from hotclub.http_api import messages as wire
from hotclub.http_api.publishing import message_of, publish_to
from hotclub.orders.messages import EndConnections, EndSubscriptions, Refresh, Subscribe
from hotclub.orders.send import everywhere
from hotclub.runtime.deadline import Deadline
from hotclub.runtime.encoding import decode, encode
from hotclub.runtime.node import aask_node, current_node, in_hook_thread, in_thread, require_node

_AT_ONE_TIME: Final = 100
"""How many commands of a parallel batch run at the same time."""


@dataclass(frozen=True, slots=True)
class Method:
    """One method: a summary, the types of its request and result, and its function."""

    summary: str
    request: type[Struct]
    result: type[Struct]
    run: Callable[[KeyRights, Any], Awaitable[Struct]]
    of_channel: bool = True
    """Whether the function asks for the rights of each channel that it touches. Any other method is refused to a key
    for some channels, unless the key names the method."""


async def publish(rights: KeyRights, request: wire.PublishRequest) -> wire.PublishResult:
    """Publish to a channel. Raises the errors of `publish_to`."""
    rights.require(request.channel)
    return await publish_to(request.channel, request, message_of(request))


async def broadcast(rights: KeyRights, request: wire.BroadcastRequest) -> wire.BroadcastResult:
    """Publish to several channels, one after the other. A refused channel has an error in the result.

    Raises:
        Refused: `BAD_REQUEST`, `b64data` is not base64.
    """
    wire.binary(request.b64data, "b64data")
    message: Message | Refused
    try:
        message = message_of(request)
    except Refused as error:
        message = error
    responses, turn = list[wire.BroadcastResponse](), Turn()
    for channel in request.channels:
        responses.append(await _broadcast_one(rights, channel, request, message))
        await turn.give_way()
    return wire.BroadcastResult(responses)


async def _broadcast_one(
    rights: KeyRights, channel: str, request: wire.BroadcastRequest, message: Message | Refused
) -> wire.BroadcastResponse:
    try:
        rights.require(channel)
        if isinstance(message, Refused):
            return wire.BroadcastResponse(error=api_error(message))
        return wire.BroadcastResponse(result=await publish_to(channel, request, message))
    except (Refused, IdempotencyConflict) as error:
        return wire.BroadcastResponse(error=api_error(error))


async def subscribe(rights: KeyRights, request: wire.SubscribeRequest) -> wire.Empty:
    """Subscribe the addressed connections in every process.

    Raises:
        Refused: also `EXPIRED`, `expire_at` is over; `BAD_REQUEST`, a field is malformed; `NOT_AVAILABLE`, an option is
            not supported.
    """
    rights.require(request.channel)
    ttl = _ttl(request.expire_at)
    if ttl < 0:
        raise Refused(Code.EXPIRED)
    since = request.recover_since
    order = Subscribe(
        target=_target(request),
        channel=request.channel,
        data=_payload(request.data, request.b64data, "b64data"),
        info=_payload(request.info, request.b64info, "b64info"),
        ttl=ttl,
        since=None if since is None else Position(since.epoch, since.offset),
        overrides=overrides.read(request.override),
    )
    await in_thread(connections.subscribe_everywhere, order)
    return wire.Empty()


async def unsubscribe(rights: KeyRights, request: wire.UnsubscribeRequest) -> wire.Empty:
    """End the subscriptions of the addressed connections in every process. All channels need a key for all channels."""
    if request.channel:
        rights.require(request.channel)
        get_registry().route(request.channel)
    else:
        rights.require_everything()
    await in_thread(everywhere, EndSubscriptions(_target(request), request.channel, Unsubscribe.SERVER))
    return wire.Empty()


async def disconnect(_rights: KeyRights, request: wire.DisconnectRequest) -> wire.Empty:
    """End the addressed connections in every process.

    Raises:
        Refused: also `BAD_REQUEST`, the code or the reason cannot be sent.
    """
    wanted = request.disconnect or wire.DisconnectReason()
    try:
        code = wanted.code or Close.FORCE_DISCONNECT
        order = EndConnections(_target(request), code, wanted.reason or "force disconnect", tuple(request.whitelist))
    except ValueError as error:
        raise Refused(Code.BAD_REQUEST, str(error)) from None
    await in_thread(everywhere, order)
    return wire.Empty()


async def refresh(_rights: KeyRights, request: wire.RefreshRequest) -> wire.Empty:
    """Change the expiry of the addressed connections in every process."""
    ttl = -1 if request.expired else _ttl(request.expire_at)
    await in_thread(everywhere, Refresh(_target(request), ttl, _payload(request.info, "", "info")))
    return wire.Empty()


async def presence(rights: KeyRights, request: wire.ChannelRequest) -> wire.PresenceResult:
    """List the members of a channel."""
    rights.require(request.channel)
    members = await connections.read_members(request.channel)
    return wire.PresenceResult({client: wire.client_info(member) for client, member in members.items()})


async def presence_stats(rights: KeyRights, request: wire.ChannelRequest) -> wire.PresenceStatsResult:
    """Count the connections and the users in a channel."""
    rights.require(request.channel)
    stats = await connections.apresence_stats(request.channel)
    return wire.PresenceStatsResult(stats.num_clients, stats.num_users)


async def history(rights: KeyRights, request: wire.HistoryRequest) -> wire.HistoryResult:
    """Read publications of a channel. Publications that are not JSON are left out.

    Raises:
        Refused: also `NOT_AVAILABLE`, the channel keeps no publications.
        UnrecoverablePosition: `since` names another epoch than the channel's.
    """
    rights.require(request.channel)
    _require_log(request.channel)
    since = None if request.since is None else Position(request.since.epoch, request.since.offset)
    if since is not None and request.reverse and since.offset == 0:
        raise Refused(Code.BAD_REQUEST, "nothing is before offset 0")
    query = HistoryQuery(limit=max(request.limit, -1), since=since, reverse=request.reverse)
    page = await connections.read_page(request.channel, query)
    return wire.HistoryResult(
        publications=[wire.publication(item) for item in page.publications if not item.binary],
        epoch=page.top.epoch,
        offset=page.top.offset,
    )


async def history_remove(rights: KeyRights, request: wire.ChannelRequest) -> wire.Empty:
    """Delete the publications that a channel keeps.

    Raises:
        Refused: also `NOT_AVAILABLE`, the channel keeps no publications.
        NoNode: the channel is not durable, and this process has no node.
    """
    rights.require(request.channel)
    if _require_log(request.channel).durable and current_node() is None:
        await in_thread(remove_entries, request.channel)
        return wire.Empty()
    node = require_node()
    await aask_node(node, node.channels.remove_history(request.channel))
    return wire.Empty()


def _require_log(channel: str) -> ChannelSpec:
    spec = get_registry().route(channel).spec
    if spec.map is not None or spec.poll is not None or spec.retention.size <= 0:
        raise Refused(
            Code.NOT_AVAILABLE, "this channel keeps no publications; those of a map have methods of their own"
        )
    return spec


async def channels(rights: KeyRights, request: wire.ChannelsRequest) -> wire.ChannelsResult:
    """List the channels within the rights that have subscribers in this process.

    Raises:
        NoNode: this process has no node.
    """
    hub = require_node().hub
    found, turn = dict[str, wire.ChannelInfo](), Turn()
    for name in hub.channels():
        if rights.allows_channel(name) and (not request.pattern or fnmatchcase(name, request.pattern)):
            found[name] = wire.ChannelInfo(hub.num_subscribers(name))
        await turn.give_way()
    return wire.ChannelsResult(found)


async def info(_rights: KeyRights, _request: wire.InfoRequest) -> wire.InfoResult:
    """Describe the node of this process.

    Raises:
        NoNode: this process has no node.
    """
    node = require_node()
    found = node.info()
    return wire.InfoResult(
        [
            wire.NodeResult(
                uid=found.id,
                name=found.name or "hotclub",
                version=found.version,
                num_clients=found.num_clients,
                num_users=found.num_users,
                num_channels=found.num_channels,
                num_subs=found.num_subscriptions,
                uptime=int(found.uptime),
            )
        ]
    )


async def rpc(_rights: KeyRights, request: wire.RpcRequest) -> wire.RpcResult:
    """Call the project's function `API_RPC`. Exceptions of the function pass through.

    Raises:
        Refused: `METHOD_NOT_FOUND`, the setting is missing; `INTERNAL_ERROR`, the function takes longer than
            `HOOK_TIMEOUT`.
    """
    config = get_config()
    if config.api_rpc is None:
        raise Refused(Code.METHOD_NOT_FOUND)
    function, params = import_string(config.api_rpc), decode(wire.payload(request.params))
    if inspect.iscoroutinefunction(function):
        answer = await Deadline(config.hook_timeout).run(function(request.method, params))
    else:
        answer = await in_hook_thread(function, request.method, params)
    return wire.RpcResult(encode(answer))


METHODS: Final[dict[str, Method]] = {
    "publish": Method("Publish to a channel.", wire.PublishRequest, wire.PublishResult, publish),
    "broadcast": Method("Publish to several channels.", wire.BroadcastRequest, wire.BroadcastResult, broadcast),
    "subscribe": Method("Subscribe connections by the server's will.", wire.SubscribeRequest, wire.Empty, subscribe),
    "unsubscribe": Method("End subscriptions.", wire.UnsubscribeRequest, wire.Empty, unsubscribe),
    "disconnect": Method("End connections.", wire.DisconnectRequest, wire.Empty, disconnect, of_channel=False),
    "refresh": Method(
        "Let connections live longer, or end.", wire.RefreshRequest, wire.Empty, refresh, of_channel=False
    ),
    "presence": Method("Who is in a channel.", wire.ChannelRequest, wire.PresenceResult, presence),
    "presence_stats": Method(
        "How many are in a channel.", wire.ChannelRequest, wire.PresenceStatsResult, presence_stats
    ),
    "history": Method("What a channel keeps.", wire.HistoryRequest, wire.HistoryResult, history),
    "history_remove": Method("Forget what a channel keeps.", wire.ChannelRequest, wire.Empty, history_remove),
    "channels": Method(
        "The channels that have subscribers in the process that answers.",
        wire.ChannelsRequest,
        wire.ChannelsResult,
        channels,
    ),
    "info": Method("The node that answers.", wire.InfoRequest, wire.InfoResult, info, of_channel=False),
    "map_publish": Method("Set a key of a map.", keyed.MapPublishRequest, keyed.MapChangeResult, keyed.map_publish),
    "map_remove": Method("Remove a key of a map.", keyed.MapRemoveRequest, keyed.MapChangeResult, keyed.map_remove),
    "map_read_state": Method(
        "The entries of a map.", keyed.MapReadStateRequest, keyed.MapReadStateResult, keyed.map_read_state
    ),
    "map_read_stream": Method(
        "The changes of a persistent map.", keyed.MapReadStreamRequest, keyed.MapReadStreamResult, keyed.map_read_stream
    ),
    "map_stats": Method("How many keys a map has.", wire.ChannelRequest, keyed.MapStatsResult, keyed.map_stats),
    "map_clear": Method("Remove every key of a map.", wire.ChannelRequest, wire.Empty, keyed.map_clear),
    "shared_poll_publish": Method(
        "A key's value for a shared poll.", keyed.SharedPollPublishRequest, wire.Empty, keyed.shared_poll_publish
    ),
    "rpc": Method(
        "Call the project's own function (`API_RPC`).", wire.RpcRequest, wire.RpcResult, rpc, of_channel=False
    ),
}
"""Every method but `batch`, which runs these."""


def api_error(error: Refused | IdempotencyConflict | UnrecoverablePosition) -> wire.ApiError:
    """Return the API's form of an error. A conflict has another code here than in the client protocol."""
    if isinstance(error, IdempotencyConflict):
        return wire.ApiError(Code.CONCURRENT_PAGINATION, f"conflict: {error}")
    if isinstance(error, UnrecoverablePosition):
        return wire.ApiError(Code.UNRECOVERABLE_POSITION, "unrecoverable position")
    if isinstance(error, UnknownChannel):
        return wire.ApiError(error.code, f"{error.message}: {error.explanation}")
    return wire.ApiError(error.code, error.message)


def _target(request: Any) -> Target:
    user, client, session = request.user, request.client, request.session
    if request.label_filter is not None:
        raise Refused(Code.NOT_AVAILABLE, "connections have no labels to filter by")
    everybody = request.all_users or client or session
    return Target(
        user_id=user if user or not everybody else None,
        login_id=session or None,
        client_id=client or None,
    )


def _payload(plain: Raw | UnsetType, base64_text: str, field: str) -> Raw:
    wire.binary(base64_text, field)
    try:
        return payload_of(wire.payload(plain), base64_text)
    except InvalidToken as error:
        raise Refused(Code.BAD_REQUEST, error.reason) from None


def _ttl(expire_at: int) -> int:
    """The whole seconds until `expire_at`, at least 1; 0 for no expiry, -1 for a past time."""
    if not expire_at:
        return 0
    left = expire_at - time.time()
    return max(1, int(left)) if left > 0 else -1


async def together(calls: Sequence[Callable[[], Awaitable[dict[str, Any]]]], *, parallel: bool) -> list[dict[str, Any]]:
    """Run the calls of a batch and return their answers in order.

    Args:
        calls: functions that each run one command.
        parallel: whether the commands run at the same time; otherwise one after the other.
    """
    answers: list[dict[str, Any]] = []
    if parallel:
        for start in range(0, len(calls), _AT_ONE_TIME):
            answers += await asyncio.gather(*(call() for call in calls[start : start + _AT_ONE_TIME]))
        return answers
    turn = Turn()
    for call in calls:
        answers.append(await call())
        await turn.give_way()
    return answers
