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
"""Settings that name a function, with what it is called with."""
_CLASSES: Final = ("BACKEND",)
"""Settings that name a class, or a function that makes an instance."""


def _path_problems() -> Iterator[CheckMessage]:
    raw = raw_settings()
    for name in (*_FUNCTIONS, *_CLASSES):
        path = raw.get(name) if isinstance(raw, dict) else None
        # A setting that is unknown, or no path, is left to the check of settings.
        if not isinstance(path, str) or name not in SETTINGS or list(SETTINGS[name](name, path)):
            continue
        try:
            found = import_string(path)
        except Exception as error:  # noqa: BLE001 - whatever the project's module raises
            hint = "Write the dotted path of something that exists."
            yield make_error(8, f"HOTCLUB[{name!r}] cannot be imported: {error}", hint)
            continue
        if problem := _call_problem(found, _FUNCTIONS.get(name)):
            given = f" that takes ({', '.join(_FUNCTIONS[name])})" if name in _FUNCTIONS else " or a class"
            yield make_error(8, f"HOTCLUB[{name!r}] names {path!r}, {problem}.", f"Name a function{given}.")


def _call_problem(found: Any, given: tuple[str, ...] | None) -> str:
    if not callable(found) or (given is not None and isinstance(found, type)):
        return "which is no function"
    try:
        if given is not None:
            inspect.signature(found).bind(*given)
    except TypeError as error:
        return f"which cannot be called: {error}"
    except ValueError:  # written in C, and silent about its parameters
        return ""
    return ""
