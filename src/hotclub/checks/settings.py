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
    """E001–E007: the `HOTCLUB` dictionary."""
    return [
        Error(problem.message, hint=problem.hint, id=f"hotclub.{problem.check}") for problem in problems(raw_settings())
    ]


def check_hooks(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """E008: what the settings name by a dotted path can be imported, and called with what it is given."""
    return list(_path_problems())


_FUNCTIONS: Final = {"ON_CONNECT": ("client",), "ON_DISCONNECT": ("client",), "API_RPC": ("method", "params")}
"""Settings that name a function, with what it is called with. `BACKEND` is among the values that E007 looks at."""


def _path_problems() -> Iterator[CheckMessage]:
    raw = raw_settings()
    for name, given in _FUNCTIONS.items():
        path = raw.get(name) if isinstance(raw, dict) else None
        # What is no path is left to the check of settings.
        if not isinstance(path, str) or list(SETTINGS[name](name, path)):
            continue
        hint = f"Write the dotted path of a function that takes ({', '.join(given)})."
        try:
            found = import_string(path)
        except Exception as error:  # noqa: BLE001 - whatever the project's module raises
            yield make_error(8, f"HOTCLUB[{name!r}] cannot be imported: {error}", hint)
            continue
        if problem := _call_problem(found, given):
            yield make_error(8, f"HOTCLUB[{name!r}] names {path!r}, {problem}.", hint)


def _call_problem(found: Any, given: tuple[str, ...]) -> str:
    """Why it cannot be called with these; "" when it can."""
    if not callable(found) or isinstance(found, type):
        return "which is no function"
    try:
        inspect.signature(found).bind(*given)
    except TypeError as error:
        return f"which cannot be called: {error}"
    except ValueError:  # written in C, and silent about its parameters
        return ""
    return ""
