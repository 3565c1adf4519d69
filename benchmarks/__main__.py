"""Measures Hotclub and its peers in one run, prints tables, and fails when Hotclub loses a message."""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import uvloop

from benchmarks.connection import Refused
from benchmarks.peers import PEERS, REFERENCES, Peer
from benchmarks.report import as_json, as_text
from benchmarks.runner import Results, Run
from benchmarks.scenarios import Plan
from benchmarks.server import ROOT, PeerFailed

_SPARE_FILES: Final = 200
"""Open files that a server needs beside its connections."""

EXIT_LOST: Final = 1
EXIT_UNABLE: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark. Return the exit status: 0, 1 when Hotclub lost a message, 2 when measuring was impossible."""
    options = _parser().parse_args(arguments)
    peers = options.peers
    plan = Plan(**{name: getattr(options, name) for name in Plan.__dataclass_fields__})
    try:
        check_proc()
        raise_file_limit(max(plan.connections, plan.subscribers, plan.signed_in, plan.returning) + _SPARE_FILES)
        with tempfile.TemporaryDirectory(prefix="hotclub-benchmark-") as data:
            run = Run(peers, plan, Path(data), _say)
            results = uvloop.run(run.repeat(options.repetitions, options.budget))
    except subprocess.CalledProcessError as problem:
        print(f"benchmark: the database cannot be made:\n{problem.stderr}", file=sys.stderr)
        return EXIT_UNABLE
    except (OSError, PeerFailed, Refused, NoProc, TooFewFiles) as problem:
        print(f"benchmark: {problem}", file=sys.stderr)
        return EXIT_UNABLE
    print(f"\n{as_text(results, peers, plan)}")
    _write(options.output, results, plan)
    return _verdict(results, peers)


class NoProc(Exception):
    """This system has no `/proc` as Linux has it, from which processor time and memory are read."""


def check_proc() -> None:
    """Check that processor time and memory can be read.

    Raises:
        NoProc: they cannot.
    """
    if not Path("/proc/self/smaps_rollup").exists():
        raise NoProc("processor time and memory are read from /proc as Linux has it, and it is not here")


class TooFewFiles(Exception):
    """The hard limit of open files, `limit`, is lower than the `needed` number."""

    def __init__(self, needed: int, limit: int) -> None:
        super().__init__(
            f"each side needs {needed} open files, and the hard limit is {limit}. "
            f"Raise it (ulimit -Hn, LimitNOFILE=, docker run --ulimit nofile={needed}) or use fewer --connections."
        )
        self.needed = needed
        self.limit = limit


def raise_file_limit(needed: int) -> None:
    """Raise the soft limit of open files for this process and the servers that it starts to at least `needed`.

    Raises:
        TooFewFiles: the hard limit is lower.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise TooFewFiles(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _parser() -> argparse.ArgumentParser:
    plan = Plan()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    number: dict[str, Any] = {"type": int, "metavar": "N"}
    parser.add_argument("--connections", default=plan.connections, help="idle connections (%(default)s)", **number)
    parser.add_argument("--signed-in", default=plan.signed_in, help="the same, signed in (%(default)s)", **number)
    parser.add_argument("--returning", default=plan.returning, help="that come at once (%(default)s)", **number)
    parser.add_argument("--subscribers", default=plan.subscribers, help="of the fan-out (%(default)s)", **number)
    parser.add_argument("--window", default=plan.window, help="messages in flight (%(default)s)", **number)
    parser.add_argument("--messages", default=plan.messages, help="most messages in a measurement", **number)
    parser.add_argument("--seconds", default=plan.seconds, type=float, help="of publishing (%(default)s)")
    parser.add_argument("--patience", default=plan.patience, type=float, help="seconds until lost (%(default)s)")
    parser.add_argument("--repetitions", default=3, help="of the fan-out (%(default)s)", **number)
    parser.add_argument("--budget", default=335.0, type=float, help="seconds for the whole run (%(default)s)")
    parser.add_argument("--peers", default=",".join(PEERS), type=_peers, help="comma-separated (%(default)s)")
    parser.add_argument("--output", default=ROOT / "bench-results", type=Path, help="folder for the JSON")
    return parser


def _peers(names: str) -> list[Peer]:
    known = PEERS | REFERENCES
    unknown = [name for name in names.split(",") if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names.split(",")]


def _say(note: str) -> None:
    print(note, flush=True)


def _write(folder: Path, results: Results, plan: Plan) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    path.write_text(json.dumps(as_json(results, plan), indent=1, ensure_ascii=False) + "\n")
    print(f"\nEvery measurement: {path}")


def _verdict(results: Results, peers: Sequence[Peer]) -> int:
    failures = results.failures(peers)
    for failure in failures:
        print(f"LOST: {failure}", file=sys.stderr)
    if not failures and any(peer.must_deliver for peer in peers):
        print("Hotclub lost nothing, doubled nothing and kept the order.")
    return EXIT_LOST if failures else 0


if __name__ == "__main__":
    sys.exit(main())
