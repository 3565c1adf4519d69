"""Payloads: what is refused, and that what is taken stays as it came."""

import json
from datetime import date

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from hotclub.engine.errors import Refused
from hotclub.engine.limits import Limits
from hotclub.engine.protocol.payload import check_payload, encode_payload

LIMITS = Limits()

json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"nope",
        b"1 2",
        b"\xef\xbb\xbf1",
        b"NaN",
        b"Infinity",
        b"[-Infinity]",
        b"1e999",
        b"-0",
        b'{"a":[-0, 1]}',
        b"9" * 5_000,
        b'"\\ud800"',
        b'{"a":["\\udc00"]}',
        b'"\xed\xa0\x80"',
        b'"\xc0\xaf"',
        b'{"a":"\xff"}',
        b"[" * 100_000,
        b"[" * 17 + b"]" * 17,
        b'{"a":' * 17 + b"1" + b"}" * 17,
    ],
)
def test_a_payload_that_some_reader_could_not_read_is_refused(text: bytes) -> None:
    with pytest.raises(Refused) as error:
        check_payload(text, LIMITS)
    assert error.value.code == 107


@pytest.mark.parametrize(
    "text",
    [
        b"null",
        b"-0.0",
        b'"-0"',
        b'{"-0":"a \\" -0"}',
        b"18446744073709551616",
        b'{"b":1.10,"a":1e2}',
        b"[" * 16 + b"]" * 16,
        '"你好 \\u4f60 👋"'.encode(),
        b'"' + b"[" * 100 + b'"',
    ],
)
def test_a_payload_is_kept_to_the_byte(text: bytes) -> None:
    assert bytes(check_payload(text, LIMITS)) == text


@given(json_values)
def test_whatever_json_can_say_comes_back_verbatim(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False).encode()
    try:
        checked = check_payload(text, Limits(depth=64))
    except Refused:
        assert "-0" in text.decode()  # the one thing JSON can say and we refuse
        return
    assert bytes(checked) == text
    assert msgspec.json.decode(checked) == value


def test_raw_line_breaks_between_tokens_become_spaces() -> None:
    assert bytes(check_payload(b'{\n"a":\r\n1}', LIMITS)) == b'{ "a":  1}'


@pytest.mark.parametrize("value", [float("nan"), {"a": [float("inf")]}, "\ud800", {"a": {"\udfff": 1}}])
def test_a_python_value_that_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        encode_payload(value)


def test_an_unknown_type_goes_through_default_or_is_refused() -> None:
    class Strange:
        pass

    assert bytes(encode_payload({"d": date(2026, 1, 2)})) == b'{"d":"2026-01-02"}'
    assert bytes(encode_payload([Strange()], default=lambda _: "x")) == b'["x"]'
    with pytest.raises(TypeError):
        encode_payload(Strange())


def test_raw_json_passes_as_it_is() -> None:
    raw = Raw(b'{"a": 1.0}')
    assert encode_payload(raw) is raw
    assert msgspec.json.encode({"x": raw}) == b'{"x":{"a": 1.0}}'
