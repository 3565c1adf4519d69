"""Subscribing to a shared poll, and following keys in it (protocol §2.14)."""

from collections.abc import Sequence
from typing import Final

from hotclub.engine.codes import Code
from hotclub.engine.commands.opening import Opening, Terms, agreed, enter, still_wanted, whole
from hotclub.engine.errors import Refused
from hotclub.engine.maps import check_key
from hotclub.engine.port import PollSpec
from hotclub.engine.protocol import messages as wire
from hotclub.engine.session import Session
from hotclub.engine.subscriber import PollSubscriber, Subscriber, Tracked

GRACE: Final = 5.0
"""Seconds for which a key is followed after its signature expires: a client asks for a new signature only then."""


def open_poll(session: Session, terms: Terms) -> Opening:
    """Subscribe to a shared poll, following no key yet. No step awaits, so no step has to be undone.

    Raises:
        Refused: `ALREADY_SUBSCRIBED`, see `enter`.
    """
    spec = terms.channel.spec.poll
    assert spec is not None
    subscriber = enter(session, terms)
    epoch = session.channels.polls.epoch(terms.channel.name, spec)
    result = wire.SubscribeResult(type=wire.SHARED_POLL_TYPE, epoch=epoch)
    return Opening(subscriber=subscriber, result=agreed(subscriber, result, data=terms.data, ttl=terms.ttl))


async def track(session: Session, subscriber: PollSubscriber, command: int, request: wire.SubRefreshCommand) -> None:
    """Follow the keys that the signatures allow, stop following `request.untrack`, and reply with the known values.

    A key in several batches gets the version of the last batch and the longest life of all batches.

    Raises:
        Refused: `PERMISSION_DENIED` or `TOKEN_EXPIRED`, a signature does not allow its keys; `LIMIT_EXCEEDED`, the
            subscription would follow too many keys; `BAD_REQUEST`, the command names no key or a malformed one;
            `PERMISSION_DENIED`, the server ended the subscription meanwhile.
        Disconnect: `CONNECTION_CLOSED`, the connection has ended meanwhile.

    A cancelled command changes nothing.
    """
    wanted: dict[str, Tracked] = {}
    now, shortest = session.clock(), 0
    for batch in request.track:
        ttl = await _allowed(session, subscriber, batch)
        shortest = min(shortest or ttl, ttl or shortest)
        until = now + ttl + GRACE if ttl else float("inf")
        for item in batch.items:
            former = wanted.get(item.key)
            wanted[item.key] = Tracked(item.version, until if former is None else max(until, former.until))
    if not wanted:
        raise Refused(Code.BAD_REQUEST, "no keys")
    still_wanted(session, subscriber)
    _check_room(subscriber, wanted, request.untrack)
    known = session.channels.polls.track(subscriber, wanted, request.untrack)
    result = wire.SubRefreshResult(expires=shortest > 0, ttl=shortest, items=whole(subscriber, known))
    session.reply(wire.Reply(command, sub_refresh=result))


def untrack(session: Session, subscriber: PollSubscriber, command: int, request: wire.SubRefreshCommand) -> None:
    """Stop following keys.

    Raises:
        Refused: `BAD_REQUEST`, the command names no key.
    """
    if not request.untrack:
        raise Refused(Code.BAD_REQUEST, "no keys")
    session.channels.polls.untrack(subscriber, request.untrack)
    session.reply(wire.Reply(command, sub_refresh=wire.SubRefreshResult()))


async def _allowed(session: Session, subscriber: Subscriber, batch: wire.TrackBatch) -> int:
    keys = [item.key for item in batch.items]
    for key in keys:
        check_key(key, session.limits)
    return await session.application.follows.track(session.client, subscriber.resolved, keys, batch.signature)


def _check_room(subscriber: PollSubscriber, wanted: dict[str, Tracked], dropped: Sequence[str]) -> None:
    spec: PollSpec | None = subscriber.spec.poll
    assert spec is not None
    if len((subscriber.tracked.keys() | wanted.keys()) - set(dropped)) > spec.keys:
        raise Refused(Code.LIMIT_EXCEEDED, f"at most {spec.keys} keys can be followed")
