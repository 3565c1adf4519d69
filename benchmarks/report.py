"""The results as tables of medians for people, and as JSON with every measurement."""

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.payload import SIZE
from benchmarks.peers import Peer
from benchmarks.runner import FAN_OUT_SCENARIOS, IDLE, IDLE_SCENARIOS, IDLE_SIGNED_IN, RETURNING, Entry, Results
from benchmarks.scenarios import FanOut, Idle, Plan, Returning

_REFERENCE: Final = "channels"
_PACKAGES: Final = ("Django", "uvicorn", "uvloop", "websockets", "channels")

Row = tuple[str, ...]


def machine() -> dict[str, Any]:
    """Return what the figures depend on beside the code: processor, kernel and versions."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{package.lower(): version(package) for package in _PACKAGES},
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def as_json(results: Results, plan: Plan) -> dict[str, Any]:
    """Return the plan, the machine and every measurement."""
    return {
        "machine": machine(),
        "plan": asdict(plan),
        "payload_bytes": SIZE,
        "repetitions": results.repetitions,
        "measurements": [
            {"scenario": scenario, "peer": peer, **asdict(entry)}
            for (scenario, peer), entries in results.entries.items()
            for entry in entries
        ],
    }


def as_text(results: Results, peers: Sequence[Peer], plan: Plan) -> str:
    """Return a table per scenario: medians, and how many times less than Channels they are in this run."""
    lines = [
        " · ".join(f"{key} {value}" for key, value in machine().items()),
        f"{SIZE}-byte JSON payload, one server process each; fan-out: medians of {results.repetitions} repetition(s)",
    ]
    for scenario in (*IDLE_SCENARIOS, RETURNING, *FAN_OUT_SCENARIOS):
        head, make = _TABLES.get(scenario, (_FAN_OUT_HEAD, _fan_out_rows))
        rows = list(make(results, peers, scenario))
        if rows:
            lines += ["", _title(scenario, plan), *_aligned([head, *rows])]
    return "\n".join([*lines, "", *_notes(plan)])


def _title(scenario: str, plan: Plan) -> str:
    if scenario == IDLE:
        return f"{plan.connections:,} connections, idle"
    if scenario == IDLE_SIGNED_IN:
        return f"{plan.signed_in:,} connections, idle, each of a signed-in user"
    if scenario == RETURNING:
        return f"{plan.returning:,} clients that come back at the same time and obey the server"
    return f"{plan.subscribers:,} subscribers, {scenario.replace('many', str(plan.window))}"


def _notes(plan: Plan) -> list[str]:
    return [
        "µs/delivery: processor time of the server, user and system, per publication and subscriber.",
        f"undelivered: not there after {plan.patience:g} s of waiting, in all repetitions.",
        "closed: connections that the server ended.",
        "all, p50, p99: seconds until so many of a returning crowd were subscribed; no hint: refusals without a time.",
        f"less: how many times less than {_REFERENCE} in this run.",
    ]


_IDLE_HEAD: Final[Row] = ("peer", "KiB/conn", "less", "connects/s", "µs/connect", "undelivered", "closed")


def _idle_rows(results: Results, peers: Iterable[Peer], scenario: str) -> Iterable[Row]:
    reference = _median(results, scenario, _REFERENCE, "rss")
    for peer in peers:
        entries = [entry for entry in results.entries.get((scenario, peer.name), []) if isinstance(entry, Idle)]
        if not entries:
            continue
        rss = median(entry.rss for entry in entries)
        yield (
            peer.title,
            f"{rss:.1f}",
            _less(reference, rss),
            f"{median(entry.connects_per_second for entry in entries):,.0f}",
            f"{median(entry.connect_cpu_us for entry in entries):,.0f}",
            _lost(entries) if all(entry.checked for entry in entries) else "not checked",
            _closed(entries),
        )


_RETURNING_HEAD: Final[Row] = (
    *("peer", "all s", "p50 s", "p99 s", "refusals", "no hint", "µs/connect", "first ms", "undelivered", "closed"),
)


def _returning_rows(results: Results, peers: Iterable[Peer], scenario: str) -> Iterable[Row]:
    for peer in peers:
        for entry in results.entries.get((scenario, peer.name), []):
            if isinstance(entry, Returning):
                yield (
                    *(peer.title, f"{entry.seconds:.1f}", f"{entry.p50:.1f}", f"{entry.p99:.1f}"),
                    *(f"{entry.refusals:,}", f"{entry.without_hint:,}", f"{entry.connect_cpu_us:,.0f}"),
                    *(f"{entry.first_ms:,.0f}", _lost([entry]), _closed([entry])),
                )


_FAN_OUT_HEAD: Final[Row] = ("peer", "µs/delivery", "less", "deliveries/s", "p50 ms", "p99 ms", "undelivered", "closed")


def _fan_out_rows(results: Results, peers: Iterable[Peer], scenario: str) -> Iterable[Row]:
    reference = _median(results, scenario, _REFERENCE, "cpu_us")
    for peer in peers:
        entries = [entry for entry in results.entries.get((scenario, peer.name), []) if isinstance(entry, FanOut)]
        if not entries:
            continue
        cpu = median(entry.cpu_us for entry in entries)
        yield (
            peer.title,
            f"{cpu:.2f}",
            _less(reference, cpu),
            f"{median(entry.deliveries_per_second for entry in entries):,.0f}",
            _milliseconds(entry.p50_ms for entry in entries),
            _milliseconds(entry.p99_ms for entry in entries),
            _lost(entries),
            _closed(entries),
        )


def _median(results: Results, scenario: str, peer: str, field: str) -> float | None:
    entries = results.entries.get((scenario, peer))
    return median(getattr(entry, field) for entry in entries) if entries else None


def _less(reference: float | None, value: float) -> str:
    if reference is None or value <= 0:
        return "-"
    return f"{reference / value:.{1 if reference < 10 * value else 0}f}x"


def _milliseconds(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{median(known):.1f}" if known else "-"


def _lost(entries: Sequence[Entry]) -> str:
    wrong = sum(entry.losses.duplicates + entry.losses.reordered for entry in entries)
    lost = f"{sum(entry.losses.lost for entry in entries):,}"
    return f"{lost} (+{wrong:,} doubled or late)" if wrong else lost


def _closed(entries: Sequence[Entry]) -> str:
    return f"{sum(sum(entry.losses.closed.values()) for entry in entries):,}"


def _aligned(rows: Sequence[Row]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


_TABLES: Final = {
    **dict.fromkeys(IDLE_SCENARIOS, (_IDLE_HEAD, _idle_rows)),
    RETURNING: (_RETURNING_HEAD, _returning_rows),
}
"""The head of a scenario's table, and the function that gives its rows. The other scenarios are fan-outs."""
