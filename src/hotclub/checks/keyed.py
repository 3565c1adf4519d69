"""Finds the mistakes in maps and shared polls, for the system check E019."""

import inspect
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from hotclub.channels.base import Channel, History
from hotclub.channels.maps import MapChannel
from hotclub.channels.polls import SharedPollChannel
from hotclub.checks.base import compiled_pattern, is_count, is_duration
from hotclub.engine.limits import Limits

MAP_HOOKS: Final = ("can_publish_key", "can_remove_key", "on_remove")
"""The hooks of maps that must be plain methods."""
_HOLDS: Final = ("values", "clients", "users")
_SECONDS: Final = "Use a timedelta greater than 0."
_METHOD: Final = "Write it as `def` or `async def` in the class body, without staticmethod or property."


def keyed_problems(channel: type[Channel], limits: Limits) -> Iterator[tuple[str, str]]:
    """Yield the mistakes in a map, a shared poll or the names of presence maps, as (message, hint).

    Args:
        channel: the channel class.
        limits: the limits of the settings; `presence_refresh` bounds `key_ttl` from below.
    """
    yield from _presence_problems(channel)
    if issubclass(channel, MapChannel):
        yield from _map_problems(channel, limits)
    if issubclass(channel, SharedPollChannel):
        yield from _poll_problems(channel)


def _presence_problems(channel: type[Channel]) -> Iterator[tuple[str, str]]:
    pattern = compiled_pattern(channel)
    if pattern is None:
        return
    captured = dict.fromkeys(pattern.converters, "x")
    for name in ("presence_clients", "presence_users"):
        template: Any = getattr(channel, name)
        try:
            template.format(**{**captured, "channel": "x"})
        except (LookupError, ValueError, AttributeError) as error:
            hint = 'Write the name of a map, such as "online:{channel}"; captured values are known by their names.'
            yield f"{name} {template!r} cannot be filled in: {error!r}.", hint


def _map_problems(channel: type[MapChannel], limits: Limits) -> Iterator[tuple[str, str]]:
    key_ttl: Any = channel.key_ttl
    history: Any = channel.history
    if key_ttl is not None and not is_duration(key_ttl):
        yield f"key_ttl is {key_ttl!r}.", f"{_SECONDS} None keeps a key until it is removed."
    if channel.holds not in _HOLDS:
        yield f"holds is {channel.holds!r}.", f"Use one of {', '.join(map(repr, _HOLDS))}."
    elif channel.holds != "values":
        least = timedelta(seconds=limits.presence_refresh)
        if not is_duration(key_ttl) or key_ttl <= least:
            hint = f"Set key_ttl to more than {limits.presence_refresh:g} s, the interval at which members are renewed."
            yield "A map of members must forget those whose server has died.", hint
    if isinstance(history, History) and history.durable:
        yield "A map cannot be durable: its values live in the engine.", "Leave durable out of its history."
    if channel.debounce is not None and not is_duration(channel.debounce):
        yield f"debounce is {channel.debounce!r}.", _SECONDS
    yield from _count_problems(channel, ("max_keys",))
    yield from _hook_problems(channel, MAP_HOOKS)


def _poll_problems(channel: type[SharedPollChannel]) -> Iterator[tuple[str, str]]:
    if channel.poll is SharedPollChannel.poll:
        yield "This shared poll has no poll().", "Write `def poll(self, keys, …)` that returns Polled items."
    for name in ("interval", "timeout"):
        if not is_duration(getattr(channel, name)):
            yield f"{name} is {getattr(channel, name)!r}.", _SECONDS
    yield from _count_problems(channel, ("batch_size", "max_keys"))
    if channel.history is not None or channel.filters:
        yield "A shared poll has neither history nor filters.", "Leave them out: it holds the newest values only."
    yield from _hook_problems(channel, ("poll",))


def _count_problems(channel: type[Channel], names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name in names:
        value: Any = getattr(channel, name)
        if not is_count(value):
            yield f"{name} is {value!r}.", "Use a whole number from 1."


def _hook_problems(channel: type[Channel], hooks: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name in hooks:
        if not inspect.isfunction(inspect.getattr_static(channel, name)):
            yield f"{name} is no method.", _METHOD
