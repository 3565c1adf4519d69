"""Values that Django code has at hand, as payloads."""

import datetime as dt
import decimal
import enum
import uuid
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import models
from django.utils import translation
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy
from msgspec import Raw

from hotclub.runtime.encoding import decode, encode


class Color(models.TextChoices):
    RED = "r", gettext_lazy("red")


class Level(enum.IntEnum):
    HIGH = 3


@dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, 2.5, None, True, "é"]}, '{"a":[1,2.5,null,true,"é"]}'),
        (dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), '"2026-01-02T03:04:05Z"'),
        (dt.date(2026, 1, 2), '"2026-01-02"'),
        (dt.timedelta(seconds=90), '"PT90S"'),
        (decimal.Decimal("1.20"), '"1.20"'),
        (uuid.UUID(int=0), '"00000000-0000-0000-0000-000000000000"'),
        (Color.RED, '"r"'),
        (Level.HIGH, "3"),
        (Point(1), '{"x":1}'),
        (mark_safe("<b>"), '"<b>"'),
        ({"html": [mark_safe("<b>")]}, '{"html":["<b>"]}'),
        (("a", {"b"}), '["a",["b"]]'),
    ],
)
def test_a_value_becomes_json(value: Any, text: str) -> None:
    assert bytes(encode(value)).decode() == text


def test_lazy_text_is_translated_now() -> None:
    with translation.override("de"):
        assert decode(encode({"day": gettext_lazy("Monday")})) == {"day": "Montag"}


@pytest.mark.parametrize("value", [object(), models.Model, 1j, {"a": {1: object()}}, SimpleLazyObject(object)])
def test_what_json_cannot_hold_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError):
        encode(value)


@pytest.mark.parametrize("value", [float("nan"), {"a": [float("inf")]}, "\ud800"])
def test_what_json_has_no_way_to_write_is_a_value_error(value: Any) -> None:
    with pytest.raises(ValueError):
        encode(value)


def test_no_payload_is_none() -> None:
    assert decode(Raw()) is None
    assert decode(Raw(b'{"a":1}')) == {"a": 1}
