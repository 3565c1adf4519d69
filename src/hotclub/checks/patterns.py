"""System check of patterns: W012, two patterns match the same name, which belongs to the first.

Each pattern becomes a row of steps. A step takes a character of some set, once or any number of times. The check walks
two rows together to find a name that both accept. It reports the name only if both patterns match it, so a converter
that refuses some texts causes no false alarm.
"""

# ruff: noqa: ARG001 - Django calls every check with the same arguments

import re
import string
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations, islice, product
from typing import Any, Final

from django.core.checks import CheckMessage
from django.urls.converters import IntConverter, PathConverter, SlugConverter, StringConverter, UUIDConverter
from django.urls.resolvers import RoutePattern

from hotclub.channels.base import Channel
from hotclub.channels.registry import PERSONAL, captured, compile_pattern
from hotclub.checks.base import Apps, compiled_pattern, declared, make_warning
from hotclub.conf.config import raw_settings
from hotclub.engine.names import is_name

Step = tuple[frozenset[str], bool]
"""The characters that a step takes, and whether it takes any number of them."""


class _Any(frozenset[str]):
    """A set of ASCII characters, and of every other character."""

    def __and__(self, other: Collection[object]) -> frozenset[str]:
        """The characters in both sets. Of the other set, only listed characters are known."""
        if isinstance(other, _Any):
            return frozenset(character for character in self if character in other)
        return frozenset(item for item in other if isinstance(item, str) and (item in self or not item.isascii()))

    __rand__ = __and__


_ANY: Final = _Any(map(chr, range(0x21, 0x7F)))
_SETS: Final[Mapping[type, frozenset[str]]] = {
    IntConverter: frozenset(string.digits),
    SlugConverter: frozenset(string.ascii_letters + string.digits + "-_"),
    StringConverter: _Any(_ANY - {"/"}),
    PathConverter: _ANY,
}
_PREFERRED: Final = "12abAB"
"""Characters for names that a reader understands."""
_UUID: Final = "11111111-1111-4111-8111-111111111111"
_SAMPLES: Final = (
    *("1", "12", "123", "1234", "2026", "01", "-1", "1.5", "2026-11-27", "12:30", "0a"),
    *("a", "ab", "abc", "abcd", "abcdef", "A", "AB", "ABC", "a1", "a-b", "a_b", "a.b", "en", "en-us", "true"),
    *(_UUID, _UUID.replace("-", "")),
)
"""Texts to try with the project's own converters."""
_PARTS: Final = re.compile(r"<(?:[^<>:]+:)?(?P<name>[^<>:]+)>")
_MOST_ROWS: Final = 64


def check_overlaps(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that no two patterns match the same name: W012."""
    known = declared().channels
    compiled: list[tuple[str, type[Channel] | None, RoutePattern]] = [
        (cls.__qualname__, cls, pattern) for cls in known if (pattern := compiled_pattern(cls)) is not None
    ]
    if _has_personal_channels():
        compiled.append(("the users' personal channels", None, compile_pattern(PERSONAL)))
    found: list[CheckMessage] = []
    for (first, _cls, one), (second, cls, other) in combinations(compiled, 2):
        if str(one) != str(other) and (name := common_name(one, other)):
            both = f"{str(one)!r} of {first} and {str(other)!r} of {second}"
            hint = "Begin their names differently, unless the first one is to have all names that it matches."
            found.append(make_warning(12, f"The name {name!r} matches {both}: the first one takes it.", hint, cls))
    return found


def _has_personal_channels() -> bool:
    raw = raw_settings()
    return isinstance(raw, Mapping) and raw.get("PERSONAL_CHANNEL", True) is True


def common_name(one: RoutePattern, other: RoutePattern) -> str:
    """Return a name that both patterns match, "" when the search found none."""
    for left, right in product(_rows(one), _rows(other)):
        name = _walk(left, right)
        if name and is_name(name) and captured(one, name) is not None and captured(other, name) is not None:
            return name
    return ""


def _rows(pattern: RoutePattern) -> list[list[Step]]:
    """The rows of a pattern. A converter of the project's own adds a row for each sample text that it accepts."""
    text, end, parts = str(pattern), 0, []
    for found in _PARTS.finditer(text):
        parts += [[_literal(text[end : found.start()])], _texts(pattern.converters[found["name"]])]
        end = found.end()
    parts.append([_literal(text[end:])])
    return [[step for part in row for step in part] for row in islice(product(*parts), _MOST_ROWS)]


def _texts(converter: Any) -> list[list[Step]]:
    """The alternative steps for a converter's text: one row for a known converter, one per sample for another."""
    if type(converter) is UUIDConverter:
        return [_literal(_UUID)]
    characters = _SETS.get(type(converter))
    if characters is not None:
        return [[(characters, False), (characters, True)]]
    return [_literal(sample) for sample in _SAMPLES if re.fullmatch(converter.regex, sample)]


def _literal(text: str) -> list[Step]:
    return [(frozenset(character), False) for character in text]


def _walk(left: Sequence[Step], right: Sequence[Step]) -> str:
    """The shortest text that both rows accept, "" for none."""
    waiting, seen = deque([(0, 0, "")]), {(0, 0)}
    while waiting:
        i, j, text = waiting.popleft()
        if i == len(left) and j == len(right):
            return text
        for place in _next(left, right, i, j, text):
            if place[:2] not in seen:
                seen.add(place[:2])
                waiting.append(place)
    return ""


def _next(left: Sequence[Step], right: Sequence[Step], i: int, j: int, text: str) -> Iterator[tuple[int, int, str]]:
    if i < len(left) and left[i][1]:
        yield i + 1, j, text
    if j < len(right) and right[j][1]:
        yield i, j + 1, text
    if i < len(left) and j < len(right) and (both := left[i][0] & right[j][0]):
        character = next((item for item in _PREFERRED if item in both), min(both))
        yield i + (not left[i][1]), j + (not right[j][1]), text + character
