"""Filters by tags: each comparison, what is refused, and the whole against an evaluator without tricks."""

import contextlib
from collections.abc import Mapping
from fractions import Fraction

import pytest
from centrifuge.filter import Filter
from hypothesis import given
from hypothesis import strategies as st
from msgspec import convert

from hotclub.engine.errors import Refused
from hotclub.engine.protocol.messages import FilterNode
from hotclub.engine.tags import MAX_NODES, MAX_VALUES, compile_filter

TEXT_COMPARISONS = ("eq", "neq", "sw", "ew", "ct")
NUMERIC_COMPARISONS = ("lt", "lte", "gt", "gte")


def leaf(cmp: str, val: str = "", vals: tuple[str, ...] = (), key: str = "k") -> FilterNode:
    return FilterNode(key=key, cmp=cmp, val=val, vals=vals)


def admits(node: FilterNode, tags: Mapping[str, str]) -> bool:
    return compile_filter(node)(tags)


@pytest.mark.parametrize(
    ("cmp", "val", "matching", "others"),
    [
        ("eq", "ab", ["ab"], ["", "a", "AB", "abc"]),
        ("neq", "ab", ["", "a", "AB", "abc"], ["ab"]),
        ("sw", "ab", ["ab", "abc"], ["", "a", "cab"]),
        ("ew", "ab", ["ab", "cab"], ["", "b", "abc"]),
        ("ct", "ab", ["ab", "cab", "abc"], ["", "a", "ba"]),
        (
            "lt",
            "10",
            ["9", "-11", "9.999999999999999999999", "09"],
            ["10", "10.0", "11", "", "x", "1e0", "NaN"],
        ),
        ("lte", "10", ["9", "10", "10.000"], ["10.0000000000000000000000000000000001", "", "-Infinity"]),
        ("gt", "9007199254740992", ["9007199254740993"], ["9007199254740992", "9007199254740992.0", ""]),
        ("gte", "0.1", ["0.1", "0.10", "+1"], ["0.0999999999999999999999999999", "٣", "1_0", " 1"]),
        ("lt", "x", [], ["1", "a", ""]),
    ],
)
def test_a_comparison(cmp: str, val: str, matching: list[str], others: list[str]) -> None:
    assert [tag for tag in matching + others if admits(leaf(cmp, val), {"k": tag})] == matching


def test_a_missing_tag_matches_the_negative_comparisons_only() -> None:
    nodes = [leaf(cmp, "1") for cmp in TEXT_COMPARISONS + NUMERIC_COMPARISONS]
    nodes += [leaf("in", vals=("1",)), leaf("nin", vals=("1",)), leaf("ex"), leaf("nex")]
    assert [node.cmp for node in nodes if admits(node, {"other": "1"})] == ["neq", "nin", "nex"]


def test_a_missing_tag_is_among_values_with_an_empty_one() -> None:
    assert admits(leaf("in", vals=("a", "")), {})
    assert not admits(leaf("nin", vals=("a", "")), {})
    assert admits(leaf("in", vals=("a", "b")), {"k": "b"})
    assert not admits(leaf("nin", vals=("a", "b")), {"k": "b"})


def test_existence_is_of_the_tag_and_not_of_its_text() -> None:
    assert admits(leaf("ex"), {"k": ""})
    assert not admits(leaf("nex"), {"k": ""})
    assert admits(leaf("nex", key=""), {"k": ""})


def test_the_builders_of_the_sdk_make_filters_that_are_taken() -> None:
    built = Filter.all(
        Filter.eq("ticker", "AAPL"),
        Filter.any(Filter.gte("price", "100"), Filter.is_in("source", ["NASDAQ", "NYSE"])),
        Filter.negate(Filter.exists("test")),
    )
    node = convert(built.node, FilterNode)
    assert admits(node, {"ticker": "AAPL", "price": "100.5"})
    assert admits(node, {"ticker": "AAPL", "price": "9", "source": "NYSE"})
    assert not admits(node, {"ticker": "AAPL", "price": "100.5", "test": ""})
    assert not admits(node, {"ticker": "AAPL", "price": "9"})


DEEP = FilterNode(key="k", cmp="ex")
for _ in range(300):
    DEEP = FilterNode(op="not", nodes=(DEEP,))


@pytest.mark.parametrize(
    "node",
    [
        FilterNode(),
        FilterNode(key="k"),
        FilterNode(op="xor", nodes=(leaf("ex"),)),
        FilterNode(op="AND", nodes=(leaf("ex"),)),
        FilterNode(op="and"),
        FilterNode(op="or"),
        FilterNode(op="not"),
        FilterNode(op="not", nodes=(leaf("ex"), leaf("ex"))),
        FilterNode(op="and", nodes=(leaf("ex"), FilterNode(op="or", nodes=(leaf("zz", "1"),)))),
        *(leaf(cmp) for cmp in TEXT_COMPARISONS + NUMERIC_COMPARISONS),
        *(leaf(cmp, "1", ("1",)) for cmp in TEXT_COMPARISONS + NUMERIC_COMPARISONS),
        *(leaf(cmp, "1", key="") for cmp in TEXT_COMPARISONS + NUMERIC_COMPARISONS),
        leaf("in"),
        leaf("nin"),
        leaf("in", "1", ("1",)),
        leaf("nin", vals=("1",), key=""),
        leaf("in", vals=("1",) * (MAX_VALUES + 1)),
        leaf("ex", "1"),
        leaf("nex", vals=("1",)),
        FilterNode(op="and", nodes=(leaf("ex"),) * MAX_NODES),
        DEEP,
    ],
    ids=lambda node: f"{node.op}-{node.cmp}",
)
def test_a_malformed_filter_is_refused(node: FilterNode) -> None:
    with pytest.raises(Refused) as refused:
        compile_filter(node)
    assert refused.value.code == 107


def test_the_largest_filter_is_taken() -> None:
    assert admits(FilterNode(op="and", nodes=(leaf("nex"),) * (MAX_NODES - 1)), {})


words = st.sampled_from(["a", "ab", "b", "1", "1.0", "2", "-3.5", "10"])
keys = st.sampled_from(["k", "l"])
leaves = st.one_of(
    st.builds(FilterNode, key=keys, cmp=st.sampled_from(TEXT_COMPARISONS + NUMERIC_COMPARISONS), val=words),
    st.builds(
        FilterNode,
        key=keys,
        cmp=st.sampled_from(["in", "nin"]),
        vals=st.lists(words | st.just(""), min_size=1, max_size=3).map(tuple),
    ),
    st.builds(FilterNode, key=keys, cmp=st.sampled_from(["ex", "nex"])),
)


def _inner(children: st.SearchStrategy[FilterNode]) -> st.SearchStrategy[FilterNode]:
    several = st.lists(children, min_size=1, max_size=3).map(tuple)
    one = st.tuples(children)
    return st.builds(FilterNode, op=st.sampled_from(["and", "or"]), nodes=several) | st.builds(
        FilterNode, op=st.just("not"), nodes=one
    )


def naive(node: FilterNode, tags: Mapping[str, str]) -> bool:
    """The meaning of a well-formed filter, written down plainly."""
    if node.op:
        results = [naive(child, tags) for child in node.nodes]
        return {"and": all(results), "or": any(results), "not": not results[0]}[node.op]
    present, tag = node.key in tags, tags.get(node.key, "")
    negative = {"neq": "eq", "nin": "in", "nex": "ex"}.get(node.cmp)
    if negative:
        return not naive(FilterNode(key=node.key, cmp=negative, val=node.val, vals=node.vals), tags)
    if node.cmp in NUMERIC_COMPARISONS:
        return present and _number(tag, node)
    meanings = {
        "eq": present and tag == node.val,
        "in": tag in node.vals,
        "ex": present,
        "sw": present and tag[: len(node.val)] == node.val,
        "ew": present and tag.endswith(node.val),
        "ct": present and node.val in tag,
    }
    return meanings[node.cmp]


def _number(tag: str, node: FilterNode) -> bool:
    try:
        left, right = Fraction(tag), Fraction(node.val)
    except ValueError:
        return False
    return {"lt": left < right, "lte": left <= right, "gt": left > right, "gte": left >= right}[node.cmp]


@given(st.recursive(leaves, _inner, max_leaves=10), st.dictionaries(keys, words | st.just("")))
def test_a_filter_means_what_the_plain_evaluator_says(node: FilterNode, tags: dict[str, str]) -> None:
    assert admits(node, tags) == naive(node, tags)


@given(
    st.recursive(
        st.builds(FilterNode, st.text(max_size=3), st.text(max_size=2), st.text(max_size=3), st.text(max_size=2)),
        lambda nodes: st.builds(
            FilterNode, op=st.sampled_from(["and", "or", "not", "?"]), nodes=st.lists(nodes, max_size=3).map(tuple)
        ),
    ),
    st.dictionaries(st.text(max_size=2), st.text(max_size=2), max_size=2),
)
def test_no_filter_escapes_as_another_error(node: FilterNode, tags: dict[str, str]) -> None:
    with contextlib.suppress(Refused):
        assert compile_filter(node)(tags) in (True, False)
