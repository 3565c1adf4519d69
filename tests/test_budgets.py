"""Sizes that keep the code readable: a function fits on a screen, a module in a head.

What is larger stands in a table here, with the reason why no reader would gain if it were split.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"
FUNCTION = 30
"""Lines of a body after its docstring."""
MODULE = 400
CLASS = 200
PARAMETERS = 7
"""Of a function, `self` and `cls` left out."""

LARGE_CLASSES = {
    "hotclub/engine/session.py": {
        "Session": "one connection: its places, its output and its end, which every command goes through"
    },
    "hotclub/serving/websocket.py": {
        "WebSocketProtocol": "one connection of uvicorn's class: its attributes and what it overrides stand together"
    },
    "hotclub/testing/connection.py": {
        "Connection": "a test's face: one short method per command and assertion; inbox and wire do the work"
    },
}
WIDE_FUNCTIONS = {
    "hotclub/access/tokens.py": {"subscription_token": "each parameter is a claim of the token, by its name"},
    "hotclub/actions/connections.py": {
        "subscribe": "whom, to what, and on which terms",
        "asubscribe": "as subscribe",
    },
    "hotclub/actions/maps.py": {
        "map_publish": "the options of a change are its contract",
        "amap_publish": "as map_publish",
    },
    "hotclub/engine/channels.py": {"__init__": "a node's stores, one by one"},
    "hotclub/engine/node.py": {"__init__": "the composition root takes what it composes, by name and with defaults"},
}


def bodies(source: str) -> Iterator[tuple[str, int]]:
    """Name and number of lines of every function in the text."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            yield node.name, (node.end_lineno or 0) - body[0].lineno + 1


def classes(source: str) -> Iterator[tuple[str, int]]:
    """Name and number of lines of every class in the text."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            yield node.name, (node.end_lineno or 0) - node.lineno + 1


def parameters(source: str) -> Iterator[tuple[str, int]]:
    """Name and number of parameters of every function in the text."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            rest = [part for part in (node.args.vararg, node.args.kwarg) if part is not None]
            yield node.name, len([part for part in (*named, *rest) if part.arg not in ("self", "cls")])


def sources() -> Iterator[tuple[str, str]]:
    for path in sorted(SOURCE.rglob("*.py")):
        if "migrations" not in path.parts:
            yield str(path.relative_to(SOURCE)), path.read_text()


def test_no_function_is_longer_than_a_screen() -> None:
    long = [(name, function, n) for name, text in sources() for function, n in bodies(text) if n > FUNCTION]
    assert long == []


def test_no_module_is_longer_than_a_head_can_hold() -> None:
    assert [(name, len(text.splitlines())) for name, text in sources() if len(text.splitlines()) > MODULE] == []


def over(measure: Callable[[str], Iterator[tuple[str, int]]], budget: int) -> dict[str, set[str]]:
    """By module, what is larger than the budget."""
    found = {name: {part for part, size in measure(text) if size > budget} for name, text in sources()}
    return {name: parts for name, parts in found.items() if parts}


def test_no_class_is_larger_than_its_budget_without_a_reason() -> None:
    assert over(classes, CLASS) == {name: set(reasons) for name, reasons in LARGE_CLASSES.items()}


def test_no_function_has_more_parameters_than_its_budget_without_a_reason() -> None:
    assert over(parameters, PARAMETERS) == {name: set(reasons) for name, reasons in WIDE_FUNCTIONS.items()}


def test_a_large_class_and_a_wide_function_are_found() -> None:
    members = "\n".join(f"    a{number} = 0" for number in range(CLASS))
    assert list(classes(f"class C:\n{members}")) == [("C", CLASS + 1)]
    assert list(parameters("def f(self, a, /, b, *rest, c=1, **more): ...")) == [("f", 5)]


def test_a_long_function_is_found() -> None:
    body = "\n".join("    pass" for _ in range(FUNCTION + 1))
    assert list(bodies(f'def f():\n    """Say nothing."""\n{body}')) == [("f", FUNCTION + 1)]
