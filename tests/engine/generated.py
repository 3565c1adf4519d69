"""Hypothesis strategies for every message of the protocol, made from the structs themselves."""

from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import Raw
from msgspec import inspect as kinds

from hotclub.engine.model import EMPTY
from hotclub.engine.protocol.messages import MAX_SAFE_INTEGER

texts = st.text(max_size=8)
payloads = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(texts, children, max_size=3),
    max_leaves=5,
).map(lambda value: Raw(msgspec.json.encode(value)))
_OPEN_INTEGERS = st.integers(0, 2**31 - 1)
# What both forms can carry: an offset is unsigned in protobuf, though a negative one is taken in JSON.
_INTEGERS = {"score": st.integers(-(2**53), 2**53), "offset": st.integers(0, MAX_SAFE_INTEGER)}
_SIMPLE: dict[type, st.SearchStrategy[Any]] = {
    kinds.BoolType: st.booleans(),
    kinds.StrType: texts,
    kinds.RawType: st.just(EMPTY) | payloads,
    kinds.NoneType: st.none(),
}


def messages(kind: type[msgspec.Struct], depth: int = 3) -> st.SearchStrategy[Any]:
    """Structs of that kind, with each field at its default or at any other value the type allows."""
    return st.builds(kind, **{field.name: _field(kind, field, depth) for field in _wire_fields(kind, depth)})


def envelopes(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Commands, replies or pushes, each with one body."""
    fields = _wire_fields(kind, 1)
    bodies = [field for field in fields if holds_struct(field.type)]
    heads = {field.name: _field(kind, field, 3) for field in fields if field not in bodies}
    return st.one_of([st.builds(kind, **heads, **{body.name: _values(body.name, body.type, 3)}) for body in bodies])


def _wire_fields(kind: type[msgspec.Struct], depth: int) -> list[kinds.Field]:
    fields = kinds.type_info(kind).fields  # type: ignore[attr-defined]
    return [field for field in fields if field.name != "binary" and (depth or not holds_struct(field.type))]


def _field(kind: type[msgspec.Struct], field: kinds.Field, depth: int) -> st.SearchStrategy[Any]:
    strategy = _values(field.name, field.type, depth)
    if field.required:
        return strategy
    return st.just(getattr(kind(**_required(kind)), field.name)) | strategy


def holds_struct(kind: kinds.Type) -> bool:
    """Whether a value of that type is made of messages."""
    match kind:
        case kinds.VarTupleType():
            return holds_struct(kind.item_type)
        case kinds.DictType():
            return holds_struct(kind.value_type)
        case kinds.UnionType():
            return any(holds_struct(part) for part in kind.types)
    return isinstance(kind, kinds.StructType)


def _required(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return dict.fromkeys(kind.__struct_fields__[: len(kind.__struct_fields__) - len(kind.__struct_defaults__)])


def _values(name: str, kind: kinds.Type, depth: int) -> st.SearchStrategy[Any]:
    match kind:
        case kinds.StructType():
            return messages(kind.cls, depth - 1)
        case kinds.UnionType():
            return st.one_of([_values(name, part, depth) for part in kind.types])
        case kinds.VarTupleType():
            return st.lists(_values(name, kind.item_type, depth), max_size=2).map(tuple)
        case kinds.DictType():
            return st.dictionaries(texts, _values(name, kind.value_type, depth), max_size=2)
        case kinds.IntType():
            return _integers(name, kind)
    return _SIMPLE[type(kind)]


def _integers(name: str, kind: kinds.IntType) -> st.SearchStrategy[int]:
    if name in _INTEGERS:
        return _INTEGERS[name]
    if kind.ge is None or kind.le is None:
        return _OPEN_INTEGERS
    return st.integers(kind.ge, kind.le)
