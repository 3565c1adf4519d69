"""What text is the name of a channel, and what the personal channel of a user is called."""

import unicodedata
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotclub.engine.names import LONGEST, fault, is_name, normal, personal_name

NFD = "chat:cafe\u0301"


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "chat:42",
        "#7",
        "chat:周末爬山",
        "чат:выходные",
        "غرفة:١",
        "चैट:१",
        "chat:café",
        "chat:🎉",
        "#alice@example.com",
        "#auth0|5f7c8ec7c33c6c004bbafe82",
        "#CORP\\alice",
        "a/b,c;d*e?f[g]{h}(i)<j>'k\"l`m~n!o$p%q&r+s=t^u",
        "x" * 255,
        "周" * 85,
    ],
)
def test_printable_text_is_a_name(name: str) -> None:
    assert fault(name) == ""
    assert is_name(name)
    assert normal(name) == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "not empty"),
        ("x" * 256, "at most 255 bytes of UTF-8, and this one has 256"),
        ("周" * 86, "at most 255 bytes of UTF-8, and this one has 258"),
        ("a b", "U+0020"),
        ("a\tb", "U+0009"),
        ("a\n", "U+000A"),
        ("a\x00b", "U+0000"),
        ("a\x7f", "U+007F"),
        ("a\x85b", "U+0085"),
        ("周\u3000末", "U+3000"),
        ("周\u00a0末", "U+00A0"),
        ("a\u2028b", "U+2028"),
        ("a\u200bb", "U+200B"),
        ("👨\u200d👩", "U+200D"),
        ("❤\ufe0f", "U+FE0F"),
        ("a\u202eb", "U+202E"),
        ("a\u2066b", "U+2066"),
        ("a\ufeffb", "U+FEFF"),
        ("a\u00adb", "U+00AD"),
        ("a\u3164", "U+3164"),
        ("a\u115f", "U+115F"),
        ("a\u034fb", "U+034F"),
        ("a\u2800b", "U+2800"),
        ("a\U000e0100", "U+E0100"),
        ("a\ue000", "U+E000"),
        ("a\ud83d", "U+D83D"),
        (NFD, "normal form C"),
        ("Å\u212b", "normal form C"),
    ],
)
def test_other_text_is_no_name_and_the_reason_is_given(name: str, reason: str) -> None:
    assert reason in fault(name)
    assert not is_name(name)


@given(st.text(max_size=300))
def test_the_reason_and_the_answer_agree(name: str) -> None:
    assert is_name(name) is (fault(name) == "")
    if is_name(name):
        assert name == unicodedata.normalize("NFC", name)
        assert name.isprintable()
        assert len(name.encode()) <= LONGEST


def test_the_sites_own_names_are_brought_into_normal_form() -> None:
    assert normal(NFD) == "chat:café"
    assert is_name(normal(NFD))


@pytest.mark.parametrize(
    ("user_id", "name"),
    [
        ("7", "#7"),
        ("007", "#007"),
        ("Alice", "#Alice"),
        ("alice@example.com", "#alice@example.com"),
        ("auth0|5f7c", "#auth0|5f7c"),
        ("CORP\\alice", "#CORP\\alice"),
        ("张三", "#张三"),
        (str(UUID(int=7)), f"#{UUID(int=7)}"),
        ("a/b,c#d", "#a/b,c#d"),
        ("x" * 150, "#" + "x" * 150),
        ("John Smith", "#John%20Smith"),
        ("100%", "#100%25"),
        ("a\nb", "#a%0Ab"),
        ("a\x00b", "#a%00b"),
        ("cafe\u0301", "#cafe%CC%81"),
        ("\ud83d", "#%ED%A0%BD"),
    ],
)
def test_every_user_id_has_a_personal_channel(user_id: str, name: str) -> None:
    assert personal_name(user_id) == name
    assert is_name(name)


def test_an_id_that_is_too_long_has_a_channel_of_its_own() -> None:
    first, second = personal_name("张" * 150), personal_name("张" * 149 + "李")
    assert first.startswith("#%sha256-")
    assert is_name(first)
    assert first != second


@given(st.text(min_size=1, max_size=120), st.text(min_size=1, max_size=120))
def test_no_two_users_share_a_channel(one: str, other: str) -> None:
    assert is_name(personal_name(one))
    assert (personal_name(one) == personal_name(other)) is (one == other)
