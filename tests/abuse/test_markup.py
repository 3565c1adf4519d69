"""reliability.md §4 D2, the part of the server: rendering takes bounded time on any input."""

import time

from clubhouse.chat.markup import render


def test_d2_rendering_is_quick_on_any_input() -> None:
    """At most 50 ms for 10 KB; the fastest of five, since the machine may be busy with other things."""
    for text in ("[" * 10_000, "*" * 10_000, "[a](" * 2_500, "`" * 10_000, "<" * 10_000, "> " * 5_000, "*a_" * 3_333,
                 "![" * 5_000, "https://" * 1_250, "~~" * 5_000, "- " * 5_000, "a\n" * 5_000):  # fmt: skip
        taken = []
        for _ in range(5):
            started = time.perf_counter()
            render(text)
            taken.append(time.perf_counter() - started)
        assert min(taken) < 0.05, text[:10]
