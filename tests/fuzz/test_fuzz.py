"""Fuzzing (`make fuzz` for ten minutes, a minute of it in the gate), and what it has found before.

An input that breaks a promise is saved under `corpus/`, where every run tries it again. Promises: nothing escapes but
the errors that a target documents; what it accepts holds what it says; and time and memory are bounded.
"""

import hashlib
import os
import resource
import time
from collections.abc import Hashable
from pathlib import Path
from typing import Final

import pytest

from tests.fuzz.mutator import LONGEST, Mutator
from tests.fuzz.targets import TARGETS, Target

SECONDS: Final = float(os.environ.get("FUZZ_SECONDS", "60"))
SEED: Final = int(os.environ.get("FUZZ_SEED", "0"))
CORPUS: Final = Path(__file__).parent / "corpus"
MOST_SECONDS: Final = 0.5
"""Of processor time for one input of the largest size; a frame is rarely a tenth of it."""
MOST_BYTES: Final = 64 * 2**20
"""What a whole run may add to the memory of the process."""


def attempt(target: Target, data: bytes) -> Hashable:
    """What becomes of one input; anything undocumented is raised."""
    began = time.thread_time()
    outcome: Hashable
    try:
        outcome = target.run(data)
    except target.errors as error:
        outcome = str(error)[:60]
    taken = time.thread_time() - began
    assert taken < MOST_SECONDS, f"{len(data)} bytes took {taken:.2f} s"
    return outcome


def memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.timeout(SECONDS + 100)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_nothing_undocumented_escapes(target: Target) -> None:
    mutator = Mutator(target.seeds, target.words, SEED)
    attempt(target, b"x" * LONGEST)
    before, until, tried = memory(), time.monotonic() + SECONDS / len(TARGETS), 0
    while time.monotonic() < until:
        data = mutator.next()
        try:
            mutator.learn(data, attempt(target, data))
        except BaseException as error:
            path = CORPUS / target.name / hashlib.sha256(data).hexdigest()[:16]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            error.add_note(f"saved as {path.relative_to(CORPUS.parent)}, after {tried} inputs of FUZZ_SEED={SEED}")
            raise
        tried += 1
    assert tried > 100, "hardly anything was tried"
    assert memory() - before < MOST_BYTES


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_what_was_found_before_stays_mended(target: Target) -> None:
    for path in sorted((CORPUS / target.name).glob("*")):
        attempt(target, path.read_bytes())


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_seed_is_a_good_input_and_seeds_differ(target: Target) -> None:
    outcomes = [attempt(target, seed) for seed in target.seeds]
    assert len(set(target.seeds)) == len(outcomes)


def test_a_broken_promise_is_found_and_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fragile(data: bytes) -> int:
        if b"{{" in data:
            raise KeyError("found")
        return len(data) > 3

    monkeypatch.setattr("tests.fuzz.test_fuzz.CORPUS", tmp_path)
    with pytest.raises(KeyError):
        test_nothing_undocumented_escapes(Target("fragile", fragile, (ValueError,), [b"{}"]))
    (saved,) = (tmp_path / "fragile").iterdir()
    assert b"{{" in saved.read_bytes()


def test_the_corpus_belongs_to_targets() -> None:
    assert {path.name for path in CORPUS.iterdir() if path.is_dir()} <= {target.name for target in TARGETS}
