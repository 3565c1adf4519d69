"""The publish command: to a channel's log, or to a key of a map (protocol §2.4, §2.13)."""

from msgspec import structs

from hotclub.engine.broker.base import Message
from hotclub.engine.codes import Code
from hotclub.engine.commands.base import checked_payload, resolve
from hotclub.engine.errors import Refused
from hotclub.engine.maps import check_key
from hotclub.engine.model import EMPTY, ClientInfo
from hotclub.engine.port import KeyChange, ResolvedChannel
from hotclub.engine.protocol import messages as wire
from hotclub.engine.session import Session


async def publish(session: Session, command: int, request: wire.PublishCommand) -> None:
    """Publish to a channel, or set or remove a key of a map (protocol §2.4, §2.13).

    Raises:
        Refused: `PERMISSION_DENIED`, the channel takes publications of its subscribers alone; `NOT_AVAILABLE`, the
            channel is of another type than the command; `BAD_REQUEST` for an unknown type, a malformed payload or a
            malformed key; or as `Publishes.publish`, `Follows.change_key` and `Maps.change`.
        IdempotencyConflict: the application's idempotency key was used for another payload.

    A cancelled publish may or may not have been stored.
    """
    channel = resolve(session, request.channel)
    spec = channel.spec
    if request.type not in (0, wire.MAP_PUBLISH):
        raise Refused(Code.BAD_REQUEST, why="an unknown type of publish")
    if spec.poll is not None or (request.type == wire.MAP_PUBLISH) is not (spec.map is not None):
        raise Refused(Code.NOT_AVAILABLE, "this channel is of another type")
    _check_member(session, channel)
    subscriber = session.subscribers.get(channel.name)
    info = session.info() if subscriber is None else subscriber.info
    if info.conn_info is not session.client.info:  # a refresh has replaced the connection's info since the subscribe
        info = session.info(info.chan_info)
    await (_publish if spec.map is None else _change_key)(session, channel, info, request)
    session.reply(wire.Reply(command, publish=wire.EmptyResult()))


def _check_member(session: Session, channel: ResolvedChannel) -> None:
    """Check that the client may publish as a subscriber. To be asked again when the application has decided: the server
    may have ended the subscription meanwhile.

    Raises:
        Refused: `PERMISSION_DENIED`.
    """
    subscriber = session.subscribers.get(channel.name)
    if channel.spec.members_only and (subscriber is None or subscriber.buffer is not None):
        raise Refused(Code.PERMISSION_DENIED, why="only subscribers may publish here")


async def _publish(session: Session, channel: ResolvedChannel, info: ClientInfo, request: wire.PublishCommand) -> None:
    data, binary = checked_payload(session, request.data)
    grant = await session.application.publishes.publish(session.client, channel, data, info)
    if grant.position is None and grant.data:
        _check_member(session, channel)
        message = Message(
            data=grant.data,
            info=info,
            tags=grant.tags,
            idempotency_key=grant.idempotency_key,
            binary=binary and grant.data == data,
        )
        await session.channels.publish(channel, message)


async def _change_key(
    session: Session, channel: ResolvedChannel, info: ClientInfo, request: wire.PublishCommand
) -> None:
    """Set or remove a key of a map. A change that the map suppresses is no error (protocol §2.13)."""
    check_key(request.key, session.limits)
    data, binary = (EMPTY, False) if request.removed else checked_payload(session, request.data)
    change = KeyChange(key=request.key, data=data, removed=request.removed)
    message = await session.application.follows.change_key(session.client, channel, change)
    if message is not None:
        _check_member(session, channel)
        binary = binary and message.data == data
        message = structs.replace(message, info=info, binary=binary)
        await session.channels.maps.change(channel, message)
