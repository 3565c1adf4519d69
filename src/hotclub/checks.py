"""System checks: every mistake that can be seen before the first connection, each with what to do about it.

E001–E009 are mistakes in `HOTCLUB`, E010–E019 in channel classes and procedures, E020–E029 in the project;
warnings are about how the project is run.
"""

# ruff: noqa: ARG001 - Django calls every check with the same arguments

import inspect
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from asgiref.sync import iscoroutinefunction
from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.utils.module_loading import import_string

from hotclub.access_checks import check_access
from hotclub.channels.base import Channel, History
from hotclub.channels.registry import Declarations, compile_pattern
from hotclub.channels.rpc import Procedure
from hotclub.conf.config import get_config, raw_settings
from hotclub.conf.problems import SETTINGS, problems
from hotclub.engine.limits import Limits
from hotclub.keyed_checks import keyed_problems

HOOKS: Final = (
    "can_subscribe",
    "can_publish",
    "on_publish",
    "on_subscribe",
    "on_unsubscribe",
    "on_presence_change",
    "channel_info",
)
_RESERVED: Final = frozenset({"self", "client", "data", "joined", "key", "keys"})
_DATABASES: Final = ("sqlite", "postgresql")
_CAPTURED: Final = re.compile(r"<[^<>]+>")
_LITERAL: Final = re.compile(r"[A-Za-z0-9_.:#-]*")

Apps = Sequence[AppConfig] | None


def register_checks() -> None:
    """Have `manage.py check` run all of these."""
    for check in (check_settings, check_hooks, check_channels, check_procedures, check_apps, check_middleware):
        register(check, "hotclub")
    register(check_access, "hotclub")
    register(check_asgi, "hotclub")
    register(check_database, "hotclub")
    register(check_connections, "hotclub")
    register(check_cookies, "hotclub", Tags.security, deploy=True)


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
            yield _error(8, f"HOTCLUB[{name!r}] cannot be imported: {error}", "Write the dotted path of a function.")
            continue
        if not callable(hook) or isinstance(hook, type):
            yield _error(8, f"HOTCLUB[{name!r}] names {path!r}, which is no function.", "Name a function.")


def check_channels(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """E010–E016, E019: the channel classes."""
    declared = _declared().channels
    found = [message for cls in declared for message in _class_problems(cls)]
    by_pattern: dict[str, list[type[Channel]]] = defaultdict(list)
    for cls in declared:
        if isinstance(getattr(cls, "pattern", None), str):
            by_pattern[cls.pattern].append(cls)
    for pattern, classes in by_pattern.items():
        if len(classes) > 1:
            names = ", ".join(f"{cls.__module__}.{cls.__qualname__}" for cls in classes)
            hint = "Only the first would ever be used: change one pattern, or mark the base of the others abstract."
            found.append(_error(13, f"The pattern {pattern!r} belongs to several channel classes: {names}.", hint))
    return found


def _class_problems(cls: type[Channel]) -> Iterator[CheckMessage]:
    pattern = getattr(cls, "pattern", None)
    if pattern is None:
        hint = 'Give it one, such as "chat:<int:room_id>", or write `class Base(Channel, abstract=True)`.'
        yield _error(10, "This channel class has no pattern.", hint, cls)
    elif problem := _pattern_problem(pattern):
        hint = "A channel's name has 1 to 255 of A-Z a-z 0-9 _ . : # - and path converters in angle brackets."
        yield _error(12, f"The pattern {pattern!r} cannot be used: {problem}", hint, cls)
    if cls.can_subscribe is Channel.can_subscribe and not (cls.token or _insecure()):
        hint = "Write `def can_subscribe(self, client, …)` that returns True for those who may."
        yield _error(11, "This channel class has no can_subscribe().", hint, cls)
    for name in HOOKS:
        if not inspect.isfunction(inspect.getattr_static(cls, name)):
            hint = "Write it as `def` or `async def` in the class body, without staticmethod or property."
            yield _error(15, f"{name} is no method.", hint, cls)
    yield from _history_problems(cls)
    for message, hint in keyed_problems(cls, _limits()):
        yield _error(19, message, hint, cls)


def _limits() -> Limits:
    """The limits in force, or the default ones where the settings hold a mistake of their own."""
    try:
        return get_config().limits
    except ImproperlyConfigured:
        return Limits()


def _insecure() -> bool:
    """Whether nobody has to be asked, which another check warns of."""
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
    if _LITERAL.fullmatch(_CAPTURED.sub("", pattern)) is None:
        return "no channel can have such a name."
    return "" if pattern else "it is empty."


def _history_problems(cls: type[Channel]) -> Iterator[CheckMessage]:
    history: Any = cls.history
    if history is None:
        return
    if not isinstance(history, History):
        yield _error(14, "history is no History.", "Write history = History(size=100, ttl=timedelta(hours=1)).", cls)
        return
    size, ttl = history.size, history.ttl
    if not is_count(size):
        yield _error(14, f"The history's size is {size!r}.", "Use the number of publications to keep, from 1.", cls)
    if not is_duration(ttl):
        yield _error(14, f"The history's ttl is {ttl!r}.", "Use a timedelta greater than 0.", cls)
    for name in ("can_publish", "on_publish"):
        if history.durable and iscoroutinefunction(getattr(cls, name)):
            hint = "It runs in a database transaction, which Django has in synchronous code only: write a plain `def`."
            yield _error(16, f"{name} of this durable channel is async.", hint, cls)


def is_count(value: Any) -> bool:
    """Whether this is a whole number from 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def is_duration(value: Any) -> bool:
    """Whether this is a timedelta greater than 0."""
    return isinstance(value, timedelta) and value > timedelta()


def check_procedures(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """E017–E018: the functions marked with `rpc`."""
    found: list[CheckMessage] = []
    by_name: dict[str, list[Procedure]] = defaultdict(list)
    for procedure in _declared().procedures:
        by_name[procedure.name].append(procedure)
        try:
            _ = procedure.parameters
        except (TypeError, NameError) as error:
            hint = "Write `def name(client, argument: type, …)` with types that exist when the function is called."
            found.append(_error(18, f"A procedure cannot be called: {error}.", hint, procedure.function))
    for name, procedures in by_name.items():
        if len(procedures) > 1 or not name:
            functions = ", ".join(f"{item.function.__module__}.{item.function.__qualname__}" for item in procedures)
            hint = "Give each procedure a name of its own, such as @rpc('chat.mark_read')."
            found.append(_error(17, f"The procedure name {name!r} is not unique or empty: {functions}.", hint))
    return found


def check_apps(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """E020: the apps that signing in needs. W007: the order that decides whose `runserver` runs."""
    found: list[CheckMessage] = [
        _error(20, f"{name} is not installed.", f'Add "{name}" to INSTALLED_APPS: sockets use Django\'s sessions.')
        for name in ("django.contrib.auth", "django.contrib.sessions")
        if not apps.is_installed(name)
    ]
    order = [config.name for config in apps.get_app_configs()]
    for name in ("django.contrib.staticfiles", "daphne"):
        if name in order and order.index(name) < order.index("hotclub"):
            hint = f'Move "hotclub" before "{name}" in INSTALLED_APPS, or `runserver` serves no sockets of ours.'
            found.append(_warning(7, f'"hotclub" stands after "{name}".', hint))
    return found


def check_middleware(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """W002: pages and sockets have to agree on who is signed in."""
    needed = {
        "django.contrib.sessions.middleware.SessionMiddleware": "SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware": "AuthenticationMiddleware",
    }
    present = [_import_or_none(path) for path in settings.MIDDLEWARE]
    found: list[CheckMessage] = []
    for path, short in needed.items():
        wanted = _import_or_none(path)
        if not any(item is wanted or (isinstance(item, type) and issubclass(item, wanted)) for item in present):
            hint = f'Add "{path}" to MIDDLEWARE, so that pages can sign people in.'
            found.append(_warning(2, f"{short} is not in MIDDLEWARE.", hint))
    return found


def check_asgi(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """W003, W004: the ASGI application serves us."""
    path = getattr(settings, "ASGI_APPLICATION", None)
    if not path:
        hint = 'Set ASGI_APPLICATION = "mysite.asgi.application".'
        return [_warning(3, "ASGI_APPLICATION is not set, so `runserver` and `serve` do not know what to serve.", hint)]
    hint = "In asgi.py write: application = hotclub.asgi.application(get_asgi_application())."
    try:
        served = import_string(path)
    except Exception as error:  # noqa: BLE001 - whatever the project's module raises
        return [_warning(4, f"ASGI_APPLICATION {path!r} cannot be imported: {error!r}", hint)]
    if not getattr(served, "serves_hotclub", False):
        return [_warning(4, f"ASGI_APPLICATION {path!r} does not come from hotclub.asgi.application().", hint)]
    return []


def check_database(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """E021, W001: the database can hold durable channels."""
    raw = raw_settings()
    alias = raw.get("DATABASE", "default") if isinstance(raw, dict) else "default"
    durable = any(isinstance(cls.history, History) and cls.history.durable for cls in _declared().channels)
    if not durable or alias not in settings.DATABASES:
        return []
    connection = connections[alias]
    if connection.vendor not in _DATABASES:
        hint = 'Use SQLite or PostgreSQL, or name another database in HOTCLUB["DATABASE"].'
        return [_error(21, f"There are durable channels, and the database {alias!r} is {connection.vendor}.", hint)]
    mode = str(connection.settings_dict["OPTIONS"].get("transaction_mode") or "").upper()
    if connection.vendor == "sqlite" and mode not in ("IMMEDIATE", "EXCLUSIVE"):
        hint = 'Set "OPTIONS": {"transaction_mode": "IMMEDIATE"} for it, or publishing fails with "database is locked".'
        return [_warning(1, f"There are durable channels, and {alias!r} is SQLite with deferred transactions.", hint)]
    return []


def check_connections(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """W005: persistent connections of Django's own, which under ASGI belong to threads that come and go."""
    hint = "Set CONN_MAX_AGE to 0 or use a connection pool; hooks keep their connections anyway (DB_CONN_MAX_AGE)."
    return [
        _warning(5, f"The database {alias!r} has CONN_MAX_AGE {options['CONN_MAX_AGE']!r}.", hint)
        for alias, options in settings.DATABASES.items()
        if options.get("CONN_MAX_AGE", 0) != 0
    ]


def check_cookies(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """W006, when deployed: the session cookie is the key to every socket."""
    if settings.DEBUG or settings.SESSION_COOKIE_SECURE:
        return []
    hint = "Set SESSION_COOKIE_SECURE = True and serve over HTTPS."
    return [_warning(6, "The session cookie, which opens sockets, is also sent unencrypted.", hint)]


def _declared() -> Declarations:
    declarations: Declarations = apps.get_app_config("hotclub").declarations  # type: ignore[attr-defined]
    return declarations


def _import_or_none(path: str) -> Any:
    try:
        return import_string(path)
    except ImportError:
        return None


def _error(number: int, message: str, hint: str, obj: type | Callable[..., Any] | None = None) -> CheckMessage:
    return Error(message, hint=hint, obj=_named(obj), id=f"hotclub.E{number:03}")


def _warning(number: int, message: str, hint: str) -> CheckMessage:
    return Warning(message, hint=hint, id=f"hotclub.W{number:03}")


def _named(obj: type | Callable[..., Any] | None) -> str | None:
    return None if obj is None else f"{obj.__module__}.{obj.__qualname__}"
