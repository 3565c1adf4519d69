"""The bounded outbox: one write per turn, and what a slow reader costs."""

from collections.abc import Callable, Sequence

from hotclub.engine.outbox import Flusher, Outbox


class SlowSink:
    """Takes what it is given and counts it as unread until the test reads it."""

    def __init__(self) -> None:
        self.writes: list[list[bytes]] = []
        self.unread = 0

    def write(self, frames: Sequence[bytes]) -> None:
        self.writes.append(list(frames))
        self.unread += sum(map(len, frames))

    def buffered(self) -> int:
        return self.unread


class Turn:
    """Stands in for the end of the event loop's turn."""

    def __init__(self) -> None:
        self.scheduled: list[Callable[[], None]] = []

    def __call__(self, work: Callable[[], None]) -> None:
        self.scheduled.append(work)

    def end(self) -> None:
        scheduled, self.scheduled = self.scheduled, []
        for work in scheduled:
            work()


def outbox(limit: int = 100) -> tuple[Outbox, SlowSink, Turn, list[str]]:
    sink, turn, overflows = SlowSink(), Turn(), list[str]()
    return Outbox(sink, Flusher(turn), limit, lambda: overflows.append("slow")), sink, turn, overflows


def test_everything_of_one_turn_leaves_in_one_write() -> None:
    box, sink, turn, _ = outbox()
    for frame in (b"a", b"b", b"c"):
        box.push(frame)
    assert sink.writes == []
    assert len(turn.scheduled) == 1
    turn.end()
    assert sink.writes == [[b"a", b"b", b"c"]]
    box.push(b"d")
    turn.end()
    assert sink.writes[1:] == [[b"d"]]


def test_a_slow_reader_overflows_once_and_gets_nothing_more() -> None:
    box, sink, turn, overflows = outbox(limit=10)
    box.push(b"12345678")
    turn.end()
    box.push(b"1234")
    turn.end()
    assert overflows == ["slow"]
    box.push(b"x")
    turn.end()
    assert overflows == ["slow"]
    assert sink.writes == [[b"12345678"]]


def test_a_reader_that_keeps_up_may_get_a_burst_above_the_limit() -> None:
    box, sink, turn, overflows = outbox(limit=10)
    box.push(b"x" * 50)
    turn.end()
    assert overflows == []
    assert sink.writes == [[b"x" * 50]]


def test_a_burst_that_piles_up_within_one_turn_is_bounded_too() -> None:
    box, sink, _, overflows = outbox(limit=10)
    for _ in range(100):
        box.push(b"xxxx")
    assert overflows == ["slow"]
    assert sink.unread <= 14


def test_room_is_asked_of_the_transport_only_when_it_seems_short() -> None:
    box, sink, turn, _ = outbox(limit=1_000)
    box.push(b"x" * 60)
    turn.end()
    box.push(b"y")
    turn.end()
    assert not box.has_room(50)
    sink.unread = 0
    assert box.has_room(50)


def test_a_closed_outbox_takes_nothing() -> None:
    box, sink, turn, _ = outbox()
    box.push(b"a")
    box.close()
    box.push(b"b")
    turn.end()
    assert sink.writes == []


def test_a_broken_sink_keeps_no_outbox_behind_it_from_its_frames() -> None:
    class BrokenSink(SlowSink):
        def write(self, frames: Sequence[bytes]) -> None:
            raise RuntimeError("broken")

    turn, ends = Turn(), list[str]()
    flusher, sinks = Flusher(turn), [SlowSink(), BrokenSink(), SlowSink()]
    boxes = [Outbox(sink, flusher, 100, lambda: ends.append("end")) for sink in sinks]
    for _ in range(2):
        for box in boxes:
            box.push(b"a")
        turn.end()
    assert [len(sink.writes) for sink in sinks] == [2, 0, 2]
    assert ends == ["end"]
    assert [box.failed for box in boxes] == [False, True, False]
