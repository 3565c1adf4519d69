"""System checks of the attributes of channel classes: W011, misspelt names; E025, options that need a history."""

# ruff: noqa: ARG001 - Django calls every check with the same arguments

import inspect
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

from django.core.checks import CheckMessage

from hotclub.channels.base import Channel
from hotclub.channels.maps import MapChannel
from hotclub.channels.polls import SharedPollChannel
from hotclub.checks.base import Apps, declared, make_error, make_warning

_BASES: Final = (Channel, MapChannel, SharedPollChannel)
_SIMILAR: Final = 0.8
_FOREIGN: Final[Mapping[str, str]] = {
    "join_leave": "presence",
    "history_size": "history",
    "history_ttl": "history",
    "recoverable": "recovery",
    "force_recovery": "recovery",
    "force_positioning": "position",
    "force_push_join_leave": "presence",
    "authorize": "can_subscribe",
}
"""Names of options and hooks in other servers, each with Hotclub's name."""


def check_options(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """Check the attributes of channel classes: W011, E025."""
    known = declared().channels
    # An abstract base that several classes share is reported once.
    written = dict.fromkeys(part for channel in known for part in _written(channel))
    found = [message for part in written for message in _misspelt(part)]
    return [*found, *(message for channel in known for message in _without_history(channel))]


def _written(channel: type[Channel]) -> Iterator[type[Channel]]:
    """The channel class and its bases, without Hotclub's own classes."""
    return (part for part in channel.__mro__ if issubclass(part, Channel) and part not in _BASES)


def _public(*classes: type) -> set[str]:
    """The names of set or annotated attributes of the classes that begin with a lower-case letter."""
    names = {name for cls in classes for name in (*vars(cls), *inspect.get_annotations(cls))}
    return {name for name in names if name[0].islower()}


def _misspelt(channel: type[Channel]) -> Iterator[CheckMessage]:
    known = _public(*(base for base in _BASES if base in channel.__mro__))
    for name in sorted(_public(channel) - known):
        if problem := _meant(name, known):
            yield make_warning(11, f"{name} does nothing on a channel class.", problem, channel)


def _meant(name: str, known: set[str]) -> str:
    """The hint for an attribute that is neither an option nor a hook, "" when it resembles none of them."""
    for base in _BASES:
        if name in _public(base):
            return f"It belongs to {base.__name__}: inherit from that, or remove it."
    near = _FOREIGN.get(name) or next(iter(get_close_matches(name, known, n=1, cutoff=_SIMILAR)), "")
    return near and f"Did you mean {near}? Otherwise call it something that is less like it."


def _without_history(channel: type[Channel]) -> Iterator[CheckMessage]:
    if channel.history is not None:
        return
    hint = "Add history = History(size=100, ttl=timedelta(hours=1)), or remove it."
    if issubclass(channel, SharedPollChannel):
        hint = "Remove it: a shared poll has no history."
    for name, values in (("recovery", ("cache", True)), ("position", (True,))):
        value = next((vars(part)[name] for part in _written(channel) if name in vars(part)), None)
        if value in values:
            yield make_error(25, f"{name} = {value!r} does nothing without history.", hint, channel)
