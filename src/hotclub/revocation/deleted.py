"""Ends connections when a process of the site deletes rows of sessions.

A receiver of `post_delete` would make Django load every row before it deletes it, also where `clearsessions` deletes
expired sessions by the million. So Hotclub looks at the statements instead, with Django's database instrumentation.
Statements of other programs are found by the regular look at logins.
"""

# ruff: noqa: SLF001 - Django documents the underscored names

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from hotclub.access.session import login_of, session_model, session_store
from hotclub.engine.codes import Close
from hotclub.engine.errors import Disconnect
from hotclub.engine.target import Target
from hotclub.orders.messages import EndConnections, LookAtLogins
from hotclub.revocation.leaving import Ending, end_with_commit

_LOOKED_UP: Final = 20
"""The most sessions whose logins are looked up. For more, every login is looked at."""

Execute = Callable[[Any, Any, bool, dict[str, Any]], Any]


def watch_statements() -> None:
    """Look at the statements of this process's database connections, the present and the future ones."""
    connection_created.connect(_instrument, dispatch_uid="hotclub.connection_created")
    for connection in connections.all(initialized_only=True):
        _instrument(None, connection)


def _instrument(sender: Any, connection: BaseDatabaseWrapper, **kwargs: Any) -> None:  # noqa: ARG001 - a signal's
    if _look not in connection.execute_wrappers:
        # Not at the end: `connection.execute_wrapper()` takes the last one away when its block ends.
        connection.execute_wrappers.insert(0, _look)


def _look(execute: Execute, sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    if not isinstance(sql, str) or sql.lstrip()[:7].upper() != "DELETE ":
        return execute(sql, params, many, context)
    connection: BaseDatabaseWrapper = context["connection"]
    # Parameters by name, and many rows of parameters, are seldom: then every login is looked at.
    found = _ending(sql, params if isinstance(params, list | tuple) and not many else (), connection)
    result = execute(sql, params, many, context)
    if found is not None:
        end_with_commit(connection.alias, *found)
    return result


def _ending(
    sql: str, params: Sequence[Any], connection: BaseDatabaseWrapper
) -> tuple[Ending, Callable[[], bool]] | None:
    """Return what ends with a statement that is about to run, and whether the rows show that it has; None for
    nothing."""
    model = session_model()
    # With a semicolon and without a condition Django empties all tables, those of users and orders included.
    is_flush = sql.endswith(";") and "WHERE" not in sql
    if model is None or is_flush or model._meta.db_table not in sql:
        return None
    if _deletes_what_is_over(sql, params, connection):
        return None
    names_keys = str(model._meta.pk.column) in sql and all(isinstance(value, str) for value in params)
    if not params or len(params) > _LOOKED_UP or not names_keys:
        return Ending(LookAtLogins()), lambda: True
    return _ending_of(model, params, connection.alias)


def _deletes_what_is_over(sql: str, params: Sequence[Any], connection: BaseDatabaseWrapper) -> bool:
    """Whether the statement is that of `clearsessions`. Nobody is signed in by a session that is over."""
    if len(params) != 1 or not sql.endswith(f"{connection.ops.quote_name('expire_date')} < %s"):
        return False
    end = parse_datetime(params[0]) if isinstance(params[0], str) else params[0]
    if not isinstance(end, datetime):
        return False
    return end <= (timezone.now() if timezone.is_aware(end) else datetime.now(connection.timezone).replace(tzinfo=None))


def _ending_of(
    model: type[AbstractBaseSession], keys: Sequence[str], using: str
) -> tuple[Ending, Callable[[], bool]] | None:
    """Return what ends with sessions of these keys, as `_ending`. No connection is signed in with an anonymous one."""
    rows = model._default_manager.using(using).filter(pk__in=keys, expire_date__gt=timezone.now())
    names = {
        login_of(data, row.pk) for row in rows if SESSION_KEY in (data := session_store().decode(row.session_data))
    }
    reason = Disconnect(Close.FORCE_RECONNECT)
    orders = [EndConnections(Target(login_id=name), reason.code, reason.reason) for name in names]
    return (Ending(*orders), lambda: not rows.all().exists()) if orders else None
