"""Sizes that keep the code readable: a function fits on a screen, a module in a head."""

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"
FUNCTION = 30
"""Lines of a body after its docstring."""
MODULE = 400


def bodies(source: str) -> Iterator[tuple[str, int]]:
    """Name and number of lines of every function in the text."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            yield node.name, (node.end_lineno or 0) - body[0].lineno + 1


def sources() -> Iterator[tuple[str, str]]:
    for path in sorted(SOURCE.rglob("*.py")):
        if "migrations" not in path.parts:
            yield str(path.relative_to(SOURCE)), path.read_text()


def test_no_function_is_longer_than_a_screen() -> None:
    long = [(name, function, n) for name, text in sources() for function, n in bodies(text) if n > FUNCTION]
    assert long == []


def test_no_module_is_longer_than_a_head_can_hold() -> None:
    assert [(name, len(text.splitlines())) for name, text in sources() if len(text.splitlines()) > MODULE] == []


def test_a_long_function_is_found() -> None:
    body = "\n".join("    pass" for _ in range(FUNCTION + 1))
    assert list(bodies(f'def f():\n    """Say nothing."""\n{body}')) == [("f", FUNCTION + 1)]
