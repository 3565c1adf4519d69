"""Signatures over keys: what they allow, to whom, and how long."""

import hashlib
import hmac

import pytest

from hotclub.access.poll_keys import BadSignature, ExpiredSignature, check, sign

SECRET = b"test-poll-secret"
KEYS = ("a", "b")


def signature(**changes: object) -> str:
    arguments = {"user": "7", "channel": "poll:a", "keys": KEYS, "issued": 100, "expires": 200, **changes}
    return sign(SECRET, **arguments)  # type: ignore[arg-type]


def test_the_form_is_that_of_the_protocol() -> None:
    listed = hashlib.sha256(b"a\x00b").hexdigest()
    digest = hmac.new(SECRET, f"100\x00200\x007\x00poll:a\x00{listed}".encode(), hashlib.sha256).hexdigest()
    assert signature() == f"100:200:{digest}"


def test_it_allows_what_it_was_made_for_as_long_as_it_says() -> None:
    assert check(signature(), [SECRET], "7", "poll:a", KEYS, 100.5) == 99
    assert check(signature(), [b"newer", SECRET], "7", "poll:a", KEYS, 150) == 50


@pytest.mark.parametrize(
    "change",
    [
        {"user": ""},
        {"user": "8"},
        {"channel": "poll:b"},
        {"keys": ("b", "a")},
        {"keys": ("a",)},
    ],
)
def test_it_allows_nothing_else(change: dict[str, object]) -> None:
    with pytest.raises(BadSignature):
        check(signature(**change), [SECRET], "7", "poll:a", KEYS, 150)


@pytest.mark.parametrize(
    "change", [{"keys": ("a\0b",)}, {"keys": ("a", "")}, {"keys": ()}, {"user": "7\0poll:a"}, {"channel": "poll\0a"}]
)
def test_one_text_cannot_become_several(change: dict[str, object]) -> None:
    """NUL stands between the texts that are signed."""
    with pytest.raises(ValueError, match="NUL"):
        signature(**change)


def test_keys_that_another_program_has_signed_as_one_are_not_taken_for_it() -> None:
    listed = hashlib.sha256(b"a\x00b").hexdigest()
    digest = hmac.new(SECRET, f"100\x00200\x007\x00poll:a\x00{listed}".encode(), hashlib.sha256).hexdigest()
    with pytest.raises(BadSignature):
        check(f"100:200:{digest}", [SECRET], "7", "poll:a", ["a\0b"], 150)


def test_another_secret_made_it() -> None:
    with pytest.raises(BadSignature):
        check(signature(), [b"other"], "7", "poll:a", KEYS, 150)


@pytest.mark.parametrize(
    "forged",
    [
        "",
        "invalid",
        "100:200",
        "100:200:",
        "-1:200:" + "0" * 64,
        "100:٢٠٠:" + "0" * 64,
        "100:200:" + "g" * 64,
        "9" * 5000,
    ],
)
def test_what_is_no_signature_is_refused(forged: str) -> None:
    with pytest.raises(BadSignature):
        check(forged, [SECRET], "7", "poll:a", KEYS, 150)


def test_a_longer_life_cannot_be_written_into_it() -> None:
    issued, _, digest = signature().split(":")
    with pytest.raises(BadSignature):
        check(f"{issued}:99999:{digest}", [SECRET], "7", "poll:a", KEYS, 150)


def test_it_is_good_for_five_seconds_more() -> None:
    assert check(signature(), [SECRET], "7", "poll:a", KEYS, 204.9) == 1
    with pytest.raises(ExpiredSignature):
        check(signature(), [SECRET], "7", "poll:a", KEYS, 205)
