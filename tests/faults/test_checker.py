"""The checker can fail: each anomaly, injected into a correct history, is found under its own name, and correct
histories are left alone."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.support.checker import (
    Delivered,
    Ended,
    Event,
    Fault,
    Invoked,
    Logged,
    Needs,
    Outcome,
    Resumed,
    Revoked,
    Settled,
    Verdict,
    check,
)

CHANNEL = "room"


def correct_history(seed: int, *, reload: bool = False) -> list[Event]:
    """Two publishers, three subscribers; one of them comes back in the middle, and reloads if asked to."""
    chance = random.Random(seed)
    events: list[Event] = [Resumed(0, name, CHANNEL, "e1", 0) for name in ("ann", "bob", "cy")]
    clock = 1.0
    for offset in range(1, 41):
        message, body = f"m{offset}", str(chance.random())
        events.append(Invoked(clock, CHANNEL, message, body))
        told = offset if chance.random() < 0.5 else 0
        outcome = Outcome.UNKNOWN if chance.random() < 0.2 else Outcome.OK
        events.append(Settled(clock + 0.5, CHANNEL, message, outcome, "e1" if told else "", told))
        events.append(Logged(CHANNEL, message, "e1", offset, body))
        away = {"cy"} if reload and 20 < offset <= 30 else set()
        present = sorted({"ann", "bob", "cy"} - away)
        events += [Delivered(clock + 0.2, name, CHANNEL, message, "e1", offset, body) for name in present]
        if offset == 20 and not reload:
            events.append(Resumed(clock + 0.6, "cy", CHANNEL, "e1", 20))
        if offset == 30 and reload:
            shown = frozenset(f"m{n}" for n in range(1, 31))
            events.append(Resumed(clock + 0.6, "cy", CHANNEL, "e1", 30, reset=True, snapshot=shown))
        clock += 1
    events.append(Invoked(clock, CHANNEL, "refused", ""))
    events.append(Settled(clock, CHANNEL, "refused", Outcome.FAIL))
    events += [Ended(name, CHANNEL) for name in ("ann", "bob", "cy")]
    return [*events, Fault("kill", effect=True)]


@pytest.mark.parametrize("reload", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_a_correct_history_is_valid(seed: int, reload: bool) -> None:
    report = check(correct_history(seed, reload=reload), Needs(acknowledged=20, resumes=1))
    assert report.verdict is Verdict.VALID, report


def index_of(events: list[Event], wanted: Callable[[Event], bool]) -> int:
    return next(index for index, event in enumerate(events) if wanted(event))


def change(events: list[Event], place: int, **fields: Any) -> None:
    events[place] = replace(events[place], **fields)


def delivery(events: list[Event], message: str = "m10", name: str = "ann") -> int:
    return index_of(events, lambda e: isinstance(e, Delivered) and (e.id, e.subscriber) == (message, name))


def lose_from_log(events: list[Event]) -> None:
    acked = next(e.id for e in events if isinstance(e, Settled) and e.outcome is Outcome.OK and not e.offset)
    del events[index_of(events, lambda e: isinstance(e, Logged) and e.id == acked)]


def lose_delivery(events: list[Event]) -> None:
    del events[delivery(events, "m40")]


def skip_delivery(events: list[Event]) -> None:
    del events[delivery(events)]


def deliver_twice(events: list[Event]) -> None:
    events.insert(delivery(events, "m11"), events[delivery(events)])


def swap_deliveries(events: list[Event]) -> None:
    first, second = delivery(events), delivery(events, "m11")
    events[first], events[second] = events[second], events[first]


def append_twice(events: list[Event]) -> None:
    place = index_of(events, lambda e: isinstance(e, Logged) and e.id == "m40")
    events.insert(place + 1, events[place])
    change(events, place + 1, offset=41)


def skip_an_offset(events: list[Event]) -> None:
    place = index_of(events, lambda e: isinstance(e, Logged) and e.id == "m40")
    change(events, place, offset=41)


def resume_too_late(events: list[Event]) -> None:
    place = index_of(events, lambda e: isinstance(e, Resumed) and e.offset == 20)
    change(events, place, offset=22)


def overtake(events: list[Event]) -> None:
    place = index_of(events, lambda e: isinstance(e, Invoked) and e.id == "m5")
    change(events, place, time=39.9)


def split_brain(events: list[Event]) -> None:
    place = delivery(events)
    change(events, place, id="m11")


def invent(events: list[Event]) -> None:
    events.append(Logged(CHANNEL, "invented", "e1", 41))


def store_refused(events: list[Event]) -> None:
    events.append(Logged(CHANNEL, "refused", "e1", 41))


def change_body(events: list[Event]) -> None:
    place = delivery(events)
    change(events, place, body="else")


def change_epoch(events: list[Event]) -> None:
    place = delivery(events)
    change(events, place, epoch="e2")


def deliver_after_revoke(events: list[Event]) -> None:
    events.append(Revoked(3.0, "bob", CHANNEL))


def never_end(events: list[Event]) -> None:
    events.remove(Ended("bob", CHANNEL))


@pytest.mark.parametrize(
    ("inject", "kind"),
    [
        (lose_from_log, "lost-durable"),
        (lose_delivery, "lost"),
        (skip_delivery, "gap"),
        (deliver_twice, "duplicate"),
        (swap_deliveries, "reordered"),
        (append_twice, "double-append"),
        (skip_an_offset, "log-gap"),
        (resume_too_late, "bad-resume"),
        (overtake, "reordered-ack"),
        (split_brain, "divergent"),
        (invent, "phantom"),
        (store_refused, "phantom"),
        (change_body, "corrupt"),
        (change_epoch, "epoch-jump"),
        (deliver_after_revoke, "leak-after-revoke"),
        (never_end, "stuck"),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_an_injected_anomaly_is_found(seed: int, inject: Callable[[list[Event]], None], kind: str) -> None:
    events = correct_history(seed)
    inject(events)
    report = check(events)
    assert report.verdict is Verdict.INVALID
    assert kind in {anomaly.kind for anomaly in report.anomalies}, report


def test_a_run_that_did_nothing_proves_nothing() -> None:
    assert check([]).verdict is Verdict.UNKNOWN
    quiet = check([*correct_history(1), Fault("kill", effect=False)])
    assert quiet.verdict is Verdict.UNKNOWN
    assert "kill had no effect" in str(quiet)
