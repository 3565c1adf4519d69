"""A mutational fuzzer: inputs made from those that got somewhere before.

It knows nothing of coverage. What it learns from is the outcome: an input whose outcome is new joins the seeds.
"""

import random
from collections.abc import Callable, Hashable, Sequence
from typing import Final

LONGEST: Final = 70_000
_MOST_SEEDS: Final = 5_000
"""More would be the fuzzer's own memory, in which a target's could not be seen."""
_INTERESTING: Final = (
    *(b"", b"\x00", b"\xff", b"\x7f", b"\x80", b"\n", b"\r\n", b'"', b"\\", b"{", b"}", b"[", b"]", b":", b",", b"."),
    *(b"\xed\xa0\x80", b"\xf0\x9f\x8e\xb8", b"\xc0\xaf", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\\ud800", b"\\u0000"),
    *(b"-1", b"0", b"-0", b"1e999", b"NaN", b"null", b"true", b"9007199254740993", b"18446744073709551616"),
    *(
        b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
        b"\xff\xff\xff\xff\x0f",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    ),
)


class Mutator:
    """Makes inputs; the same seed makes the same ones as long as their outcomes are the same."""

    def __init__(self, seeds: Sequence[bytes], words: Sequence[bytes], seed: int) -> None:
        """`words` are what the format is made of."""
        self._random = random.Random(seed)
        self._seeds = [*seeds] or [b""]
        self._words = [*words, *_INTERESTING]
        self._outcomes: set[Hashable] = set()
        self._ways: list[Callable[[bytes], bytes]] = [
            self._flip,
            self._put,
            self._put,
            self._cut,
            self._repeat,
            self._join,
            self._swap,
        ]

    def next(self) -> bytes:
        """The next input."""
        made = self._random.choice(self._seeds)
        for _ in range(self._random.choice((1, 1, 1, 2, 3, 6))):
            made = self._random.choice(self._ways)(made)
        return made[:LONGEST]

    def learn(self, tried: bytes, outcome: Hashable) -> None:
        """Tell what became of an input."""
        if len(self._seeds) < _MOST_SEEDS and outcome not in self._outcomes and len(tried) <= 4_096:
            self._outcomes.add(outcome)
            self._seeds.append(tried)

    def _place(self, data: bytes) -> int:
        return self._random.randrange(len(data) + 1)

    def _flip(self, data: bytes) -> bytes:
        if not data:
            return data
        at = self._random.randrange(len(data))
        return data[:at] + bytes((data[at] ^ 1 << self._random.randrange(8),)) + data[at + 1 :]

    def _put(self, data: bytes) -> bytes:
        at, word = self._place(data), self._random.choice(self._words)
        over = self._random.choice((0, 0, len(word), self._random.randrange(9)))
        return data[:at] + word + data[at + over :]

    def _cut(self, data: bytes) -> bytes:
        start, stop = sorted((self._place(data), self._place(data)))
        return data[:start] + data[stop:]

    def _repeat(self, data: bytes) -> bytes:
        start, stop = sorted((self._place(data), self._place(data)))
        times = min(self._random.choice((2, 3, 17, 300, 20_000)), LONGEST // max(1, stop - start))
        return data[:start] + data[start:stop] * times + data[stop:]

    def _join(self, data: bytes) -> bytes:
        other = self._random.choice(self._seeds)
        return data[: self._place(data)] + other[self._place(other) :]

    def _swap(self, data: bytes) -> bytes:
        one, two, three = sorted(self._place(data) for _ in range(3))
        return data[:one] + data[two:three] + data[one:two] + data[three:]
