"""A tiny run of the benchmark works, and what it would report of a server that loses something is that."""

import dataclasses
import json
import resource
from pathlib import Path

import pytest

from benchmarks import __main__ as program
from benchmarks.payload import SEQUENCE, SIZE, text
from benchmarks.peers import HOTCLUB_SERVE, PEERS
from benchmarks.scenarios import FanOut, Plan, measure_fan_out
from benchmarks.server import PeerFailed, running

TINY = ["--connections", "50", "--subscribers", "50", "--messages", "20", "--repetitions", "1", "--seconds", "30"]
FAULTY = dataclasses.replace(
    HOTCLUB_SERVE,
    settings="tests.benchmarks.faulty_site.settings",
    command=lambda port: ["-m", "django", "hotclub_serve", "--port", str(port)],
)
PLAN = Plan(subscribers=10, messages=20, window=10, patience=1.0)


@pytest.mark.slow
def test_a_tiny_run_measures_every_peer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = program.main([*TINY, "--signed-in", "20", "--returning", "30", "--output", str(tmp_path)])
    output = capsys.readouterr().out
    assert status == 0, output
    assert "Hotclub lost nothing" in output
    for peer in PEERS.values():
        assert output.count(f"\n{peer.title}  ") == 7, output

    (path,) = tmp_path.iterdir()
    measurements = json.loads(path.read_text())["measurements"]
    assert len(measurements) == 7 * len(PEERS)
    for entry in measurements:
        assert entry["losses"] == {"lost": 0, "duplicates": 0, "reordered": 0, "closed": {}, "refused": []}
        if "messages" in entry:
            assert entry["messages"] >= 20
            assert entry["deliveries"] == entry["messages"] * 50
        elif "refusals" in entry:
            assert (entry["connections"], entry["without_hint"]) == (30, 0)
            assert 0 < entry["p50"] <= entry["p99"] <= entry["seconds"]
        else:
            assert entry["rss"] > 0


async def measured_with(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_flight: int) -> FanOut:
    monkeypatch.setenv("BENCHMARK_FAULT", fault)
    async with running(FAULTY, tmp_path) as server:
        return await measure_fan_out(server, FAULTY, PLAN, "client", in_flight)


@pytest.mark.parametrize("in_flight", [1, 10])
async def test_a_lost_publication_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_flight: int) -> None:
    entry = await measured_with("lose", tmp_path, monkeypatch, in_flight)
    assert entry.losses.lost >= PLAN.subscribers
    assert entry.losses


async def test_a_doubled_publication_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = await measured_with("double", tmp_path, monkeypatch, 1)
    assert entry.losses.duplicates >= 10
    assert entry.losses


async def test_a_refused_publication_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = await measured_with("refuse", tmp_path, monkeypatch, 1)
    assert "never a seven" in entry.losses.refused[0]


async def test_a_lost_connection_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = await measured_with("disconnect", tmp_path, monkeypatch, 1)
    assert entry.losses.closed == {4100: 1}


def test_a_loss_fails_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BENCHMARK_FAULT", "lose")
    monkeypatch.setitem(PEERS, "hotclub", FAULTY)
    options = [
        "--peers",
        "hotclub",
        "--signed-in",
        "0",
        "--returning",
        "0",
        "--patience",
        "0.5",
        "--output",
        str(tmp_path),
    ]
    assert program.main([*TINY, *options]) == program.EXIT_LOST
    captured = capsys.readouterr()
    assert "LOST: hotclub, one in flight, client publishes" in captured.err
    assert "lost nothing" not in captured.out


async def test_a_server_that_does_not_start_shows_its_log(tmp_path: Path) -> None:
    broken = dataclasses.replace(FAULTY, command=lambda _port: ["-c", "raise SystemExit('out of coffee')"])
    with pytest.raises(PeerFailed, match="out of coffee"):
        async with running(broken, tmp_path):
            pytest.fail("it has started")


def test_a_low_hard_limit_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (1_024, 4_096))
    assert program.main(["--connections", "5000"]) == program.EXIT_UNABLE
    assert "the hard limit is 4096" in capsys.readouterr().err


def test_a_soft_limit_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (1_024, 20_000))
    monkeypatch.setattr(resource, "setrlimit", lambda _which, limits: raised.append(limits))
    program.raise_file_limit(5_200)
    assert raised == [(5_200, 20_000)]


def test_the_payload_is_as_large_as_stated() -> None:
    assert len(text(12)) == SIZE
    assert SEQUENCE.findall(text(12)) == [b"0000000012"]
