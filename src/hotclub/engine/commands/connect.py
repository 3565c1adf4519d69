"""The connect command: the application's decision, the server-side subscriptions, and one reply for both.

Orders to end connections or subscriptions that arrive while the application decides also apply to its result. They are
collected until the reply.
"""

from collections.abc import Mapping, Sequence
from itertools import islice

from msgspec import structs

from hotclub.engine.commands.base import optional_payload
from hotclub.engine.commands.opening import Opening, Terms, go_live, open_subscription, withdraw
from hotclub.engine.errors import Refused
from hotclub.engine.model import Position
from hotclub.engine.port import ConnectGrant, ConnectRequest, SubscribeGrant, SubscribeRequest
from hotclub.engine.protocol import messages as wire
from hotclub.engine.protocol.connection import Event
from hotclub.engine.session import Revoked, Session


async def connect(session: Session, command: int, request: wire.ConnectCommand) -> None:
    """Let the application decide, open the server-side subscriptions, and reply (protocol §2.1, §3.5).

    Raises:
        Refused: the application refused the connection or one of its channels. Every subscription is withdrawn.
        Disconnect: `FORCE_RECONNECT`, the server ended the connection while it was connecting; `BAD_REQUEST`, the
            connection has had a connect command before; or as `Connects.connect` and `open_subscription`.

    After a Disconnect, another exception or a cancellation, `Session.end` undoes the subscriptions.
    """
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
    session.postponed.clear()


async def _be_granted(session: Session, request: wire.ConnectCommand) -> ConnectGrant:
    data = optional_payload(session, request.data)
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
    """Withdraw every subscription. A connection whose connect command is refused takes no more commands (§1.5)."""
    session.hub.remove(session)
    session.revoked = None
    if not session.closed:
        session.advance(Event.DENIED)
    for subscriber in [*session.subscribers.values()]:
        await withdraw(session, subscriber)


async def _open_all(session: Session, grant: ConnectGrant, request: wire.ConnectCommand) -> list[Opening]:
    """Take every server-side subscription up to the reply.

    Leaves out the channels from which the server unsubscribed this connection meanwhile.
    """
    session.revoked = revoked = Revoked(session.hub.peers.add(session))
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
    """The grant with the predicate of `Subscribes.admits`, unless the grant has one of its own."""
    if grant.admits is not None:
        return grant
    channel = session.channels.resolve(name)
    return structs.replace(grant, admits=await session.application.subscribes.admits(session.client, channel))


def _given(
    session: Session, request: wire.ConnectCommand, known: Mapping[str, SubscribeGrant]
) -> dict[str, SubscribeGrant]:
    """The grants that the server made to an earlier connection of this client, for the channels it names (§3.5)."""
    named = islice(request.subs, session.limits.channels_per_connection)
    user, login, now = session.user_id, session.login, session.clock()
    found = {name: session.hub.peers.given(user, login, name, now) for name in named if name not in known}
    return {name: grant for name, grant in found.items() if grant is not None}


async def _wishes(
    session: Session, request: wire.ConnectCommand, known: Mapping[str, SubscribeGrant]
) -> dict[str, SubscribeGrant]:
    """The grants of the other channels that the client names, as a subscribe command would get them (§6.2).

    A channel that is refused is left out: the client can send a subscribe command for it.

    Raises:
        Refused: a temporary one, to a unidirectional client. It sends no commands, so it has to connect again.
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
