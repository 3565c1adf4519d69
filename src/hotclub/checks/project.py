"""System checks of the project: its apps, middleware, ASGI application, database and cookies.

E001–E009 are mistakes in `HOTCLUB`, E010–E019 in channel classes and procedures, E020–E029 in the project. Warnings
concern the way in which the project is written or run.
"""

# ruff: noqa: ARG001 - Django calls every check with the same arguments

from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage
from django.db import connections
from django.utils.module_loading import import_string

from hotclub.channels.base import History
from hotclub.checks.base import Apps, declared, make_error, make_warning
from hotclub.conf.config import raw_settings
from hotclub.runtime.tables import VENDORS


def check_apps(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that the apps for signing in are installed (E020), and that Hotclub's `runserver` comes first (W007)."""
    found: list[CheckMessage] = [
        make_error(20, f"{name} is not installed.", f'Add "{name}" to INSTALLED_APPS: sockets use Django\'s sessions.')
        for name in ("django.contrib.auth", "django.contrib.sessions")
        if not apps.is_installed(name)
    ]
    order = [config.name for config in apps.get_app_configs()]
    for name in ("django.contrib.staticfiles", "daphne"):
        if name in order and order.index(name) < order.index("hotclub"):
            hint = f'Move "hotclub" before "{name}" in INSTALLED_APPS, or `runserver` serves no sockets of ours.'
            found.append(make_warning(7, f'"hotclub" stands after "{name}".', hint))
    return found


def check_middleware(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """Check the middleware with which pages sign users in: W002. Pages and connections must know the same user."""
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
            found.append(make_warning(2, f"{short} is not in MIDDLEWARE.", hint))
    return found


_ASK: Final = "application = hotclub.asgi.application(get_asgi_application())"


def check_asgi(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that the ASGI application serves Hotclub: W003, W004."""
    path = getattr(settings, "ASGI_APPLICATION", None)
    if not path:
        message = (
            "ASGI_APPLICATION is not set: `runserver` and `hotclub_serve` put Hotclub around Django by themselves."
        )
        hint = f'In asgi.py write {_ASK}, and set ASGI_APPLICATION = "mysite.asgi.application"; other servers need it.'
        return [make_warning(3, message, hint)]
    try:
        served = import_string(path)
    except Exception as error:  # noqa: BLE001 - the project's module may raise anything
        hint = f"Correct the path, or that module; in it write: {_ASK}."
        return [make_warning(4, f"ASGI_APPLICATION {path!r} cannot be imported: {error!r}", hint)]
    if getattr(served, "serves_hotclub", False):
        return []
    return [_foreign_application(path, served)]


def _foreign_application(path: str, served: Any) -> CheckMessage:
    """W004 for an application without `serves_hotclub`. Hotclub's application may be inside it."""
    if _is_router(served):
        message = f"ASGI_APPLICATION {path!r} is a ProtocolTypeRouter of Channels, which hands Hotclub no connections."
        hint = (
            "Instead of the router write: application = hotclub.asgi.application(get_asgi_application(), "
            "websocket_urlpatterns=…), with the router's URL patterns, or with what stands under its "
            '"websocket" as it is.'
        )
    else:
        message = (
            f"ASGI_APPLICATION {path!r} is a {type(served).__qualname__}, and may not serve Hotclub's connections."
        )
        hint = (
            f"In asgi.py write: {_ASK}. If something stands around it, set serves_hotclub = True on that, and have it "
            "pass on http, websocket and lifespan."
        )
    return make_warning(4, message, hint)


def _is_router(served: Any) -> bool:
    """Whether the application is the router of Channels. The class's name tells, because Channels may be missing."""
    return any(cls.__name__ == "ProtocolTypeRouter" for cls in type(served).__mro__)


def check_database(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that the database can hold durable channels: E021, W001."""
    raw = raw_settings()
    alias = raw.get("DATABASE", "default") if isinstance(raw, dict) else "default"
    durable = any(isinstance(cls.history, History) and cls.history.durable for cls in declared().channels)
    if not durable or alias not in settings.DATABASES:
        return []
    connection = connections[alias]
    if connection.vendor not in VENDORS:
        hint = 'Use SQLite or PostgreSQL, or name another database in HOTCLUB["DATABASE"].'
        return [make_error(21, f"There are durable channels, and the database {alias!r} is {connection.vendor}.", hint)]
    mode = str(connection.settings_dict["OPTIONS"].get("transaction_mode") or "").upper()
    if connection.vendor == "sqlite" and mode not in ("IMMEDIATE", "EXCLUSIVE"):
        hint = 'Set "OPTIONS": {"transaction_mode": "IMMEDIATE"} for it, or publishing fails with "database is locked".'
        return [
            make_warning(1, f"There are durable channels, and {alias!r} is SQLite with deferred transactions.", hint)
        ]
    return []


def check_autocommit(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that Django commits by itself in the database of Hotclub's tables: E027. Otherwise publishing raises."""
    raw = raw_settings()
    alias = raw.get("DATABASE", "default") if isinstance(raw, dict) else "default"
    if settings.DATABASES.get(alias, {}).get("AUTOCOMMIT", True):
        return []
    hint = "Leave AUTOCOMMIT at True for it, and use transaction.atomic(); Hotclub cannot see a commit() made by hand."
    return [make_error(27, f"The database {alias!r} has AUTOCOMMIT {False!r}, so nothing can be published.", hint)]


def check_connections(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that Django keeps no persistent connections: W005. Under ASGI their threads come and go."""
    hint = "Set CONN_MAX_AGE to 0 or use a connection pool; hooks then keep theirs for a minute."
    return [
        make_warning(5, f"The database {alias!r} has CONN_MAX_AGE {options['CONN_MAX_AGE']!r}.", hint)
        for alias, options in settings.DATABASES.items()
        if options.get("CONN_MAX_AGE", 0) != 0
    ]


def check_cookies(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that browsers send the session cookie over HTTPS only: W006, for `check --deploy`. The cookie opens
    connections."""
    if settings.DEBUG or settings.SESSION_COOKIE_SECURE:
        return []
    hint = "Set SESSION_COOKIE_SECURE = True and serve over HTTPS."
    return [make_warning(6, "The session cookie, which opens sockets, is also sent unencrypted.", hint)]


def _import_or_none(path: str) -> Any:
    try:
        return import_string(path)
    except ImportError:
        return None
