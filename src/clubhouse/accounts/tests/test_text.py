"""Names on one visible line."""

import pytest

from clubhouse.accounts.text import clean_line, is_blank, without_ignorable


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
        ("❤\ufe0f!", "❤\ufe0f!"),
        ("a\u3164b\u115fc\u034fd\uffa0e", "abcde"),
        ("a\u2800b", "a b"),
        ("a \u200b b", "a b"),
        ("\u3164", ""),
        ("\u2800 \u3000", ""),
        ("\u115f\u1160\u034f", ""),
        ("\ufe0f", ""),
        ("\u0301", ""),
        ("\U000e0041\U0001d159", ""),
    ],
)
def test_only_what_can_be_seen_is_kept(typed: str, shown: str) -> None:
    assert clean_line(typed) == shown


def test_every_ignorable_character_is_nothing() -> None:
    ranges = [
        (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
        (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
        (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
    ]  # fmt: skip
    characters = [chr(code) for first, last in ranges for code in range(first, last + 1)]
    assert [char for char in characters if not is_blank(char) or without_ignorable(char)] == []
    assert is_blank("".join(characters))
    assert not is_blank("".join(characters) + "x")
