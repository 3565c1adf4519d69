"""One run: every scenario on every peer in turn, several times, so that a busy machine disturbs all peers alike."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Final

from benchmarks.peers import HOTCLUB_SERVE, Peer
from benchmarks.scenarios import FanOut, Idle, Plan, Returning, measure_fan_out, measure_idle, measure_returning
from benchmarks.server import ROOT, Server, running

IDLE: Final = "idle"
IDLE_SIGNED_IN: Final = "idle, signed in"
RETURNING: Final = "returning crowd"
ONE_CLIENT: Final = "one in flight, client publishes"
ONE_VIEW: Final = "one in flight, view publishes"
MANY_CLIENT: Final = "many in flight, client publishes"
MANY_VIEW: Final = "many in flight, view publishes"
DJANGO_SCENARIOS: Final = (IDLE_SIGNED_IN, ONE_VIEW, MANY_VIEW)
"""What only a Django project can do."""
IDLE_SCENARIOS: Final = (IDLE, IDLE_SIGNED_IN)
Entry = Idle | FanOut | Returning
FAN_OUT_SCENARIOS: Final = (ONE_CLIENT, ONE_VIEW, MANY_CLIENT, MANY_VIEW)


@dataclass(slots=True)
class Results:
    """The measurements: for each scenario and peer, one entry per repetition."""

    repetitions: int = 0
    entries: dict[tuple[str, str], list[Entry]] = field(default_factory=dict)

    def add(self, scenario: str, peer: Peer, entry: Entry) -> None:
        """Add the measurement of one repetition."""
        self.entries.setdefault((scenario, peer.name), []).append(entry)

    def failures(self, peers: Sequence[Peer]) -> list[str]:
        """Return a sentence for each measurement in which a peer that must deliver everything did not."""
        names = {peer.name for peer in peers if peer.must_deliver}
        return [
            f"{peer}, {scenario}: {entry.losses}"
            for (scenario, peer), entries in self.entries.items()
            for entry in entries
            if peer in names and entry.losses
        ]


class Run:
    """One run of the benchmark. `data` is a scratch folder, and `say` is called with notes on the progress."""

    def __init__(self, peers: Sequence[Peer], plan: Plan, data: Path, say: Callable[[str], None]) -> None:
        self.results = Results()
        self._peers = peers
        self._plan = plan
        self._data = data
        self._say = say
        self._session_keys: list[str] = []

    async def repeat(self, repetitions: int, budget: float) -> Results:
        """Measure the connections once, because they hardly vary, and the fan-out `repetitions` times.

        A repetition after the first is left out when it would probably end more than `budget` seconds after the start.

        Raises:
            PeerFailed: a peer does not start.
            Refused: a peer refuses a connection.
        """
        started, longest = monotonic(), 0.0
        self._session_keys = make_database(self._data, self._plan.signed_in)
        await self._measure_all(IDLE_SCENARIOS if self._session_keys else (IDLE,), "memory", started)
        if self._plan.returning:
            await self._measure_all((RETURNING,), "crowd", started)
        for repetition in range(1, repetitions + 1):
            begun = monotonic()
            if repetition > 1 and begun - started + longest > budget:
                self._say(f"repetition {repetition} would take the run beyond {budget:.0f} s and is left out")
                break
            await self._measure_all(FAN_OUT_SCENARIOS, f"{repetition}/{repetitions}", started)
            longest = max(longest, monotonic() - begun)
            self.results.repetitions = repetition
        return self.results

    async def _measure_all(self, scenarios: Sequence[str], label: str, started: float) -> None:
        for scenario in scenarios:
            for peer in self._peers:
                if scenario in DJANGO_SCENARIOS and not peer.django:
                    continue
                async with running(peer, self._data) as server:
                    entry = await self._measure(scenario, server, peer)
                self.results.add(scenario, peer, entry)
                self._say(f"[{monotonic() - started:3.0f} s] {label}, {scenario}: {peer.title}")

    async def _measure(self, scenario: str, server: Server, peer: Peer) -> Entry:
        plan = self._plan
        if scenario == IDLE:
            return await measure_idle(server, peer, plan)
        if scenario == RETURNING:
            return await measure_returning(server, peer, plan)
        if scenario == IDLE_SIGNED_IN:
            return await measure_idle(server, peer, plan, self._session_keys)
        kind = "client" if scenario in (ONE_CLIENT, MANY_CLIENT) else "view"
        in_flight = 1 if scenario in (ONE_CLIENT, ONE_VIEW) else plan.window
        return await measure_fan_out(server, peer, plan, kind, in_flight)


def make_database(data: Path, sessions: int) -> list[str]:
    """Make the database that all peers share, with `sessions` logged-in users. Return their session keys."""
    environment = {**os.environ, "BENCHMARK_DATA": str(data), "DJANGO_SETTINGS_MODULE": HOTCLUB_SERVE.settings}
    command = [sys.executable, "-m", "benchmarks.projects.accounts", str(sessions)]
    return subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
