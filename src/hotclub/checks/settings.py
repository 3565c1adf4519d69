"""System checks of the `HOTCLUB` setting: E001-E009."""

# ruff: noqa: ARG001 - Django calls every check with the same arguments

import inspect
from collections.abc import Iterator
from typing import Any, Final

from django.core.checks import CheckMessage, Error
from django.utils.module_loading import import_string

from hotclub.checks.base import Apps, make_error
from hotclub.conf.config import raw_settings
from hotclub.conf.problems import SETTINGS, problems


def check_settings(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """Check the `HOTCLUB` dictionary: E001–E007, E009."""
    return [
        Error(problem.message, hint=problem.hint, id=f"hotclub.{problem.check}") for problem in problems(raw_settings())
    ]


def check_hooks(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that the functions in the settings can be imported and take the arguments of their calls: E008."""
    return list(_path_problems())


_FUNCTIONS: Final = {"ON_CONNECT": ("client",), "ON_DISCONNECT": ("client",), "API_RPC": ("method", "params")}
"""Settings that name a function, each with the names of its arguments. E007 checks `BACKEND`."""


def _path_problems() -> Iterator[CheckMessage]:
    raw = raw_settings()
    for name, given in _FUNCTIONS.items():
        path = raw.get(name) if isinstance(raw, dict) else None
        # `check_settings` reports a value that is no dotted path.
        if not isinstance(path, str) or list(SETTINGS[name](name, path)):
            continue
        hint = f"Write the dotted path of a function that takes ({', '.join(given)})."
        try:
            found = import_string(path)
        except Exception as error:  # noqa: BLE001 - the project's module may raise anything
            yield make_error(8, f"HOTCLUB[{name!r}] cannot be imported: {error}", hint)
            continue
        if problem := _call_problem(found, given):
            yield make_error(8, f"HOTCLUB[{name!r}] names {path!r}, {problem}.", hint)


def _call_problem(found: Any, given: tuple[str, ...]) -> str:
    """The reason why the object cannot be called with these arguments, "" when it can."""
    if not callable(found) or isinstance(found, type):
        return "which is no function"
    try:
        inspect.signature(found).bind(*given)
    except TypeError as error:
        return f"which cannot be called: {error}"
    except ValueError:  # a function in C may hide its parameters
        return ""
    return ""
