"""Reads from the databases that are written to, where a project's routers send reads to replicas.

A replica lags: it does not have the newest logins and users yet, and still has those that are over. So whatever says
who somebody is gets read from the primary database.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from django.db import router
from django.db.models import Manager, Model, QuerySet

_reading: Final[ContextVar[bool]] = ContextVar("hotclub_primary", default=False)


class PrimaryRouter:
    """Sends the reads within `primary` to the database that the project's routers name for writing."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        """See Django's database routers. None outside `primary`, so that the project's routers decide."""
        return router.db_for_write(model, **hints) if _reading.get() else None


@contextmanager
def primary() -> Iterator[None]:
    """Read from the primary databases within the block, also in code of others such as `AUTHENTICATION_BACKENDS`.

    A read that names a database itself (`using`) stays there. Only the current thread and task are affected.
    """
    if router.routers and not isinstance(router.routers[0], PrimaryRouter):
        # The backends of a project choose no database, so only a router reaches their queries.
        router.routers.insert(0, PrimaryRouter())
    token = _reading.set(True)
    try:
        yield
    finally:
        _reading.reset(token)


def on_primary(model: type[Model]) -> QuerySet[Any]:
    """Return the rows of a model in the database that it is written to."""
    manager: Manager[Any] = model._default_manager  # noqa: SLF001 - public, by its documentation
    return manager.using(router.db_for_write(model))
