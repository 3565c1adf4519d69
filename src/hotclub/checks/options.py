"""System checks of a channel class's attributes: W011, misspelt ones; E025, options that need a history."""

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
"""What other servers call an option or a hook, and what it is here."""


def check_options(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """W011, E025: the attributes of channel classes."""
    known = declared().channels
    # An abstract base that several classes share is reported once.
    written = dict.fromkeys(part for channel in known for part in _written(channel))
    found = [message for part in written for message in _misspelt(part)]
    return [*found, *(message for channel in known for message in _without_history(channel))]


def _written(channel: type[Channel]) -> Iterator[type[Channel]]:
    """The project's own classes that make up a channel class."""
    return (part for part in channel.__mro__ if issubclass(part, Channel) and part not in _BASES)


def _public(*classes: type) -> set[str]:
    """The attributes of classes: what stands in them, or is only annotated. Classes inside and constants are none."""
    names = {name for cls in classes for name in (*vars(cls), *inspect.get_annotations(cls))}
    return {name for name in names if name[0].islower()}


def _misspelt(channel: type[Channel]) -> Iterator[CheckMessage]:
    known = _public(*(base for base in _BASES if base in channel.__mro__))
    for name in sorted(_public(channel) - known):
        if problem := _meant(name, known):
            yield make_warning(11, f"{name} does nothing on a channel class.", problem, channel)


def _meant(name: str, known: set[str]) -> str:
    """What to do about an attribute that is no option and no hook; "" for one that is like none."""
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
