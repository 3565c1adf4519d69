"""The reference is made from the docstrings, is current, and leaves nothing out."""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hotclub
import hotclub.maps
import hotclub.polls
import hotclub.tokens
from tests.packaging.scripts import load_script

HOOKLESS = ("self", "args", "kwargs")
REFERENCE = load_script("reference")


def functions() -> Iterator[Any]:
    for module in REFERENCE.MODULES:
        for name in module.__all__:
            if inspect.isfunction(value := getattr(module, name)) and not inspect.iscoroutinefunction(value):
                yield pytest.param(value, id=f"{module.__name__}.{name}")


def hooks() -> Iterator[Any]:
    for cls in REFERENCE.CHANNELS:
        for name, value in vars(cls).items():
            if inspect.isfunction(value) and not name.startswith("_"):
                yield pytest.param(value, id=f"{cls.__name__}.{name}")


def documented(function: Callable[..., Any]) -> dict[str, str]:
    """The sections of a function's docstring."""
    sections: dict[str, str] = REFERENCE.parse(inspect.getdoc(function) or "").sections
    return sections


@pytest.mark.parametrize("page", REFERENCE.PAGES)
def test_a_page_of_the_reference_is_current(page: str) -> None:
    made, found = REFERENCE.PAGES[page](), (REFERENCE.FOLDER / page).read_text(encoding="utf-8")
    assert found == made, f"docs/reference/{page} is not current: run scripts/reference.py"


@pytest.mark.parametrize("function", list(functions()))
def test_a_public_function_documents_its_arguments_return_and_errors(function: Callable[..., Any]) -> None:
    sections, signature = documented(function), inspect.signature(function)
    assert [name for name, _ in REFERENCE.items(sections["Args"])] == list(signature.parameters)
    assert ("Returns" in sections) is (signature.return_annotation not in (None, "None"))
    assert sections["Raises"]


@pytest.mark.parametrize("hook", list(hooks()))
def test_a_hook_documents_its_arguments(hook: Callable[..., Any]) -> None:
    named = [name for name, _ in REFERENCE.items(documented(hook)["Args"])]
    assert [name for name in named if name not in ("**values", "key")] == [
        name for name in inspect.signature(hook).parameters if name not in (*HOOKLESS, "key")
    ]
    assert named[-1] == "**values"


@pytest.mark.parametrize("cls", REFERENCE.CHANNELS)
def test_an_option_is_documented(cls: type) -> None:
    documented = REFERENCE.attributes(cls)
    assert [name for name, text in documented.items() if not text] == (["abstract"] if cls is hotclub.Channel else [])


@pytest.mark.parametrize("name", REFERENCE.CALLBACKS)
def test_a_callback_of_the_settings_is_documented(name: str) -> None:
    assert f"### `{name.upper()}`" in REFERENCE.hooks()
    assert REFERENCE.parse(REFERENCE.attributes(REFERENCE.Config)[name]).sections["Args"]


def test_an_async_twin_says_what_a_cancelled_call_leaves() -> None:
    twins = [
        getattr(module, name)
        for module in REFERENCE.MODULES
        for name in module.__all__
        if inspect.iscoroutinefunction(getattr(module, name))
    ]
    assert len(twins) > 15
    assert [twin.__name__ for twin in twins if "cancelled call" not in " ".join((twin.__doc__ or "").split())] == []


def test_check_names_a_page_that_is_not_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(REFERENCE, "FOLDER", tmp_path)
    assert REFERENCE.main([]) == 0
    assert REFERENCE.main(["--check"]) == 0
    (tmp_path / "hooks.md").write_text("old")
    assert REFERENCE.main(["--check"]) == 1
    assert "hooks.md is not current" in capsys.readouterr().out
