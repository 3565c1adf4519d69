"""System check of hooks: E024, a hook does not take the arguments of its call."""

# ruff: noqa: ARG001 - Django calls every check with the same arguments

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from django.core.checks import CheckMessage

from hotclub.channels.base import Channel
from hotclub.channels.maps import MapChannel
from hotclub.channels.polls import SharedPollChannel
from hotclub.checks.base import Apps, compiled_pattern, declared, make_error

_CLIENT: Final = ("client",)
_CHANNEL: Final[Mapping[str, tuple[str, ...]]] = {
    "can_subscribe": _CLIENT,
    "can_publish": _CLIENT,
    "prepare_publish": ("client", "data"),
    "on_publish": ("client", "data"),
    "on_subscribe": _CLIENT,
    "on_unsubscribe": _CLIENT,
    "on_presence_change": ("client", "joined"),
    "get_state": _CLIENT,
    "tags_filter": _CLIENT,
    "channel_info": _CLIENT,
}
"""Each hook with the names of its positional arguments. Captured values are passed by name."""
_MAP: Final[Mapping[str, tuple[str, ...]]] = {
    "can_publish_key": ("client", "key"),
    "can_remove_key": ("client", "key"),
    "on_publish": ("client", "data", "key"),
    "on_remove": ("client", "key"),
}
_POLL: Final[Mapping[str, tuple[str, ...]]] = {"poll": ("keys",)}


def arguments_of(channel: type[Channel]) -> dict[str, tuple[str, ...]]:
    """Return the hooks of a channel class, each with the names of its positional arguments after `self`."""
    keyed = _MAP if issubclass(channel, MapChannel) else _POLL if issubclass(channel, SharedPollChannel) else {}
    return {**_CHANNEL, **keyed}


def check_hook_parameters(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """Check the parameters of hooks: E024. A class with an invalid pattern is skipped, because E010 and E012 report
    it."""
    return [message for channel in declared().channels for message in _channel_problems(channel)]


def _channel_problems(channel: type[Channel]) -> Iterator[CheckMessage]:
    pattern = compiled_pattern(channel)
    if pattern is None:
        return
    captured = tuple(pattern.converters)
    for name, given in arguments_of(channel).items():
        hook = inspect.getattr_static(channel, name)
        if inspect.isfunction(hook):
            problems = list(parameter_problems(hook, ("self", *given), captured))
            hint = f"Write def {name}({', '.join(('self', *given, *captured))})."
            text = f"{name}() does not fit the pattern {channel.pattern!r}: {'; '.join(problems)}."
            yield from [make_error(24, text, hint, channel)] if problems else []


def parameter_problems(
    function: Callable[..., Any], given: tuple[str, ...], captured: tuple[str, ...]
) -> Iterator[str]:
    """Yield each reason why a call of the function would fail or mix up its arguments.

    Args:
        function: the hook as it stands in the class.
        given: the names of the positional arguments, `self` included.
        captured: the names of the keyword arguments.
    """
    parameters = inspect.signature(function).parameters
    kinds = {name: item.kind for name, item in parameters.items()}
    takes_any = inspect.Parameter.VAR_KEYWORD in kinds.values()
    positional = [name for name, kind in kinds.items() if kind in _POSITIONAL]
    places = dict(zip(positional, given, strict=False))
    for name, place in places.items():
        if name != place and (name in given or name in captured):
            yield f"{name} stands where {place} is given"
    if len(positional) < len(given) and inspect.Parameter.VAR_POSITIONAL not in kinds.values():
        yield f"nothing takes {', '.join(given[len(positional) :])}"
    for name in captured:
        if name not in places and not _takes(kinds, name) and not takes_any:
            yield f"nothing takes the captured {name}"
    for name, parameter in parameters.items():
        filled = name in places or (name in captured and _takes(kinds, name))
        if not filled and parameter.default is parameter.empty and parameter.kind not in _VARIABLE:
            yield f"nothing gives {name}"


_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_VARIABLE: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _takes(kinds: Mapping[str, Any], name: str) -> bool:
    return kinds.get(name) in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
