"""The history checker: it finds every contradiction between publishers, subscribers and the log.

Pure functions over recorded events. A publisher records `Invoked` before it sends and `Settled` when it knows the
outcome; a subscriber records `Resumed` at every (re)subscribe and `Delivered` for each publication its application
saw; the final authoritative read is one `Logged` per stored publication. Times come from one monotonic clock.
"""

import enum
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias


class Outcome(enum.Enum):
    OK = "ok"
    FAIL = "fail"
    """Refused for certain: it must never be seen."""
    UNKNOWN = "unknown"
    """Timed out or cut: it may be seen once, or never."""


@dataclass(frozen=True, slots=True)
class Invoked:
    time: float
    channel: str
    id: str
    body: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    time: float
    channel: str
    id: str
    outcome: Outcome
    epoch: str = ""
    offset: int = 0
    """0 for an acknowledgement without a position."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """A subscription is live from (epoch, offset) on.

    `reset` is a reload: what was delivered before no longer counts, and `snapshot` holds the ids that the reload
    itself showed.
    """

    time: float
    subscriber: str
    channel: str
    epoch: str
    offset: int
    reset: bool = False
    snapshot: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Delivered:
    time: float
    subscriber: str
    channel: str
    id: str
    epoch: str
    offset: int
    body: str = ""


@dataclass(frozen=True, slots=True)
class Revoked:
    """From `time` on nothing new of the channel may reach the subscriber; `bound` seconds are forgiven."""

    time: float
    subscriber: str
    channel: str
    bound: float = 1.0


@dataclass(frozen=True, slots=True)
class Logged:
    channel: str
    id: str
    epoch: str
    offset: int
    body: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """The subscriber saw the channel's end marker: it is not stuck."""

    subscriber: str
    channel: str


@dataclass(frozen=True, slots=True)
class Fault:
    """An injected fault, and whether it did anything."""

    name: str
    effect: bool


Event: TypeAlias = Invoked | Settled | Resumed | Delivered | Revoked | Logged | Ended | Fault


@dataclass(frozen=True, slots=True)
class Anomaly:
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class Needs:
    """The least numbers of events for which a run without anomalies is valid."""

    acknowledged: int = 1
    resumes: int = 0
    reloads: int = 0


class Verdict(enum.Enum):
    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Report:
    verdict: Verdict
    anomalies: tuple[Anomaly, ...]
    counts: dict[str, int]

    def __str__(self) -> str:
        kinds = Counter(anomaly.kind for anomaly in self.anomalies)
        shown = [f"  {a.kind}: {a.detail}" for kind in kinds for a in _examples(self.anomalies, kind)]
        return "\n".join([f"{self.verdict.value}; {self.counts}; anomalies {dict(kinds)}", *shown])


def check(events: Iterable[Event], needs: Needs = Needs()) -> Report:
    """Judge a history. Anomalies make it invalid; a run that did too little is unknown."""
    history = _History(tuple(events))
    anomalies = tuple(anomaly for rule in _RULES for anomaly in rule(history))
    vacuous = tuple(_vacuity(history, needs))
    verdict = Verdict.INVALID if anomalies else Verdict.UNKNOWN if vacuous else Verdict.VALID
    return Report(verdict, anomalies + vacuous, history.counts())


Key: TypeAlias = tuple[str, str]


class _History:
    """The events, indexed the ways the rules need them. A message is keyed by (channel, id)."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self.invoked = {(e.channel, e.id): e for e in events if isinstance(e, Invoked)}
        self.settled = {(e.channel, e.id): e for e in events if isinstance(e, Settled)}
        self.log: dict[str, list[Logged]] = defaultdict(list)
        self.views: dict[Key, list[Resumed | Delivered]] = defaultdict(list)
        self.revoked = [e for e in events if isinstance(e, Revoked)]
        self.ended = {(e.subscriber, e.channel) for e in events if isinstance(e, Ended)}
        self.faults = [e for e in events if isinstance(e, Fault)]
        for event in events:
            if isinstance(event, Logged):
                self.log[event.channel].append(event)
            elif isinstance(event, Resumed | Delivered):
                self.views[event.subscriber, event.channel].append(event)

    def acknowledged(self) -> Iterator[Settled]:
        return (event for event in self.settled.values() if event.outcome is Outcome.OK)

    def deliveries(self) -> Iterator[Delivered]:
        return (event for view in self.views.values() for event in view if isinstance(event, Delivered))

    def counts(self) -> dict[str, int]:
        resumes = [event for view in self.views.values() for event in view if isinstance(event, Resumed)]
        return {
            "invoked": len(self.invoked),
            "acknowledged": sum(1 for _ in self.acknowledged()),
            "delivered": sum(1 for _ in self.deliveries()),
            "logged": sum(map(len, self.log.values())),
            "resumes": len(resumes) - len(self.views),
            "reloads": sum(event.reset for event in resumes),
            "faults": sum(fault.effect for fault in self.faults),
        }


def _lost_durable(history: _History) -> Iterator[Anomaly]:
    stored = {(entry.channel, entry.id) for entries in history.log.values() for entry in entries}
    for ack in history.acknowledged():
        if (ack.channel, ack.id) not in stored:
            yield Anomaly("lost-durable", f"{ack.id} was acknowledged and is not in the log of {ack.channel}")


def _lost(history: _History) -> Iterator[Anomaly]:
    """Every message stored after the subscriber's first position was delivered or was in a snapshot."""
    for (subscriber, channel), view in history.views.items():
        first = next((event for event in view if isinstance(event, Resumed)), None)
        if first is None or any(r.subscriber == subscriber and r.channel == channel for r in history.revoked):
            continue
        seen = {event.id for event in view if isinstance(event, Delivered)}
        seen.update(*(event.snapshot for event in view if isinstance(event, Resumed)))
        for entry in history.log[channel]:
            owed = entry.epoch != first.epoch or entry.offset > first.offset
            if owed and entry.id not in seen:
                yield Anomaly("lost", f"{subscriber} never saw {entry.id} ({channel} {entry.epoch}:{entry.offset})")


def _order(history: _History) -> Iterator[Anomaly]:
    """Within a segment offsets go up by one, the epoch stands, and a resume starts where the segment stopped."""
    for (subscriber, channel), view in history.views.items():
        epoch, offset, started = "", 0, False
        for event in view:
            where = f"{subscriber} at {channel} {epoch}:{offset}"
            if isinstance(event, Resumed):
                if started and not event.reset and (event.epoch, event.offset) != (epoch, offset):
                    yield Anomaly("bad-resume", f"{where} resumed from {event.epoch}:{event.offset}")
                epoch, offset, started = event.epoch, event.offset, True
                continue
            yield from _step(event, epoch, offset, where)
            epoch, offset = event.epoch, max(offset, event.offset) if event.epoch == epoch else event.offset


def _step(event: Delivered, epoch: str, offset: int, where: str) -> Iterator[Anomaly]:
    if event.epoch != epoch:
        yield Anomaly("epoch-jump", f"{where} got {event.id} of epoch {event.epoch} without a reload")
    elif event.offset <= offset:
        yield Anomaly("reordered", f"{where} got {event.id} at {event.offset}")
    elif event.offset != offset + 1:
        yield Anomaly("gap", f"{where} got {event.id} at {event.offset}")


def _duplicate(history: _History) -> Iterator[Anomaly]:
    for (subscriber, channel), view in history.views.items():
        seen: set[str] = set()
        for event in view:
            if isinstance(event, Resumed):
                seen = set(event.snapshot) if event.reset else seen
            elif event.id in seen:
                yield Anomaly("duplicate", f"{subscriber} got {event.id} of {channel} twice")
            else:
                seen.add(event.id)


def _double_append(history: _History) -> Iterator[Anomaly]:
    for channel, entries in history.log.items():
        for entry_id, count in Counter(entry.id for entry in entries).items():
            if count > 1:
                yield Anomaly("double-append", f"{entry_id} is {count} times in the log of {channel}")


def _log_gap(history: _History) -> Iterator[Anomaly]:
    for channel, entries in history.log.items():
        for before, after in itertools.pairwise(entries):
            if before.epoch == after.epoch and after.offset != before.offset + 1:
                yield Anomaly("log-gap", f"{channel}: {after.offset} follows {before.offset}")


def _positions(history: _History) -> dict[Key, tuple[str, int]]:
    told = {(e.channel, e.id): (e.epoch, e.offset) for e in history.acknowledged() if e.offset}
    stored = {(e.channel, e.id): (e.epoch, e.offset) for entries in history.log.values() for e in entries}
    return told | stored


def _reordered_ack(history: _History) -> Iterator[Anomaly]:
    """A message that was acknowledged before another was invoked has the smaller offset. One sweep by time."""
    positions = _positions(history)
    moments: dict[tuple[str, str], list[tuple[float, int, int, str]]] = defaultdict(list)
    for key, (epoch, offset) in positions.items():
        invoked, settled = history.invoked.get(key), history.settled.get(key)
        if invoked is not None:
            moments[key[0], epoch].append((invoked.time, 1, offset, key[1]))
        if settled is not None and settled.outcome is Outcome.OK:
            moments[key[0], epoch].append((settled.time, 0, offset, key[1]))
    for (channel, _), timeline in moments.items():
        highest, holder = 0, ""
        for _, begins, offset, message in sorted(timeline):
            if begins and offset < highest:
                yield Anomaly("reordered-ack", f"{channel}: {message} at {offset} began after the ack of {holder}")
            if not begins and offset > highest:
                highest, holder = offset, message


def _divergent(history: _History) -> Iterator[Anomaly]:
    """One (channel, epoch, offset) names the same message in acknowledgements, deliveries and the log."""
    names: dict[tuple[str, str, int], str] = {}
    spoken: list[Settled | Delivered | Logged] = [ack for ack in history.acknowledged() if ack.offset]
    spoken += [event for event in history.events if isinstance(event, Delivered | Logged)]
    for event in spoken:
        place = (event.channel, event.epoch, event.offset)
        if names.setdefault(place, event.id) != event.id:
            yield Anomaly("divergent", f"{place} is {names[place]} and {event.id}")


def _phantom(history: _History) -> Iterator[Anomaly]:
    seen: list[Delivered | Logged] = [e for e in history.events if isinstance(e, Delivered | Logged)]
    for event in seen:
        key = (event.channel, event.id)
        invoked, settled = history.invoked.get(key), history.settled.get(key)
        if invoked is None:
            yield Anomaly("phantom", f"{event.id} in {event.channel} was never sent")
        elif settled is not None and settled.outcome is Outcome.FAIL:
            yield Anomaly("phantom", f"{event.id} in {event.channel} was refused")
        elif event.body != invoked.body:
            yield Anomaly("corrupt", f"{event.id} in {event.channel} has another body")


def _leak(history: _History) -> Iterator[Anomaly]:
    for revoked in history.revoked:
        for event in history.views[revoked.subscriber, revoked.channel]:
            sent = isinstance(event, Delivered) and history.invoked.get((event.channel, event.id))
            if isinstance(sent, Invoked) and sent.time > revoked.time + revoked.bound:
                yield Anomaly("leak-after-revoke", f"{revoked.subscriber} got {sent.id} of {revoked.channel}")


def _stuck(history: _History) -> Iterator[Anomaly]:
    gone = {(event.subscriber, event.channel) for event in history.revoked}
    for view in history.views:
        if view not in history.ended and view not in gone:
            yield Anomaly("stuck", f"{view[0]} never reached the end of {view[1]}")


def _vacuity(history: _History, needs: Needs) -> Iterator[Anomaly]:
    counts = history.counts()
    wanted = {"acknowledged": needs.acknowledged, "resumes": needs.resumes, "reloads": needs.reloads}
    for name, least in wanted.items():
        if counts[name] < least:
            yield Anomaly("vacuous", f"{counts[name]} {name} where {least} are needed")
    for fault in history.faults:
        if not fault.effect:
            yield Anomaly("vacuous", f"{fault.name} had no effect")


def _examples(anomalies: Sequence[Anomaly], kind: str) -> list[Anomaly]:
    return [anomaly for anomaly in anomalies if anomaly.kind == kind][:3]


_RULES: Final[tuple[Callable[[_History], Iterator[Anomaly]], ...]] = (
    _lost_durable,
    _lost,
    _order,
    _duplicate,
    _double_append,
    _log_gap,
    _reordered_ack,
    _divergent,
    _phantom,
    _leak,
    _stuck,
)
