"""Threads for calls that may block or hang: bounded, shared fairly, and replaced when a call does not return.

- A *lane* says for whom a call is made: its kind (the function), its owner (a user or a network) and its holder (a
  connection). No kind and no owner can hold more than half of the threads or of the places in the queue.
- A call that takes long is *stalled*: another thread may be started in its place. The more threads there are, the
  longer a call must take for that, so a slow database is not flooded with connections.
- A call that was given up is *lost* until it returns. Its holder gets no other thread until then.
- While the pool is not stalled, one kind leaves a quarter of the threads to the other kinds.
"""

import asyncio
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from hotclub.runtime.calls import Busy, Call

PATIENCE: Final = 0.1
"""Seconds after which a call is stalled, while there are no more threads than usual."""
_LONGEST_PATIENCE: Final = 10.0
QUEUE: Final = 10_000
"""Calls that may wait for a thread."""
THREAD_NAME: Final = "hotclub"
"""The name of every thread of a pool."""


class _Worker:
    """A thread's mailbox for one call."""

    __slots__ = ("_call", "_given")

    def __init__(self) -> None:
        self._call: Call | None = None
        self._given = threading.Lock()
        self._given.acquire()

    def give(self, call: Call | None) -> None:
        """Give the thread a call, or None to end the thread."""
        self._call = call
        self._given.release()

    def take(self) -> Call | None:
        """Wait for what is given. For the thread."""
        self._given.acquire()
        call, self._call = self._call, None
        return call


class _Waiting:
    """The calls that wait, by kind and by owner. The oldest call of an owner comes first, and owners take turns."""

    def __init__(self) -> None:
        self._kinds: OrderedDict[object, OrderedDict[str, OrderedDict[Call, None]]] = OrderedDict()
        self.kinds: Counter[object] = Counter()
        self.owners: Counter[str] = Counter()
        self.size = 0

    def push(self, call: Call) -> None:
        """Add a call."""
        kind, owner, _holder = call.lane
        self._kinds.setdefault(kind, OrderedDict()).setdefault(owner, OrderedDict())[call] = None
        self.kinds[kind] += 1
        self.owners[owner] += 1
        self.size += 1

    def remove(self, call: Call) -> bool:
        """Remove a call. Returns False for a call that does not wait."""
        kind, owner, _holder = call.lane
        owners = self._kinds.get(kind, OrderedDict())
        calls = owners.get(owner)
        if calls is None or call not in calls:
            return False
        del calls[call]
        if not calls:
            del owners[owner]
        if not owners:
            del self._kinds[kind]
        _less(self.kinds, kind)
        _less(self.owners, owner)
        self.size -= 1
        return True

    def pop(self, rank: Callable[[object], int | None], may: Callable[[str], bool]) -> Call | None:
        """Take the next call.

        Args:
            rank: a kind's place, the lowest first; None for a kind that has to wait.
            may: whether this owner may have a thread.
        """
        ranks = [(place, kind) for kind in self._kinds if (place := rank(kind)) is not None]
        for _place, kind in sorted(ranks, key=lambda item: item[0]):
            owners = self._kinds[kind]
            owner = next((name for name in owners if may(name)), None)
            if owner is not None:
                owners.move_to_end(owner)
                self._kinds.move_to_end(kind)
                call = next(iter(owners[owner]))
                self.remove(call)
                return call
        return None

    def clear(self) -> list[Call]:
        """Remove and return all calls."""
        calls = [call for owners in self._kinds.values() for waiting in owners.values() for call in waiting]
        for call in calls:
            self.remove(call)
        return calls


def _less(counter: Counter[Any], key: object) -> None:
    """Count one down, and forget a key without a count."""
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]


class _Load:
    """The calls that run, counted by what their bounds apply to."""

    def __init__(self, size: int, most: int) -> None:
        self._size = size
        self._most = most
        self._half = most if most == size else most // 2
        self._for_one_kind = size - size // 4
        self._active: Counter[object] = Counter()
        """The calls that are not stalled, by kind."""
        self.kinds: Counter[object] = Counter()
        self.owners: Counter[str] = Counter()
        self.lost: Counter[object] = Counter()
        """The calls that were given up, by holder."""
        self.running: dict[Call, None] = {}
        self.prompt = 0
        """How many calls are not stalled."""

    def rank(self, kind: object) -> int | None:
        """How many threads a kind has that are not stalled; None when the kind must wait."""
        if self.prompt >= self._size or len(self.running) >= self._most:
            return None
        active = self._active[kind]
        return None if active >= self._for_one_kind or self.kinds[kind] >= self._half else active

    def may(self, owner: str) -> bool:
        """Whether an owner may have another thread."""
        return not owner or self.owners[owner] < self._half

    def enter(self, call: Call) -> None:
        """Count a call that begins."""
        call.began = monotonic()
        self.running[call] = None
        self.prompt += 1
        self._active[call.lane.kind] += 1
        self.kinds[call.lane.kind] += 1
        self.owners[call.lane.owner] += 1

    def stall(self, call: Call) -> None:
        """Count a call as one that takes long. Idempotent."""
        if not call.stalled:
            call.stalled = True
            self.prompt -= 1
            _less(self._active, call.lane.kind)

    def lose(self, call: Call) -> None:
        """Count a call as one that was given up."""
        call.lost = True
        self.lost[call.lane.holder] += 1
        self.stall(call)

    def leave(self, call: Call) -> None:
        """Count a call no longer, because it has returned."""
        del self.running[call]
        if call.lost:
            _less(self.lost, call.lane.holder)
        self.stall(call)
        _less(self.kinds, call.lane.kind)
        _less(self.owners, call.lane.owner)


class Threads:
    """The threads of one pool. Every method may be called from any thread."""

    def __init__(
        self, size: int, most: int, guard: Callable[[Callable[[], Any]], Any], farewell: Callable[[], None]
    ) -> None:
        """Start no thread yet.

        Args:
            size: the threads for calls that return soon.
            most: the most threads, those with stalled calls included.
            guard: runs the function of a call, in its thread.
            farewell: what a thread does last.
        """
        self._size = size
        self._load = _Load(size, max(size, most))
        self._guard = guard
        self._farewell = farewell
        self._lock = threading.Lock()
        self._waiting = _Waiting()
        self._idle: list[_Worker] = []
        self._alive = 0
        self._closed = False
        self._next_look = 0.0
        self._on_empty: Callable[[], None] | None = None

    @property
    def lost(self) -> int:
        """How many calls were given up and have not returned."""
        return self._load.lost.total()

    def submit(self, call: Call) -> None:
        """Start a call, or let it wait for a thread.

        Raises:
            RuntimeError: the pool is closed.
            Busy: the call can neither begin nor wait.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("the thread pool is closed")
            if call.lane.holder is not None and call.lane.holder in self._load.lost:
                raise Busy("a former hook of this connection hangs")
            if self._load.rank(call.lane.kind) is not None and self._load.may(call.lane.owner) and self._begin(call):
                return
            self._queue(call)
            now = monotonic()
            # The loop of the call that was to look may have ended meanwhile.
            looks = now < self._next_look + 1.0
            if not looks:
                self._next_look = now + PATIENCE
        if not looks:
            call.loop.call_later(PATIENCE, self._look, call.loop)

    def give_up(self, call: Call) -> bool | None:
        """Give up a call that has taken too long.

        Returns True for a call that runs, False for one that has not begun and will not, None for one that is over.
        """
        with self._lock:
            if self._waiting.remove(call):
                return False
            if call not in self._load.running:
                return None
            self._load.lose(call)
            self._begin_waiting()
            return True

    def withdraw(self, call: Call) -> bool:
        """Drop a call that waits, because its caller has gone. A call that runs goes on, and the answer is False."""
        with self._lock:
            return self._waiting.remove(call)

    def close(self, on_empty: Callable[[], None]) -> list[Call]:
        """Take no more calls, and end each thread after its call. Returns the calls that waited. Idempotent.

        Args:
            on_empty: called once when the last thread has ended, in that thread; at once when there is none.
        """
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            self._on_empty = on_empty
            empty = self._alive == 0
            waiting = self._waiting.clear()
        for worker in idle:
            worker.give(None)
        if empty:
            on_empty()
        return waiting

    def _queue(self, call: Call) -> None:
        waiting, (kind, owner, _holder) = self._waiting, call.lane
        crowded = waiting.kinds[kind] >= QUEUE // 2 or (owner and waiting.owners[owner] >= QUEUE // 2)
        if crowded or waiting.size >= QUEUE:
            raise Busy("too many hooks wait for a thread")
        waiting.push(call)

    def _begin(self, call: Call) -> bool:
        """Give the call a thread. Returns False when the system has no more threads.

        Raises:
            Busy: the system has no thread at all.
        """
        worker = self._idle.pop() if self._idle else self._new_worker()
        if worker is None:
            return False
        self._load.enter(call)
        worker.give(call)
        return True

    def _new_worker(self) -> _Worker | None:
        worker = _Worker()
        try:
            threading.Thread(target=self._serve, args=(worker,), name=THREAD_NAME, daemon=True).start()
        except RuntimeError:
            if self._alive == 0:
                raise Busy("the system has no thread for it") from None
            return None
        self._alive += 1
        return worker

    def _serve(self, worker: _Worker) -> None:
        while (call := worker.take()) is not None:
            outcome = call.perform(self._guard)
            # The thread is free before the caller goes on, so the caller's next call finds it free.
            self._finish(worker, call)
            call.post(outcome)
            del call, outcome
        try:
            self._farewell()
        finally:
            with self._lock:
                self._alive -= 1
                on_empty = self._on_empty if self._closed and self._alive == 0 else None
            if on_empty is not None:
                on_empty()

    def _finish(self, worker: _Worker, call: Call) -> None:
        """Note that a call has returned, and give its thread the next one."""
        with self._lock:
            self._load.leave(call)
            following = None if self._closed else self._waiting.pop(self._load.rank, self._load.may)
            if following is not None:
                self._load.enter(following)
                worker.give(following)
            elif self._closed or len(self._idle) + self._load.prompt >= self._size:
                # The thread was started in the place of a stalled one, which has returned.
                worker.give(None)
            else:
                self._idle.append(worker)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Find stalled calls, and start what may begin in their place. Repeated while a call waits."""
        with self._lock:
            now = monotonic()
            spares = max(0, self._alive - self._size)
            patience = min(_LONGEST_PATIENCE, PATIENCE * 2 ** (spares // self._size))
            for call in self._load.running:
                if now - call.began >= patience:
                    self._load.stall(call)
            self._begin_waiting()
            again = self._waiting.size > 0
            self._next_look = now + PATIENCE if again else 0.0
        if again:
            loop.call_later(PATIENCE, self._look, loop)

    def _begin_waiting(self) -> None:
        while (call := self._waiting.pop(self._load.rank, self._load.may)) is not None:
            if not self._begin(call):
                self._waiting.push(call)
                return
