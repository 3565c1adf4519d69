"""System checks of the `HOTCLUB` setting: E001-E009."""

# ruff: noqa: ARG001 - Django calls every check with the same arguments

from collections.abc import Iterator
from typing import Any

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
    """E008: the connection hooks named in the settings exist and can be called."""
    return list(_hook_problems())


def _hook_problems() -> Iterator[CheckMessage]:
    raw = raw_settings()
    for name in ("ON_CONNECT", "ON_DISCONNECT"):
        path = raw.get(name) if isinstance(raw, dict) else None
        if not isinstance(path, str) or list(SETTINGS[name](name, path)):
            continue
        try:
            hook = import_string(path)
        except ImportError as error:
            yield make_error(
                8, f"HOTCLUB[{name!r}] cannot be imported: {error}", "Write the dotted path of a function."
            )
            continue
        if not callable(hook) or isinstance(hook, type):
            yield make_error(8, f"HOTCLUB[{name!r}] names {path!r}, which is no function.", "Name a function.")
