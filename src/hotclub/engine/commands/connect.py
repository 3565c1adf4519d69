"""The connect command: who is it, which channels has the server in store, and the one reply to all of that.

A decision of the application is worth what it was based on. What the server orders while one is under way (to end
connections, or subscriptions) must hold for its outcome as well, so such orders are collected until the reply.
"""

from collections.abc import Mapping, Sequence
from itertools import islice

from msgspec import structs

from hotclub.engine.commands.opening import Opening, Terms, go_live, open_subscription, withdraw
from hotclub.engine.errors import Refused
from hotclub.engine.model import EMPTY, Position
from hotclub.engine.port import ConnectGrant, ConnectRequest, SubscribeGrant, SubscribeRequest
from hotclub.engine.protocol import messages as wire
from hotclub.engine.protocol.connection import Event
from hotclub.engine.protocol.payload import check_payload
from hotclub.engine.session import Session


async def connect(session: Session, command: int, request: wire.ConnectCommand) -> None:
    """Let the application decide, then subscribe to what it grants (protocol §2.1, §3.5)."""
    session.advance(Event.CONNECT)
    session.hub.peers.expect(session)
    try:
        grant = await _be_granted(session, request)
        openings = [] if session.closed else await _open_all(session, grant, request)
    except Refused:
        await _undo(session)
        raise
    if session.closed:
        return
    session.advance(Event.GRANTED)
    session.expire_in(grant.ttl)
    session.reply(wire.Reply(command, connect=_connected(session, grant, openings)))
    session.start_pulse()
    for opening in openings:
        await go_live(session, opening)
    for work in session.postponed:
        await work()


async def _be_granted(session: Session, request: wire.ConnectCommand) -> ConnectGrant:
    data = check_payload(request.data, session.limits) if request.data else EMPTY
    asked = ConnectRequest(
        token=request.token,
        data=data,
        name=request.name[:16],
        version=request.version[:64],
        headers=request.headers,
        channels=tuple(request.subs),
    )
    grant = await session.application.connects.connect(session.client, asked)
    client = session.client
    client.user_id, client.login_id, client.info = grant.user_id, grant.login_id, grant.info
    client.state = grant.state
    session.connected = True
    return grant


async def _undo(session: Session) -> None:
    """The answer is an error: whatever was granted, this connection is dead (protocol §1.5)."""
    session.hub.remove(session)
    session.revoked = None
    if not session.closed:
        session.advance(Event.DENIED)
    for subscriber in [*session.subscribers.values()]:
        await withdraw(session, subscriber)


async def _open_all(session: Session, grant: ConnectGrant, request: wire.ConnectCommand) -> list[Opening]:
    """Every server-side subscription up to the reply, without those that the server has ended again meanwhile."""
    session.revoked = revoked = session.hub.peers.add(session)
    given = _given(session, request, grant.channels)
    granted = {**grant.channels, **given}
    channels = {name: await _narrowed(session, name, channel) for name, channel in granted.items()}
    channels |= await _wishes(session, request, channels)
    openings = []
    for name, channel in channels.items():
        if name in revoked:
            continue
        try:
            openings.append(await _open(session, name, channel, request))
        except Refused:
            if name not in revoked:
                raise
    session.revoked = None
    for opening in openings:
        if opening.subscriber.expelled:
            session.leave(opening.subscriber)
            session.channels.spawn(session.retire(opening.subscriber))
        elif not session.closed and opening.subscriber.channel in given:
            session.be_given(opening.subscriber, given[opening.subscriber.channel])
    return [opening for opening in openings if not opening.subscriber.expelled]


async def _narrowed(session: Session, name: str, grant: SubscribeGrant) -> SubscribeGrant:
    """The grant with what the channel itself lets through to this client."""
    if grant.admits is not None:
        return grant
    channel = session.channels.resolve(name)
    return structs.replace(grant, admits=await session.application.subscribes.admits(session.client, channel))


def _given(
    session: Session, request: wire.ConnectCommand, known: Mapping[str, SubscribeGrant]
) -> dict[str, SubscribeGrant]:
    """The channels a client names that the server had subscribed it to while it was connected before (§3.5)."""
    named = islice(request.subs, session.limits.channels_per_connection)
    user, login, now = session.user_id, session.login, session.clock()
    found = {name: session.hub.peers.given(user, login, name, now) for name in named if name not in known}
    return {name: grant for name, grant in found.items() if grant is not None}


async def _wishes(
    session: Session, request: wire.ConnectCommand, known: Mapping[str, SubscribeGrant]
) -> dict[str, SubscribeGrant]:
    """The other channels a client names, as far as a subscribe command for them would be allowed (§6.2).

    A channel that cannot be granted is left out, whatever the reason: its client can subscribe by itself.

    Raises:
        Refused: a temporary one, for a unidirectional client; it is to come back for what it would have missed.
    """
    granted = {}
    for name, wish in islice(request.subs.items(), session.limits.channels_per_connection):
        if name in known:
            continue
        asked = SubscribeRequest(token=wish.token, data=wish.data)
        try:
            channel = session.channels.resolve(name)
            if channel.spec.map is not None or channel.spec.poll is not None:
                continue
            granted[name] = await session.application.subscribes.subscribe(session.client, channel, asked)
        except Refused as error:
            if error.temporary and session.kind.unidirectional:
                raise
    return granted


def _connected(session: Session, grant: ConnectGrant, openings: Sequence[Opening]) -> wire.ConnectResult:
    limits = session.limits
    return wire.ConnectResult(
        client=session.id,
        version=session.kind.version,
        expires=grant.ttl > 0,
        ttl=grant.ttl,
        ping=max(1, round(limits.ping_interval)),
        pong=not session.kind.unidirectional,
        session=session.kind.secret,
        node=session.kind.node_id,
        data=grant.data,
        subs={opening.subscriber.channel: opening.result for opening in openings},
    )


async def _open(session: Session, name: str, grant: SubscribeGrant, request: wire.ConnectCommand) -> Opening:
    known = request.subs.get(name)
    channel = session.channels.resolve(name).overridden(grant.overrides)
    terms = Terms(
        channel=channel,
        chan_info=grant.info,
        data=grant.data,
        asked=Position(known.epoch, known.offset) if known is not None and known.recover else None,
        server_side=True,
        delta=channel.spec.delta and known is not None and known.delta == wire.FOSSIL and grant.admits is None,
        admits=grant.admits,
        ttl=grant.ttl,
    )
    return await open_subscription(session, terms)
