"""Arguments of procedures: by name, validated, converted."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import pytest

import hotclub
from hotclub.channels.rpc import Procedure

Positive = Annotated[int, msgspec.Meta(gt=0)]


class Point(msgspec.Struct):
    x: float
    y: float


def plot(
    client: hotclub.Client, point: Point, /, *, size: Positive, kind: Literal["dot", "cross"] = "dot", raw: Any = None
) -> None: ...


def draw(  # type: ignore[no-untyped-def]
    client: hotclub.Client,
    point: Point,
    size: Positive,
    kind: Literal["dot", "cross"] = "dot",
    when: datetime | None = None,
    ref: uuid.UUID | None = None,
    free=None,  # noqa: ANN001
) -> None: ...


def test_arguments_are_converted_from_their_annotations() -> None:
    given = {
        "point": {"x": 1, "y": 2.5},
        "size": 3,
        "when": "2026-01-02T03:04:05Z",
        "ref": "e02b2d17-6c5c-4bb5-a6ea-5e7e5f5e5e5e",
        "free": {"any": ["thing"]},
    }

    arguments = Procedure("draw", draw).convert(given)

    assert arguments["point"] == Point(1.0, 2.5)
    assert arguments["when"].year == 2026
    assert isinstance(arguments["ref"], uuid.UUID)
    assert arguments["free"] == {"any": ["thing"]}
    assert "kind" not in arguments


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"point": {"x": 1, "y": 2}, "size": 0}, "argument 'size': Expected `int` >= 1"),
        ({"point": {"x": 1}, "size": 1}, "argument 'point': Object missing required field `y`"),
        ({"point": {"x": 1, "y": 2}, "size": 1, "kind": "line"}, "argument 'kind': Invalid enum value 'line'"),
        ({"point": {"x": 1, "y": 2}}, "missing argument 'size'"),
        ({"size": 1, "client": 1}, "unknown argument 'client'"),
        ({"x" * 500: 1}, f"unknown argument '{'x' * 64}'"),
        (None, "missing argument 'point'"),
        ([], "arguments are not an object"),
        ("text", "arguments are not an object"),
    ],
)
def test_what_does_not_fit_is_named(given: Any, message: str) -> None:
    with pytest.raises(hotclub.Refused) as refused:
        Procedure("draw", draw).convert(given)

    assert (refused.value.code, refused.value.message) == (107, message)


def no_client() -> None: ...


def everything(client: hotclub.Client, *rest: int) -> None: ...


def keywords(client: hotclub.Client, **rest: int) -> None: ...


def undefined(client: hotclub.Client, a: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize("function", [plot, no_client, everything, keywords])
def test_a_function_that_cannot_be_called_by_name_is_refused(function: Any) -> None:
    with pytest.raises(TypeError, match="'it'"):
        _ = Procedure("it", function).parameters


def test_an_annotation_has_to_exist() -> None:
    with pytest.raises(NameError):
        _ = Procedure("it", undefined).parameters
