"""Filters by tags: turns the tree of comparisons of a subscribe command into a predicate (protocol §2.12)."""

import operator
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused
from hotclub.engine.protocol.messages import FilterNode

Tags = Mapping[str, str]
Predicate = Callable[[Tags], bool]

MAX_NODES: Final = 64
"""A filter is walked for every publication and subscriber."""
MAX_VALUES: Final = 256
_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,200}(?:\.[0-9]{1,200})?")

_TEXT: Final[dict[str, Callable[[str, str], bool]]] = {
    "eq": operator.eq,
    "sw": str.startswith,
    "ew": str.endswith,
    "ct": operator.contains,
}
_NUMERIC: Final[dict[str, Callable[[Decimal, Decimal], bool]]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}


def compile_filter(root: FilterNode) -> Predicate:
    """The filter as a predicate on a publication's tags.

    Numbers are compared as decimals of any precision. A comparison of numbers is false when either side is no number.

    Raises:
        Refused: `BAD_REQUEST` with what is wrong: an unknown operator, a missing value, too many values, or more than
            `MAX_NODES` nodes.
    """
    if _count(root) > MAX_NODES:
        raise Refused(Code.BAD_REQUEST, f"a filter has at most {MAX_NODES} nodes")
    return _compile(root)


def _count(root: FilterNode) -> int:
    """How many nodes there are. Stops counting above `MAX_NODES`, and needs no recursion."""
    waiting = [root]
    count = 0
    while waiting and count <= MAX_NODES:
        count += 1
        waiting.extend(waiting.pop().nodes)
    return count


def _compile(node: FilterNode) -> Predicate:
    if node.op == "":
        return _leaf(node)
    if node.op not in ("and", "or", "not"):
        raise Refused(Code.BAD_REQUEST, "a filter's op is and, or, not or empty")
    if not node.nodes or (node.op == "not" and len(node.nodes) != 1):
        raise Refused(Code.BAD_REQUEST, f"a filter's {node.op} has the wrong number of nodes")
    children = tuple(_compile(child) for child in node.nodes)
    if node.op == "and":
        return lambda tags: all(child(tags) for child in children)
    if node.op == "or":
        return lambda tags: any(child(tags) for child in children)
    (child,) = children
    return lambda tags: not child(tags)


def _leaf(node: FilterNode) -> Predicate:
    if node.cmp in ("ex", "nex"):
        return _existence(node)
    if not node.key:
        raise Refused(Code.BAD_REQUEST, "a filter needs a key to compare")
    if node.cmp in ("in", "nin"):
        return _membership(node)
    return _comparison(node)


def _existence(node: FilterNode) -> Predicate:
    key = node.key
    if node.val or node.vals:
        raise Refused(Code.BAD_REQUEST, f"a filter's {node.cmp} takes no value")
    if node.cmp == "ex":
        return lambda tags: key in tags
    return lambda tags: key not in tags


def _membership(node: FilterNode) -> Predicate:
    """A missing tag counts as empty here."""
    key, values = node.key, frozenset(node.vals)
    if node.val or not 1 <= len(node.vals) <= MAX_VALUES:
        raise Refused(Code.BAD_REQUEST, f"a filter's {node.cmp} takes 1 to {MAX_VALUES} vals, and no val")
    if node.cmp == "in":
        return lambda tags: tags.get(key, "") in values
    return lambda tags: tags.get(key, "") not in values


def _comparison(node: FilterNode) -> Predicate:
    key, wanted = node.key, node.val
    if node.cmp not in _TEXT and node.cmp not in _NUMERIC and node.cmp != "neq":
        raise Refused(Code.BAD_REQUEST, "a filter's cmp is unknown")
    if not wanted or node.vals:
        raise Refused(Code.BAD_REQUEST, f"a filter's {node.cmp} takes a val, and no vals")
    if node.cmp == "neq":
        return lambda tags: tags.get(key) != wanted
    if node.cmp in _NUMERIC:
        return _numeric(key, _NUMERIC[node.cmp], _decimal(wanted))
    compare = _TEXT[node.cmp]
    return lambda tags: (tag := tags.get(key)) is not None and compare(tag, wanted)


def _numeric(key: str, compare: Callable[[Decimal, Decimal], bool], wanted: Decimal | None) -> Predicate:
    if wanted is None:
        return lambda _: False
    return lambda tags: (number := _decimal(tags.get(key, ""))) is not None and compare(number, wanted)


def _decimal(text: str) -> Decimal | None:
    return Decimal(text) if _DECIMAL.fullmatch(text) else None
