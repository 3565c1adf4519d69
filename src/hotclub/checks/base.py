"""What every system check shares: how Django calls it, what the project declares, and how a finding is put."""

from collections.abc import Callable, Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004

from hotclub.channels.registry import Declarations

Apps = Sequence[AppConfig] | None


def declared() -> Declarations:
    """The channel classes and procedures of the installed apps."""
    declarations: Declarations = apps.get_app_config("hotclub").declarations  # type: ignore[attr-defined]
    return declarations


def make_error(number: int, message: str, hint: str, obj: type | Callable[..., Any] | None = None) -> CheckMessage:
    """A mistake, with its number, what to do about it, and the class or function that holds it."""
    return Error(message, hint=hint, obj=_named(obj), id=f"hotclub.E{number:03}")


def make_warning(number: int, message: str, hint: str, obj: type | None = None) -> CheckMessage:
    """A doubt about how the project is written or run, with its number, what to do about it, and the class it is in."""
    return Warning(message, hint=hint, obj=_named(obj), id=f"hotclub.W{number:03}")


def _named(obj: type | Callable[..., Any] | None) -> str | None:
    return None if obj is None else f"{obj.__module__}.{obj.__qualname__}"
