"""When each peer is to be pinged, and which have not answered. Pure: the caller brings the time (monotonic seconds)."""

import heapq
from itertools import count
from typing import Generic, TypeVar

Peer = TypeVar("Peer")


class Pulse(Generic[Peer]):
    """Pings at a fixed interval per peer, whatever else it is sent (protocol §5), and a deadline for each answer."""

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
        """Begin to ping a peer.

        Args:
            peer: the peer.
            now: the time.
            phase: spreads the first ping, from half an interval (0) to a whole one (1).
            answers: whether the peer can answer; without that it has no deadline.
        """
        number = next(self._sequence)
        self._peers[peer] = (number, answers)
        heapq.heappush(self._due, (now + self._interval * (0.5 + phase / 2), number, peer))

    def remove(self, peer: Peer) -> None:
        """Stop pinging a peer. Idempotent."""
        self._peers.pop(peer, None)
        self._awaiting.pop(peer, None)

    def pong(self, peer: Peer) -> bool:
        """Note that the peer has answered. False when there was no ping to answer."""
        return self._awaiting.pop(peer, None) is not None

    def tick(self, now: float) -> tuple[list[Peer], list[Peer]]:
        """The peers that are to be pinged now, and the peers that have let the deadline of a ping pass."""
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
