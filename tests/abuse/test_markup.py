"""reliability.md §4 D2, the part of the server: rendering takes time in proportion to the text, on any input."""

import time

import pytest

from clubhouse.chat.markup import render

PATTERNS = ("[", "*", "[a](", "`", "<", "> ", "*a_", "![", "https://", "~~", "- ", "a\n", "[a](b) ", "**a** ")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_d2_the_worst_text_is_rendered_in_linear_time(pattern: str) -> None:
    """Twice the text may take about twice the time; a quadratic parser takes four times. The absolute bound is wide
    because processor time, too, depends on what else the machine does."""
    half, whole = (_fastest(pattern * (length // len(pattern))) for length in (5_000, 10_000))
    assert whole < 3 * half + 0.005
    assert whole < 0.25


def _fastest(text: str) -> float:
    taken = []
    for _ in range(5):
        started = time.process_time()
        render(text)
        taken.append(time.process_time() - started)
    return min(taken)
