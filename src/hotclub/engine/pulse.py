"""When to ping whom, and who has not answered. Pure: the caller brings the time (seconds, monotonic)."""

import heapq
from itertools import count
from typing import Generic, TypeVar

Peer = TypeVar("Peer")


class Pulse(Generic[Peer]):
    """Pings at a fixed interval per peer, whatever else it is sent (protocol §5), and a deadline for the answer."""

    __slots__ = ("_awaiting", "_due", "_interval", "_peers", "_sequence", "_timeout")

    def __init__(self, interval: float, timeout: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._peers: dict[Peer, tuple[int, bool]] = {}
        # Peers that left stay in the heap until their turn comes; the number tells them from a peer that came back.
        self._due: list[tuple[float, int, Peer]] = []
        self._awaiting: dict[Peer, float] = {}
        self._sequence = count(1)

    def __len__(self) -> int:
        return len(self._peers)

    def add(self, peer: Peer, now: float, phase: float, *, answers: bool = True) -> None:
        """Begin. `phase` (0 to 1) spreads the first ping between half an interval and a whole one. A peer that does
        not answer has no deadline."""
        number = next(self._sequence)
        self._peers[peer] = (number, answers)
        heapq.heappush(self._due, (now + self._interval * (0.5 + phase / 2), number, peer))

    def remove(self, peer: Peer) -> None:
        """End. Idempotent."""
        self._peers.pop(peer, None)
        self._awaiting.pop(peer, None)

    def pong(self, peer: Peer) -> bool:
        """The peer has answered. False when there was nothing to answer."""
        return self._awaiting.pop(peer, None) is not None

    def tick(self, now: float) -> tuple[list[Peer], list[Peer]]:
        """Who is to be pinged now, and who has let the last ping's deadline pass."""
        overdue = [peer for peer, deadline in self._awaiting.items() if deadline <= now]
        due = []
        while self._due and self._due[0][0] <= now:
            _, number, peer = heapq.heappop(self._due)
            current, answers = self._peers.get(peer, (0, False))
            if current != number:
                continue
            due.append(peer)
            if answers:
                self._awaiting.setdefault(peer, now + self._timeout)
            heapq.heappush(self._due, (now + self._interval, number, peer))
        return due, overdue
