"""Both error tables, and the ranges by which a client decides."""

import pytest

from hotclub.engine import errors


def test_every_code_of_the_tables_has_its_words() -> None:
    assert str(errors.command_error(111)) == "111 too many requests"
    assert errors.command_error(111).temporary
    assert not errors.command_error(103).temporary
    assert str(errors.disconnect(3008)) == "3008 slow"
    assert errors.unsubscribed(2500).reason == "insufficient state"
    for code in (*range(100, 114),):
        assert errors.command_error(code).message


@pytest.mark.parametrize(("code", "comes_back"), [(3001, True), (3499, True), (3500, False), (3999, False)])
def test_the_code_alone_tells_whether_to_reconnect(code: int, comes_back: bool) -> None:
    assert errors.Disconnect(code, "x").reconnects is comes_back


@pytest.mark.parametrize(
    ("code", "comes_back"), [(4000, True), (4499, True), (4500, False), (4999, False), (5000, True)]
)
def test_application_codes_follow_the_same_rule(code: int, comes_back: bool) -> None:
    assert errors.Disconnect(code, "x").reconnects is comes_back


@pytest.mark.parametrize(("code", "comes_back"), [(2000, False), (2499, False), (2500, True)])
def test_an_unsubscribed_client_decides_by_the_code_too(code: int, comes_back: bool) -> None:
    assert errors.Unsubscribed(code, "x").resubscribes is comes_back


@pytest.mark.parametrize("reason", ["", '{"reason":"x"}', "[1]", '"x"', "42", "x" * 124, "好" * 42])
def test_a_reason_that_a_client_would_misread_is_refused(reason: str) -> None:
    with pytest.raises(ValueError):
        errors.Disconnect(4000, reason)


def test_a_command_error_needs_a_message() -> None:
    with pytest.raises(ValueError):
        errors.CommandError(400, "")
