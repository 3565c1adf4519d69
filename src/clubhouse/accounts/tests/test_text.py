"""Names on one visible line."""

import pytest

from clubhouse.accounts.text import clean_line


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("Alice", "Alice"),
        ("  Django \t Reinhardt\n", "Django Reinhardt"),
        ("王 小明", "王 小明"),
        ("王　小明", "王 小明"),
        ("a\u202eb\u2066c\u200bd\u0000e\ufeff", "abcde"),
        ("e\u0301", "é"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("\u200d", ""),
        ("\ud800x", "x"),
        ("<b>", "<b>"),
    ],
)
def test_only_what_can_be_seen_is_kept(typed: str, shown: str) -> None:
    assert clean_line(typed) == shown
