"""Who is subscribed to what on this node, and the fan-out.

Rules of this file: nothing here awaits, so no check is parted from the write it guards; a message is encoded once per
encoder however many receive it; and one reader's trouble is settled after the loop over all readers, never inside it.
"""

from collections.abc import Iterable, Iterator
from itertools import count

from hotclub.engine.announcements import Announcements
from hotclub.engine.fan_out import FanOuts
from hotclub.engine.model import Position, Publication
from hotclub.engine.observe import Counters
from hotclub.engine.peers import Peer, Peers
from hotclub.engine.protocol.base import Encoder
from hotclub.engine.protocol.messages import Push
from hotclub.engine.recovery import Verdict
from hotclub.engine.shape import Delivery, Form
from hotclub.engine.subscriber import Subscriber
from hotclub.engine.trouble import Trouble
from hotclub.engine.turns import Turn


class Hub:
    """The subscribers of one node by channel, and the fan-out to them."""

    def __init__(self, counters: Counters, ephemeral_bytes: int) -> None:
        """`ephemeral_bytes` is the backlog above which publications without history are dropped for a reader."""
        self.peers = Peers()
        self._counters = counters
        self._ephemeral_bytes = ephemeral_bytes
        self._channels: dict[str, dict[str, Subscriber]] = {}
        self._announcements = Announcements(self._channels, self.peers.background)
        self._forms: dict[str, dict[tuple[Encoder, bool, bool], Form]] = {}
        self._fan_outs = FanOuts(self._channels, self.peers.background, self._send_to)
        self._joins = 0
        """How many subscribers have joined so far."""
        self._numbers = count(1)
        self._holding: set[Subscriber] = set()
        """The subscribers for which something is held."""

    @property
    def num_clients(self) -> int:
        """How many connections are registered."""
        return len(self.peers)

    @property
    def num_channels(self) -> int:
        """How many channels have a subscriber here."""
        return len(self._channels)

    @property
    def num_subscriptions(self) -> int:
        """How many subscribers all channels have together."""
        return sum(map(len, self._channels.values()))

    def remove(self, peer: Peer) -> None:
        """Forget a connection with all its subscriptions: nothing reaches it from here on. Idempotent."""
        for subscriber in peer.subscribers.values():
            self.leave(subscriber)
        self.peers.remove(peer)

    def form(self, channel: str, encoder: Encoder, *, delta: bool, compact: bool) -> Form:
        """The form of a subscriber that is to `join` now: the one of the subscribers like it, or a new one."""
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
        self._joins += 1
        subscriber.joined = self._joins
        self._channels.setdefault(subscriber.channel, {})[subscriber.client_id] = subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Undo `join`. Idempotent; another subscription of the same connection to the channel is left alone."""
        self._holding.discard(subscriber)
        subscriber.joined = 0
        members = self._channels.get(subscriber.channel)
        if members is None or members.get(subscriber.client_id) is not subscriber:
            return
        del members[subscriber.client_id]
        if not members:
            del self._channels[subscriber.channel]
            self._forms.pop(subscriber.channel, None)

    def num_subscribers(self, channel: str) -> int:
        """How many subscribers the channel has here."""
        return len(self._channels.get(channel, ()))

    def channels(self) -> list[str]:
        """Every channel with a subscriber here."""
        return list(self._channels)

    def members(self, channel: str) -> list[Subscriber]:
        """The channel's subscribers here."""
        return list(self._channels.get(channel, {}).values())

    def deliver(self, channel: str, publication: Publication, epoch: str) -> None:
        """Fan a publication out to every subscriber of the channel; the brokers' `PublicationHandler`."""
        if channel not in self._channels:
            return
        self._counters.publications += 1
        self._fan_outs.begin(Delivery(channel, publication), epoch, self._joins)

    def _send_to(self, some: Iterator[Subscriber], delivery: Delivery, epoch: str) -> None:
        """Send a publication to as many of these readers as it takes to make a difference, or to all of them."""
        trouble = Trouble()
        publication, frames = delivery.publication, delivery.frames
        offset, sent = publication.offset, 0
        for subscriber in some:
            plain = subscriber.plain
            try:
                # The common cases, in line: a live reader whose next offset this is, or who has room for what has none.
                if subscriber.buffer is None and subscriber.epoch == epoch and subscriber.offset + 1 == offset:
                    subscriber.offset = offset
                elif (
                    not offset
                    and subscriber.buffer is None
                    and subscriber.held is None
                    and subscriber.outbox.has_room(self._ephemeral_bytes)
                ):
                    pass
                elif not self._admits(subscriber, publication, epoch, trouble):
                    continue
                frame = (plain and frames.get(subscriber.form)) or _frame(subscriber, delivery, trouble)
                if frame is not None:
                    subscriber.outbox.push(frame)
                    sent += 1
            except BaseException as error:  # noqa: BLE001 - a filter is foreign code, and more readers wait
                trouble.note(subscriber, error)
            if not plain and delivery.patched:
                delivery.patched = False
                break
        self._counters.deliveries += sent
        trouble.settle(self.peers, publication)

    def deliver_among(self, delivery: Delivery, subscribers: Iterable[Subscriber], epoch: str = "") -> None:
        """Send a publication to some subscribers of its channel. `epoch` is the one of its offset, if it has one."""
        trouble, publication = Trouble(), delivery.publication
        for subscriber in subscribers:
            try:
                if self._admits(subscriber, publication, epoch, trouble):
                    self._send(subscriber, delivery, trouble)
            except BaseException as error:  # noqa: BLE001 - as in `_send_to`
                trouble.note(subscriber, error)
        trouble.settle(self.peers, publication)

    def _send(self, subscriber: Subscriber, delivery: Delivery, trouble: Trouble) -> None:
        """Send a publication that is due to the subscriber."""
        frame = _frame(subscriber, delivery, trouble)
        if frame is not None:
            subscriber.outbox.push(frame)
            self._counters.deliveries += 1

    def release(self, subscriber: Subscriber) -> None:
        """Send a live subscriber what is held for it, as far as its reader has room."""
        while subscriber.held is not None and subscriber.outbox.has_room(self._ephemeral_bytes):
            publication, trouble = subscriber.next_held(), Trouble()
            try:
                self._send(subscriber, Delivery(subscriber.channel, publication), trouble)
            except BaseException as error:  # noqa: BLE001 - as in `_send_to`
                trouble.note(subscriber, error)
            trouble.settle(self.peers, publication)
        if subscriber.held is None:
            self._holding.discard(subscriber)

    async def release_held(self) -> None:
        """Send every slow reader that has room again what is held for it. To be called several times a second."""
        turn = Turn()
        for subscriber in [*self._holding]:
            if subscriber.buffer is None:
                self.release(subscriber)
            await turn.give_way()

    def _admits(self, subscriber: Subscriber, publication: Publication, epoch: str, trouble: Trouble) -> bool:
        """Whether the publication is to be sent to the subscriber now; what else becomes of it is seen to here."""
        verdict = subscriber.check(epoch, publication, self._ephemeral_bytes)
        if verdict is Verdict.DROP:
            self._counters.dropped += 1
        elif verdict is Verdict.GAP:
            trouble.behind.append(subscriber)
        elif verdict is Verdict.HOLD and (subscriber.admits is None or subscriber.admits(publication.tags)):
            self._hold(subscriber, publication, trouble)
        return verdict is Verdict.SEND

    def _hold(self, subscriber: Subscriber, publication: Publication, trouble: Trouble) -> None:
        self._holding.add(subscriber)
        if subscriber.hold(publication) > self._ephemeral_bytes:
            trouble.overdue.append(subscriber)

    def announce(self, push: Push) -> None:
        """Send a join or a leave to the channel's subscribers; see `Announcements.announce`."""
        self._announcements.announce(push)

    def check_top(self, channel: str, top: Position) -> None:
        """Tell every positioned subscriber that has not come to `top`, which the log has reached, to recover.

        Whoever calls this has read `top` some time before, so that what was on its way has arrived.
        """
        self.peers.report_gaps(self._behind(channel, top))

    def is_behind(self, channel: str, top: Position) -> bool:
        """Whether a positioned subscriber has not come to this top, yet or at all."""
        return any(True for _ in self._behind(channel, top))

    def _behind(self, channel: str, top: Position) -> Iterator[Subscriber]:
        return (member for member in self.members(channel) if member.is_behind(top))


def _frame(subscriber: Subscriber, delivery: Delivery, trouble: Trouble) -> bytes | None:
    """The frame for one subscriber; None when its filter leaves the publication out, or its codec cannot carry it."""
    publication, form = delivery.publication, subscriber.form
    if subscriber.admits is not None and not subscriber.admits(publication.tags):
        return None
    if publication.binary and not form.encoder.codec.binary:
        trouble.misfits.append(subscriber)
        return None
    if form.delta:
        return delivery.difference(form, subscriber.rebase(publication))
    return delivery.frames.get(form) or delivery.frame(form)
