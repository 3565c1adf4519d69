"""Differences: small, exact, and understood by the decoders of both SDKs."""

import contextlib
import json
import random
import subprocess
import time
from pathlib import Path

import pytest
from centrifuge.fossil import apply_delta as apply_in_pypi_sdk
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hotclub.engine.protocol.fossil import apply_delta, create_delta
from tests.support.npm import node_command

ROOT = Path(__file__).parents[3]
BLOCKS = st.sampled_from(
    [b"a" * 16, b"0123456789abcdef", "一二三四五六七八".encode(), b"xy", b"", bytes(range(200, 232))]
)
pieces = st.lists(BLOCKS | st.binary(max_size=24), max_size=12).map(b"".join)
chinese = st.lists(st.sampled_from("的一是不了人我在有他这中大来上国𠀀é,"), max_size=120).map("".join)


def edited(text: str, edits: list[tuple[int, int, str]]) -> str:
    """The text with (place, characters removed, text inserted) done to it one after the other."""
    for place, removed, inserted in edits:
        at = place % (len(text) + 1)
        text = text[:at] + inserted + text[at + removed :]
    return text


def document(size: int, seed: int = 1) -> bytes:
    """Words in random order, Chinese ones among them."""
    source = random.Random(seed)
    words = [f"{source.getrandbits(40):x}" for _ in range(300)] + ["".join(source.choices("的一是不了人我在", k=4))]
    return " ".join(source.choices(words, k=size // 8)).encode()[:size].decode(errors="ignore").encode()


@settings(deadline=None)
@given(pieces, pieces)
@example(b"", b"")
@example(b"", b"x" * 100)
@example(b"x" * 100, b"")
@example(b"x" * 100, b"x" * 100)
@example(b"ab" * 400, b"ba" * 401)
def test_a_patch_makes_the_target(base: bytes, target: bytes) -> None:
    patch = create_delta(base, target)
    if patch is not None:
        assert len(patch) < len(target)
        assert apply_delta(base, patch) == target
        assert bytes(apply_in_pypi_sdk(base, patch)) == target


edits = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 5), chinese.map(lambda text: text[:4])), max_size=5)


@settings(deadline=None)
@given(chinese, edits)
def test_a_patch_of_text_is_text(text: str, changes: list[tuple[int, int, str]]) -> None:
    base, target = text.encode(), edited(text, changes).encode()
    patch = create_delta(base, target)
    if patch is not None:
        assert apply_delta(base, patch.decode().encode()) == target


def test_characters_that_share_their_first_bytes_are_not_cut() -> None:
    base, target = ("一" * 40 + "丁" + "一" * 40).encode(), ("一" * 40 + "七" + "一" * 40).encode()
    patch = create_delta(base, target)
    assert patch is not None
    assert "七" in patch.decode()
    assert len(patch) < 40


def test_the_format_to_the_byte() -> None:
    assert create_delta(b"The quick brown fox jumps over it", b"The quick brown cat jumps over it") == (
        b"X\nG@0,3:catE@J,2vsm24;"
    )


def test_moved_text_is_found() -> None:
    base = document(20_000)
    patch = create_delta(base, base[12_000:] + b"new" + base[:12_000])
    assert patch is not None
    assert len(patch) < 60


def test_what_has_nothing_in_common_has_no_patch() -> None:
    assert create_delta(b"a" * 1_000, random.Random(1).randbytes(1_000)) is None
    assert create_delta(b"abc", b"") is None


def test_a_document_that_is_edited_for_long_costs_a_fraction() -> None:
    source = random.Random(7)
    text, sent, whole = document(16_384).decode(), 0, 0
    for number in range(500):
        base = text.encode()
        text = edited(text, [(source.randrange(len(text)), source.randrange(8), f"编辑{number}")])
        patch = create_delta(base, text.encode())
        assert patch is not None
        assert apply_delta(base, patch) == text.encode()
        sent, whole = sent + len(patch), whole + len(base)
    assert sent < whole / 50


def test_large_documents_are_quick() -> None:
    base = document(65_536)
    target = base[:30_000] + b"hello" + base[30_003:50_000] + b"!" + base[50_000:]
    assert _seconds(base, target) < 0.010
    assert _seconds(base, random.Random(1).randbytes(65_536)) < 0.030
    assert _seconds(b"a" * 65_536, (b"a" * 40 + b"b") * 1_598) < 0.100


def _seconds(base: bytes, target: bytes) -> float:
    """The shortest of five runs, in processor time: the others were disturbed."""
    times = []
    for _ in range(5):
        start = time.process_time()
        create_delta(base, target)
        times.append(time.process_time() - start)
    return min(times)


@pytest.mark.parametrize(
    "patch",
    [
        b"",
        b"1",
        b"1\n",
        b"\n",
        b"1\n1",
        b"1\n1:",
        b"1\n2:ab0;",
        b"1\n1@0",
        b"1\n1@9,0;",
        b"1\n1:a0;",
        b"1\n1:a1X0000;x",
        b"2\n1:a1X0000;",
        b"1\n1?a",
        b"~~~~~~~~~~~~~~~~~~\n",
        b"1\n:a",
        b"0\n0",
    ],
)
def test_a_broken_patch_is_refused(patch: bytes) -> None:
    with pytest.raises(ValueError):
        apply_delta(b"base", patch)


@given(pieces, st.binary(max_size=60))
def test_no_bytes_escape_as_another_error(base: bytes, patch: bytes) -> None:
    with contextlib.suppress(ValueError):
        apply_delta(base, patch)


JAVASCRIPT = """
const { Centrifuge } = require('centrifuge');
const codec = new Centrifuge('ws://localhost/')._codec;
const pairs = JSON.parse(require('fs').readFileSync(0));
const apply = ([base, patch]) => codec.applyDeltaIfNeeded({ data: patch, delta: true }, new TextEncoder().encode(base));
console.log(JSON.stringify(pairs.map((pair) => apply(pair).newData)));
"""


def test_the_npm_sdk_applies_the_patches() -> None:
    source = random.Random(3)
    pairs, targets = [], []
    for number in range(40):
        text = document(400 * (number + 1), number).decode()
        change = edited(text, [(source.randrange(len(text)), source.randrange(9), "的𠀀é") for _ in range(number % 6)])
        base, target = (json.dumps({"text": part}, ensure_ascii=False) for part in (text, change))
        patch = create_delta(base.encode(), target.encode())
        assert patch is not None
        pairs.append([base, patch.decode()])
        targets.append({"text": change})
    done = subprocess.run(
        [*node_command(), "-e", JAVASCRIPT],
        input=json.dumps(pairs),
        capture_output=True,
        check=True,
        cwd=ROOT,
        text=True,
        timeout=60,
    )
    assert json.loads(done.stdout) == targets
