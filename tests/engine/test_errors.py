"""Both error tables, and the ranges by which a client decides."""

import pytest

from hotclub.engine import errors
from hotclub.engine.codes import Close, Code, Unsubscribe


def test_every_code_of_the_tables_has_its_words() -> None:
    assert str(errors.Refused(Code.TOO_MANY_REQUESTS)) == "111 too many requests"
    assert errors.Refused(Code.TOO_MANY_REQUESTS).temporary
    assert not errors.Refused(Code.PERMISSION_DENIED).temporary
    assert str(errors.Disconnect(Close.SLOW)) == "3008 slow"
    assert errors.Unsubscribed(Unsubscribe.INSUFFICIENT_STATE).reason == "insufficient state"
    assert [errors.Refused(code).message for code in Code]
    assert [errors.Disconnect(code).reason for code in Close]
    assert [errors.Unsubscribed(code).reason for code in Unsubscribe]


def test_words_of_ones_own_stand_in_for_those_of_the_table() -> None:
    refused = errors.Refused(Code.TOO_MANY_REQUESTS, "later", temporary=False)
    assert (refused.code, refused.message, refused.temporary) == (111, "later", False)
    assert errors.Disconnect(Close.SLOW, "too slow").reason == "too slow"
    assert errors.Unsubscribed(2042).reason == "server unsubscribe"


@pytest.mark.parametrize(("code", "comes_back"), [(3001, True), (3499, True), (3500, False), (3999, False)])
def test_the_code_alone_tells_whether_to_reconnect(code: int, comes_back: bool) -> None:
    assert errors.Disconnect(code, "x").reconnects is comes_back


@pytest.mark.parametrize(
    ("code", "comes_back"), [(4000, True), (4499, True), (4500, False), (4999, False), (5000, True)]
)
def test_application_codes_follow_the_same_rule(code: int, comes_back: bool) -> None:
    assert errors.Disconnect(code, "x").reconnects is comes_back


@pytest.mark.parametrize("reason", ["", '{"reason":"x"}', "[1]", '"x"', "42", "x" * 124, "好" * 42])
def test_a_reason_that_a_client_would_misread_is_refused(reason: str) -> None:
    with pytest.raises(ValueError):
        errors.Disconnect(4000, reason)


def test_a_refusal_outside_the_table_needs_a_message() -> None:
    with pytest.raises(ValueError):
        errors.Refused(400, "")


@pytest.mark.parametrize("why", ["3 times", '{"a": 1}', "[x]", '"x"', "x" * 200, "好" * 60, "plain"])
def test_every_explanation_can_be_the_reason_of_an_end(why: str) -> None:
    explained = errors.Disconnect(Close.BAD_REQUEST, why=why).explained()
    assert explained.code == Close.BAD_REQUEST
    assert why[:20] in explained.reason
