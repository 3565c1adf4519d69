"""Quick flushes of the database. A transactional test ends with a flush, which would create all permissions again."""

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.core.management.commands import flush
from django.core.management.sql import emit_post_migrate_signal
from django.db import DEFAULT_DB_ALIAS, models, transaction


class _AfterFlush:
    """Replaces `emit_post_migrate_signal`: the first flush sends the signal, and later flushes restore its rows."""

    def __init__(self, emit: Any) -> None:
        self._emit = emit
        self._made: list[list[models.Model]] | None = None

    def __call__(self, verbosity: int, interactive: bool, db: str, **options: Any) -> None:
        if db != DEFAULT_DB_ALIAS:
            self._emit(verbosity, interactive, db, **options)
        elif self._made is None:
            self._emit(verbosity, interactive, db, **options)
            self._made = [rows for model in apps.get_models(include_auto_created=True) if (rows := _rows(model))]
        else:
            self._put_back(self._made)

    def _put_back(self, made: list[list[models.Model]]) -> None:
        with transaction.atomic():
            for rows in made:
                type(rows[0])._base_manager.bulk_create(rows)
        ContentType.objects.clear_cache()


def _rows(model: type[models.Model]) -> list[models.Model]:
    return [] if model._meta.proxy or not model._meta.managed else list(model._base_manager.all())


@contextlib.contextmanager
def quick_flushes() -> Iterator[None]:
    """Make flushes of the default database quick within the block."""
    after = _AfterFlush(emit_post_migrate_signal)
    with patch.object(flush, "emit_post_migrate_signal", after):
        yield
