"""Publishing for the HTTP API: binary payloads, versions, and what is kept nowhere."""

import base64
import binascii
from functools import cache

from msgspec import Raw

from hotclub import local
from hotclub.api import messages as wire
from hotclub.api.versions import Versions, append_newer
from hotclub.conf import get_config
from hotclub.engine.broker.base import Message
from hotclub.engine.errors import CommandError, command_error
from hotclub.engine.model import Position
from hotclub.engine.protocol.payload import check_payload
from hotclub.publishing import publish_message
from hotclub.registry import Route, get_registry
from hotclub.runtime import current_node, in_thread, tell_node

Request = wire.PublishRequest | wire.BroadcastRequest


async def publish_to(channel: str, request: Request) -> wire.PublishResult:
    """Publish what the request holds to one channel.

    Raises:
        CommandError: 102, no such channel; 107, the payload is none; 108, not in this process or to this channel.
        IdempotencyConflict: the key was used for other data.
    """
    route = get_registry().route(channel)
    message = _message(request)
    if message.binary and (route.spec.durable or current_node() is None):
        raise command_error(108, "bytes that are no JSON cannot be kept in the database")
    if request.skip_history:
        await _publish_unkept(channel, message)
        return wire.PublishResult()
    position = await _publish_newer(route, channel, message, request) if request.version else None
    if not request.version:
        position = await publish_message(channel, message)
    if position is None or not position.offset:
        return wire.PublishResult()
    return wire.PublishResult(offset=position.offset, epoch=position.epoch)


async def _publish_newer(route: Route, channel: str, message: Message, request: Request) -> Position | None:
    """None when there is a version as new, and nothing was published."""
    epoch, version = request.version_epoch, request.version
    if route.spec.durable:
        return await in_thread(append_newer, route, channel, message, epoch, version)
    return await publish_message(channel, message) if _versions().advance(channel, epoch, version) else None


async def _publish_unkept(channel: str, message: Message) -> None:
    node = current_node()
    if not message.binary:
        await in_thread(_tell_others, channel, message, "" if node is None else node.id)
    if node is not None:
        tell_node(node, local.publish_unkept, node, channel, message)


def _tell_others(channel: str, message: Message, origin: str) -> None:
    # Models can be imported only after this module.
    from hotclub.streams import RelayPublish, send_relay  # noqa: PLC0415

    send_relay(RelayPublish(channel, message.data, message.tags, unkept=True, origin=origin))


def _message(request: Request) -> Message:
    data, binary = _data(request)
    return Message(data=data, tags=request.tags, idempotency_key=request.idempotency_key, binary=binary)


def _data(request: Request) -> tuple[Raw, bool]:
    limits = get_config().limits
    if not request.b64data:
        return check_payload(bytes(wire.payload(request.data)), limits), False
    try:
        data = base64.b64decode(request.b64data, validate=True)
    except binascii.Error:
        raise command_error(107, "b64data is no base64") from None
    try:
        return check_payload(data, limits), False
    except CommandError:
        if not data:
            raise
        return Raw(data), True


@cache
def _versions() -> Versions:
    return Versions()
