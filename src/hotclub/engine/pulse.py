"""When each peer is to be pinged, and which have not answered. Pure: the caller brings the time (monotonic seconds)."""

import heapq
from itertools import count, islice, takewhile
from typing import Final, Generic, TypeVar

Peer = TypeVar("Peer")
_SPARE: Final = 64
"""How many entries of peers that left may stay in the heap, beside as many as there are peers twice."""


class Pulse(Generic[Peer]):
    """Pings at a fixed interval per peer, whatever else it is sent (protocol §5), and a deadline for each answer.

    A peer that cannot answer is pinged twice as often: only its transport notices that the peer has gone, and later.
    """

    __slots__ = ("_awaiting", "_due", "_interval", "_numbers", "_peers", "_sequence", "_timeout")

    def __init__(self, interval: float, timeout: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._numbers: dict[Peer, int] = {}
        self._peers: dict[int, tuple[Peer, float, bool]] = {}
        """By number, the peer, its interval, and whether it answers."""
        self._due: list[tuple[float, int]] = []
        """A heap of numbers. Those of peers that left stay until their turn, or until they are the most."""
        # All deadlines are equally far away, so the first one always stands first.
        self._awaiting: dict[Peer, float] = {}
        self._sequence = count(1)

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, peer: Peer, now: float, phase: float, *, answers: bool = True) -> None:
        """Begin to ping a peer.

        Args:
            peer: the peer.
            now: the time.
            phase: spreads the first ping, from half an interval (0) to a whole one (1).
            answers: whether the peer can answer; without that it has no deadline.
        """
        interval = self._interval if answers else self._interval / 2
        self.remove(peer)
        number = next(self._sequence)
        self._numbers[peer] = number
        self._peers[number] = peer, interval, answers
        heapq.heappush(self._due, (now + interval * (0.5 + phase / 2), number))

    def remove(self, peer: Peer) -> None:
        """Stop pinging a peer. Idempotent."""
        self._peers.pop(self._numbers.pop(peer, 0), None)
        self._awaiting.pop(peer, None)
        if len(self._due) > 2 * len(self._peers) + _SPARE:
            self._due = [entry for entry in self._due if entry[1] in self._peers]
            heapq.heapify(self._due)

    def pong(self, peer: Peer) -> bool:
        """Note that the peer has answered. False when there was no ping to answer."""
        return self._awaiting.pop(peer, None) is not None

    def tick(self, now: float, most: int | None = None) -> tuple[list[Peer], list[Peer]]:
        """The peers that are to be pinged now, and the peers that have let the deadline of a ping pass, each once.

        Args:
            now: the time.
            most: the most peers of either kind; None for all. What is left comes with the next call.
        """
        overdue = [peer for peer, _ in islice(takewhile(lambda entry: entry[1] <= now, self._awaiting.items()), most)]
        for peer in overdue:
            del self._awaiting[peer]
        due: list[Peer] = []
        while self._due and self._due[0][0] <= now and len(due) != most:
            number = self._due[0][1]
            if number not in self._peers:
                heapq.heappop(self._due)
                continue
            peer, interval, answers = self._peers[number]
            due.append(peer)
            if answers:
                self._awaiting.setdefault(peer, now + self._timeout)
            heapq.heapreplace(self._due, (now + interval, number))
        return due, overdue
