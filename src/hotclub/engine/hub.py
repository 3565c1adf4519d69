"""The sessions of this node, who is subscribed to what, and the fan-out.

Rules of this file: nothing here awaits, so no check is parted from the write it guards; a message is encoded once per
encoder however many receive it; and one reader's trouble is settled after the loop over all readers, never inside it.
"""

from collections.abc import Iterable, Iterator
from itertools import count
from typing import Protocol

from hotclub.engine.codes import Close, Unsubscribe
from hotclub.engine.errors import Disconnect, Unsubscribed
from hotclub.engine.kept_grants import Departed
from hotclub.engine.model import Position, Publication
from hotclub.engine.observe import Counters
from hotclub.engine.port import SubscribeGrant
from hotclub.engine.protocol.base import Encoder
from hotclub.engine.protocol.messages import Push
from hotclub.engine.recovery import Verdict
from hotclub.engine.shape import Form, difference, patch, remember
from hotclub.engine.subscriber import Subscriber
from hotclub.engine.target import Target


class Peer(Protocol):
    """What the hub knows of a session."""

    id: str

    @property
    def user_id(self) -> str: ...

    @property
    def login(self) -> str:
        """The application's `session_id`: the login this connection belongs to."""
        ...

    @property
    def secret(self) -> str:
        """What commands that come on another way show, "" for none."""
        ...

    @property
    def subscribers(self) -> dict[str, Subscriber]: ...

    def close(self, reason: Disconnect) -> None: ...

    def expel(self, channel: str, reason: Unsubscribed) -> None: ...


class Hub:
    """Registry and fan-out of one node."""

    def __init__(self, counters: Counters, ephemeral_bytes: int) -> None:
        """`ephemeral_bytes` is the backlog above which publications without history are dropped for a reader."""
        self._counters = counters
        self._ephemeral_bytes = ephemeral_bytes
        self._peers: dict[str, Peer] = {}
        self._expected: dict[str, list[tuple[Target, str]]] = {}
        """By the id of a session that is being decided on, who was looked for meanwhile, and for which channel."""
        self._users: dict[str, set[str]] = {}
        self._channels: dict[str, dict[str, Subscriber]] = {}
        self._forms: dict[str, dict[tuple[Encoder, bool, bool], Form]] = {}
        self._numbers = count(1)
        self.departed = Departed()
        self._holding: set[Subscriber] = set()
        self._overdue: list[Subscriber] = []
        """Who is held more for than a reader may leave unread."""

    @property
    def num_clients(self) -> int:
        return len(self._peers)

    @property
    def num_users(self) -> int:
        return len(self._users)

    @property
    def num_channels(self) -> int:
        return len(self._channels)

    @property
    def num_subscriptions(self) -> int:
        return sum(map(len, self._channels.values()))

    def expect(self, peer: Peer) -> None:
        """The application begins to decide on a session: `add` or `remove` is to follow."""
        self._expected[peer.id] = []

    def add(self, peer: Peer) -> set[str]:
        """Register a session that was granted; returns the channels for which it would have been found meanwhile.

        Raises:
            Disconnect: `FORCE_RECONNECT`, it would have been found itself: what it was granted may hold no longer.
        """
        found = {channel for target, channel in self._expected.pop(peer.id, ()) if _matches(peer, target)}
        if "" in found:
            raise Disconnect(Close.FORCE_RECONNECT)
        self._peers[peer.id] = peer
        self._users.setdefault(peer.user_id, set()).add(peer.id)
        return found

    def remove(self, peer: Peer) -> None:
        """Forget a session with all its subscriptions: nothing reaches it from here on. Idempotent."""
        for subscriber in peer.subscribers.values():
            self.leave(subscriber)
        self._expected.pop(peer.id, None)
        if self._peers.pop(peer.id, None) is None:
            return
        connections = self._users[peer.user_id]
        connections.discard(peer.id)
        if not connections:
            del self._users[peer.user_id]

    def form(self, channel: str, encoder: Encoder, *, delta: bool, compact: bool) -> Form:
        """What a subscriber that is to `join` now shares with those of its kind."""
        forms = self._forms.setdefault(channel, {})
        form = forms.get((encoder, delta, compact))
        if form is None:
            number = 0
            if compact:
                number = next((other.number for other in forms.values() if other.number), 0) or next(self._numbers)
            form = forms[encoder, delta, compact] = Form(encoder, number, delta=delta)
        return form

    def join(self, subscriber: Subscriber) -> None:
        """Let a channel's messages reach this subscriber, into its buffer at first."""
        self._channels.setdefault(subscriber.channel, {})[subscriber.session_id] = subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Undo `join`. Idempotent; another subscription of the same session to the channel is left alone."""
        self._holding.discard(subscriber)
        members = self._channels.get(subscriber.channel)
        if members is None or members.get(subscriber.session_id) is not subscriber:
            return
        del members[subscriber.session_id]
        if not members:
            del self._channels[subscriber.channel]
            self._forms.pop(subscriber.channel, None)

    def num_subscribers(self, channel: str) -> int:
        return len(self._channels.get(channel, ()))

    def channels(self) -> list[str]:
        """Every channel with a subscriber here."""
        return list(self._channels)

    def members(self, channel: str) -> list[Subscriber]:
        """The channel's subscribers here."""
        return list(self._channels.get(channel, {}).values())

    def find(self, target: Target, channel: str = "", *, remember: bool = True) -> list[Peer]:
        """The sessions that a control operation addresses, for a subscription of theirs or, for "", as a whole.

        Unless `remember` is False, it holds for those that are just being decided on as well, see `add`.
        """
        if remember:
            for looked_for in self._expected.values():
                looked_for.append((target, channel))
        return [peer for peer in self._candidates(target) if _matches(peer, target)]

    def given(self, user_id: str, login: str, channel: str, now: float) -> SubscribeGrant | None:
        """What the server had granted of the channel to a connection of this user and login, after its connect reply.

        That connection is gone, or its end has not been noticed yet.
        """
        if not user_id:
            return None
        for key in self._users.get(user_id, ()):
            peer = self._peers[key]
            subscriber = peer.subscribers.get(channel)
            if subscriber is not None and subscriber.given is not None and peer.login == login:
                return subscriber.given.left(now)
        return self.departed.recall(user_id, login, channel, now)

    def _candidates(self, target: Target) -> Iterable[Peer]:
        if target.client_id is not None:
            ids: Iterable[str] = (target.client_id,)
        elif target.user_id is not None:
            ids = tuple(self._users.get(target.user_id, ()))
        else:
            ids = tuple(self._peers)
        return (self._peers[key] for key in ids if key in self._peers)

    def deliver(self, channel: str, publication: Publication, epoch: str) -> None:
        """Fan a publication out to every subscriber of the channel; the brokers' `PublicationHandler`."""
        members = self._channels.get(channel)
        if not members:
            return
        self._counters.publications += 1
        delivery = _Delivery(channel, publication)
        frames = delivery.frames
        behind: list[Subscriber] = []
        offset, sent = publication.offset, 0
        for subscriber in list(members.values()):
            # The common cases, in line: a live reader whose next offset this is, or who has room for what has none.
            if subscriber.buffer is None and subscriber.epoch == epoch and subscriber.offset + 1 == offset:
                subscriber.offset = offset
            elif (
                not offset
                and subscriber.buffer is None
                and not subscriber.held
                and subscriber.outbox.has_room(self._ephemeral_bytes)
            ):
                pass
            elif not self._admits(subscriber, publication, epoch, behind):
                continue
            frame = frames.get(subscriber.form) if subscriber.plain else None
            if frame is None:
                frame = delivery.frame(subscriber)
                if frame is None:
                    continue
            subscriber.outbox.push(frame)
            sent += 1
        self._counters.deliveries += sent
        self._settle(behind, delivery.misfits)

    def deliver_to(self, subscriber: Subscriber, publication: Publication, epoch: str) -> None:
        """Send one subscriber what waited for it."""
        self.deliver_among(subscriber.channel, (subscriber,), publication, epoch)

    def deliver_among(
        self, channel: str, subscribers: Iterable[Subscriber], publication: Publication, epoch: str = ""
    ) -> None:
        """Fan a publication out to some subscribers of a channel."""
        behind: list[Subscriber] = []
        delivery = _Delivery(channel, publication)
        for subscriber in subscribers:
            if self._admits(subscriber, publication, epoch, behind):
                self._send(subscriber, delivery)
        self._settle(behind, delivery.misfits)

    def _send(self, subscriber: Subscriber, delivery: "_Delivery") -> None:
        frame = delivery.frame(subscriber)
        if frame is not None:
            subscriber.outbox.push(frame)
            self._counters.deliveries += 1

    def release(self, subscriber: Subscriber) -> None:
        """Send a live subscriber what is held for it, as far as its reader has room."""
        misfits: list[Subscriber] = []
        while subscriber.held and subscriber.outbox.has_room(self._ephemeral_bytes):
            delivery = _Delivery(subscriber.channel, subscriber.next_held())
            self._send(subscriber, delivery)
            misfits += delivery.misfits
        if not subscriber.held:
            self._holding.discard(subscriber)
        self._settle([], misfits)

    def release_held(self) -> None:
        """Look whether slow readers have room again; to be called several times a second."""
        for subscriber in [*self._holding]:
            if subscriber.buffer is None:
                self.release(subscriber)

    def _settle(self, behind: list[Subscriber], misfits: list[Subscriber]) -> None:
        self.report_gaps(behind)
        self._close(misfits, Close.INAPPROPRIATE_PROTOCOL)
        if self._overdue:
            overdue, self._overdue = self._overdue, []
            self._close(overdue, Close.SLOW)

    def _close(self, subscribers: Iterable[Subscriber], code: int) -> None:
        for subscriber in subscribers:
            peer = self._peers.get(subscriber.session_id)
            if peer is not None:
                peer.close(Disconnect(code))

    def _admits(self, subscriber: Subscriber, publication: Publication, epoch: str, behind: list[Subscriber]) -> bool:
        verdict = subscriber.check(epoch, publication, self._ephemeral_bytes)
        if verdict is Verdict.DROP:
            self._counters.dropped += 1
        elif verdict is Verdict.GAP:
            behind.append(subscriber)
        elif verdict is Verdict.HOLD and (subscriber.admits is None or subscriber.admits(publication.tags)):
            self._hold(subscriber, publication)
        return verdict is Verdict.SEND

    def _hold(self, subscriber: Subscriber, publication: Publication) -> None:
        subscriber.hold(publication)
        self._holding.add(subscriber)
        if subscriber.held_bytes > self._ephemeral_bytes:
            self._overdue.append(subscriber)

    def announce(self, push: Push) -> None:
        """Fan a join or a leave out to the channel's subscribers."""
        frames: dict[Encoder, bytes] = {}
        for subscriber in list(self._channels.get(push.channel, {}).values()):
            if subscriber.buffer is not None or not subscriber.spec.push_join_leave:
                continue
            encoder = subscriber.form.encoder
            if encoder not in frames:
                frames[encoder] = encoder.frame(encoder.codec.encode_push(push))
            subscriber.outbox.push(frames[encoder])

    def check_top(self, channel: str, top: Position) -> None:
        """Hold every positioned subscriber against a top that the log has reached: who is behind has missed something.

        The caller has read `top` before, and given what was on its way the time to come.
        """
        self.report_gaps(self._behind(channel, top))

    def is_behind(self, channel: str, top: Position) -> bool:
        """Whether a positioned subscriber has not come to this top, yet or at all."""
        return any(True for _ in self._behind(channel, top))

    def _behind(self, channel: str, top: Position) -> Iterator[Subscriber]:
        return (member for member in self.members(channel) if member.is_behind(top))

    def report_gaps(self, behind: Iterable[Subscriber]) -> None:
        """Tell subscribers that have missed something to recover (protocol §3.3)."""
        from_server, by_client = (
            Disconnect(Close.INSUFFICIENT_STATE, "insufficient state"),
            Unsubscribed(Unsubscribe.INSUFFICIENT_STATE, "insufficient state"),
        )
        for subscriber in behind:
            peer = self._peers.get(subscriber.session_id)
            if peer is None:
                continue
            if subscriber.server_side:
                peer.close(from_server)
            else:
                peer.expel(subscriber.channel, by_client)


class _Delivery:
    """One publication on its way to many: what it looks like to each form of subscriber, made once."""

    __slots__ = ("_channel", "_differences", "_patches", "_publication", "frames", "misfits")

    def __init__(self, channel: str, publication: Publication) -> None:
        self._channel = channel
        self._publication = publication
        self._differences: dict[tuple[Form, int], bytes] = {}
        self._patches: dict[int, bytes | None] = {}
        self.frames: dict[Form, bytes] = {}
        self.misfits: list[Subscriber] = []
        """Subscribers whose codec cannot carry it (protocol §6b)."""

    def frame(self, subscriber: Subscriber) -> bytes | None:
        """What to send this subscriber; None when its filter or its codec leaves the publication out."""
        publication, form = self._publication, subscriber.form
        if subscriber.admits is not None and not subscriber.admits(publication.tags):
            return None
        if publication.binary and not form.encoder.codec.binary:
            if publication.offset:
                # It is not sent this one, so its position must not say otherwise.
                subscriber.offset = publication.offset - 1
            self.misfits.append(subscriber)
            return None
        if form.delta:
            return self._difference(subscriber)
        frame = self.frames.get(form)
        if frame is None:
            frame = self.frames[form] = form.frame(self._channel, publication)
        return frame

    def _difference(self, subscriber: Subscriber) -> bytes:
        publication, form = self._publication, subscriber.form
        base = subscriber.bases.get(publication.key)
        remember(subscriber.bases, publication)
        # Subscribers that keep up hold the same object; one that has just recovered holds an equal of the same offset.
        same = 0 if base is None else base.offset or id(base)
        frame = self._differences.get((form, same))
        if frame is None:
            if same not in self._patches:
                self._patches[same] = patch(base, publication)
            shaped = difference(form.encoder.codec, publication, self._patches[same])
            frame = self._differences[form, same] = form.frame(self._channel, shaped)
        return frame


def _matches(peer: Peer, target: Target) -> bool:
    return (
        target.user_id in (None, peer.user_id)
        and target.session_id in (None, peer.login, peer.secret or None)
        and target.client_id in (None, peer.id)
    )
