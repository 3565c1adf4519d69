"""System checks of channel classes and procedures: E010-E019."""

# ruff: noqa: ARG001 - Django calls every check with the same arguments

import inspect
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from asgiref.sync import iscoroutinefunction
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured

from hotclub.channels.base import Channel, History
from hotclub.channels.registry import compile_pattern
from hotclub.channels.rpc import Procedure
from hotclub.checks.base import Apps, declared, is_count, is_duration, make_error
from hotclub.checks.keyed import keyed_problems
from hotclub.conf.config import get_config, raw_settings
from hotclub.engine.limits import Limits
from hotclub.engine.names import RULE, fault, normal

HOOKS: Final = (
    "can_subscribe",
    "can_publish",
    "prepare_publish",
    "on_publish",
    "on_subscribe",
    "on_unsubscribe",
    "on_presence_change",
    "channel_info",
)
"""The hooks that must be plain methods of a channel class."""


_RESERVED: Final = frozenset({"self", "client", "data", "joined", "key", "keys"})


_CAPTURED: Final = re.compile(r"<[^<>]+>")


def check_channels(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """Check the channel classes: E010–E016, E019."""
    known = declared().channels
    found = [message for cls in known for message in _class_problems(cls)]
    by_pattern: dict[str, list[type[Channel]]] = defaultdict(list)
    for cls in known:
        if isinstance(getattr(cls, "pattern", None), str):
            by_pattern[cls.pattern].append(cls)
    for pattern, classes in by_pattern.items():
        if len(classes) > 1:
            names = ", ".join(f"{cls.__module__}.{cls.__qualname__}" for cls in classes)
            hint = "Only the first would ever be used: change one pattern, or mark the base of the others abstract."
            found.append(make_error(13, f"The pattern {pattern!r} belongs to several channel classes: {names}.", hint))
    return found


def _class_problems(cls: type[Channel]) -> Iterator[CheckMessage]:
    pattern = getattr(cls, "pattern", None)
    if pattern is None:
        hint = 'Give it one, such as "chat:<int:room_id>", or write `class Base(Channel, abstract=True)`.'
        yield make_error(10, "This channel class has no pattern.", hint, cls)
    elif problem := _pattern_problem(pattern):
        hint = f"A pattern is a channel's name ({RULE}) with path converters in angle brackets."
        yield make_error(12, f"The pattern {pattern!r} cannot be used: {problem}", hint, cls)
    if cls.can_subscribe is Channel.can_subscribe and not (cls.token or _insecure()):
        hint = "Write `def can_subscribe(self, client, …)` that returns True for those who may."
        yield make_error(11, "This channel class has no can_subscribe().", hint, cls)
    for name in HOOKS:
        if not inspect.isfunction(inspect.getattr_static(cls, name)):
            hint = "Write it as `def` or `async def` in the class body, without staticmethod or property."
            yield make_error(15, f"{name} is no method.", hint, cls)
    yield from _history_problems(cls)
    for message, hint in keyed_problems(cls, _limits()):
        yield make_error(19, message, hint, cls)


def _limits() -> Limits:
    """The limits of the settings, or the default limits while the settings hold a mistake."""
    try:
        return get_config().limits
    except ImproperlyConfigured:
        return Limits()


def _insecure() -> bool:
    """Whether the insecure mode makes `can_subscribe` optional. W008 warns of that mode."""
    raw = raw_settings()
    return isinstance(raw, Mapping) and raw.get("INSECURE") is True


def _pattern_problem(pattern: Any) -> str:
    if not isinstance(pattern, str):
        return "it is no text."
    try:
        compiled = compile_pattern(pattern)
    except (ImproperlyConfigured, TypeError, ValueError) as error:
        return str(error)
    if reserved := _RESERVED & set(compiled.converters):
        return f"{', '.join(sorted(reserved))} cannot be the name of a captured value."
    if not pattern:
        return "it is empty."
    # A captured value stands between the parts of the pattern, so they are checked with a letter in its place.
    literal = normal(_CAPTURED.sub("a", pattern))
    if "<" in literal or ">" in literal:
        return "it has an angle bracket without its pair."
    return f"{reason}." if (reason := fault(literal)) else ""


def _history_problems(cls: type[Channel]) -> Iterator[CheckMessage]:
    history: Any = cls.history
    if history is None:
        return
    if not isinstance(history, History):
        yield make_error(
            14, "history is no History.", "Write history = History(size=100, ttl=timedelta(hours=1)).", cls
        )
        return
    size, ttl = history.size, history.ttl
    if not is_count(size):
        yield make_error(14, f"The history's size is {size!r}.", "Use the number of publications to keep, from 1.", cls)
    if not is_duration(ttl):
        yield make_error(14, f"The history's ttl is {ttl!r}.", "Use a timedelta greater than 0.", cls)
    for name in ("can_publish", "prepare_publish", "on_publish"):
        if history.durable and iscoroutinefunction(getattr(cls, name)):
            hint = (
                "It runs beside a database transaction, which Django has in synchronous code only: write a plain `def`."
            )
            yield make_error(16, f"{name} of this durable channel is async.", hint, cls)


def check_procedures(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """Check the functions marked with `rpc`: E017, E018."""
    found: list[CheckMessage] = []
    by_name: dict[str, list[Procedure]] = defaultdict(list)
    for procedure in declared().procedures:
        by_name[procedure.name].append(procedure)
        try:
            _ = procedure.parameters
        except (TypeError, NameError) as error:
            hint = "Write `def name(client, argument: type, …)` with types that exist when the function is called."
            found.append(make_error(18, f"A procedure cannot be called: {error}.", hint, procedure.function))
    for name, procedures in by_name.items():
        if len(procedures) > 1 or not name:
            functions = ", ".join(f"{item.function.__module__}.{item.function.__qualname__}" for item in procedures)
            hint = "Give each procedure a name of its own, such as @rpc('chat.mark_read')."
            found.append(make_error(17, f"The procedure name {name!r} is not unique or empty: {functions}.", hint))
    return found
