"""The common parts of the system checks: their argument, the project's declarations, and the messages."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from django.apps import AppConfig, apps
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004
from django.core.exceptions import ImproperlyConfigured
from django.urls.resolvers import RoutePattern

from hotclub.channels.base import Channel
from hotclub.channels.registry import Declarations, compile_pattern

Apps = Sequence[AppConfig] | None
"""The apps that Django passes to a check. Hotclub's checks ignore the argument and check the whole project."""


def declared() -> Declarations:
    """Return the channel classes and procedures of the installed apps."""
    declarations: Declarations = apps.get_app_config("hotclub").declarations  # type: ignore[attr-defined]
    return declarations


def compiled_pattern(channel: type[Channel]) -> RoutePattern | None:
    """Return the compiled pattern of a channel class, None for an invalid one, which E010 and E012 report."""
    try:
        return compile_pattern(channel.pattern)
    except (AttributeError, TypeError, ValueError, ImproperlyConfigured):
        return None


def make_error(number: int, message: str, hint: str, obj: type | Callable[..., Any] | None = None) -> CheckMessage:
    """Return the message of a mistake.

    Args:
        number: the number in the id, such as 11 for `hotclub.E011`.
        message: a sentence that names the mistake.
        hint: a sentence that tells what to do.
        obj: the class or function that holds the mistake, None for the whole project.
    """
    return Error(message, hint=hint, obj=_named(obj), id=f"hotclub.E{number:03}")


def make_warning(number: int, message: str, hint: str, obj: type | None = None) -> CheckMessage:
    """Return the message of a doubtful setting or class. The arguments are those of `make_error`; the id begins with
    `hotclub.W`."""
    return Warning(message, hint=hint, obj=_named(obj), id=f"hotclub.W{number:03}")


def is_count(value: Any) -> bool:
    """Return whether the value is a whole number from 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def is_duration(value: Any) -> bool:
    """Return whether the value is a timedelta greater than 0."""
    return isinstance(value, timedelta) and value > timedelta()


def _named(obj: type | Callable[..., Any] | None) -> str | None:
    return None if obj is None else f"{obj.__module__}.{obj.__qualname__}"
