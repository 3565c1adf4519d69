"""Publishes for the HTTP API: binary payloads, versions, and publications that skip the history (protocol §8.1)."""

from msgspec import Raw

from hotclub.actions.publish import publish_message
from hotclub.channels.registry import get_registry
from hotclub.conf.config import get_config
from hotclub.engine.broker.base import Message
from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.engine.port import ChannelSpec
from hotclub.engine.protocol.payload import check_payload
from hotclub.http_api import messages as wire
from hotclub.orders.messages import PublishUnkept
from hotclub.orders.perform import deliver_unkept
from hotclub.orders.send import everywhere
from hotclub.runtime.node import current_node, in_thread, tell_node

Request = wire.PublishRequest | wire.BroadcastRequest


async def publish_to(channel: str, request: Request, message: Message) -> wire.PublishResult:
    """Publish the payload of a request to one channel. A cancelled call may have published.

    Args:
        channel: the name of the channel, one of the request's.
        request: the options.
        message: the message of the request, see `message_of`.

    Returns:
        The position of the publication; an empty result when it has none or it is not known yet.

    Raises:
        Refused: `UNKNOWN_CHANNEL`, no such channel; `BAD_REQUEST`, the payload is malformed, the channel takes keys, or
            two options contradict each other; `NOT_AVAILABLE`, the process or the channel lacks an option.
        IdempotencyConflict: the idempotency key was used for other data.
    """
    if not channel:
        raise Refused(Code.BAD_REQUEST, "channel is required")
    spec = get_registry().route(channel).spec
    _check(spec, message, request)
    if request.skip_history:
        await _publish_unkept(channel, message)
        return wire.PublishResult()
    position = await publish_message(channel, message)
    if position is None or not position.offset:
        return wire.PublishResult()
    return wire.PublishResult(offset=position.offset, epoch=position.epoch)


def _check(spec: ChannelSpec, message: Message, request: Request) -> None:
    if spec.map is not None or spec.poll is not None:
        raise Refused(Code.BAD_REQUEST, "this channel takes keys and values")
    if "\0" in request.idempotency_key or "\0" in request.version_epoch:
        raise Refused(Code.BAD_REQUEST, "a key holds no NUL")
    if request.delta and not spec.delta:
        raise Refused(Code.NOT_AVAILABLE, "the channel's class has no delta")
    if request.skip_history and request.version:
        raise Refused(Code.BAD_REQUEST, "a version is compared with what is kept, and skip_history keeps nothing")
    if message.binary and (spec.durable or current_node() is None):
        raise Refused(Code.NOT_AVAILABLE, "bytes that are not JSON cannot be kept in the database")


async def _publish_unkept(channel: str, message: Message) -> None:
    node = current_node()
    if not message.binary:
        await in_thread(everywhere, PublishUnkept(channel, message.data, message.tags, message.idempotency_key))
    elif node is not None:
        # An order is JSON, so it cannot carry these bytes to another process.
        tell_node(node, deliver_unkept, node, channel, message)


def message_of(request: Request) -> Message:
    """Return the message of a request.

    Raises:
        Refused: `BAD_REQUEST`, the payload is malformed.
    """
    data, binary = _data(request)
    return Message(
        data=data,
        tags=request.tags,
        idempotency_key=request.idempotency_key,
        version=request.version,
        version_epoch=request.version_epoch,
        binary=binary,
    )


def _data(request: Request) -> tuple[Raw, bool]:
    limits = get_config().limits
    if not request.b64data:
        return check_payload(bytes(wire.payload(request.data)), limits), False
    data = wire.binary(request.b64data, "b64data")
    try:
        return check_payload(data, limits), False
    except Refused:
        if not data:
            raise
        return Raw(data), True
