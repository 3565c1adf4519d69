"""`manage.py hotclub_inspect`: positions and sizes of the durable channels."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import connections
from django.db.models import BigIntegerField, Count, Func, Max, Min, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from hotclub.durable.ledger import shown, unwritten
from hotclub.models import Stream
from hotclub.runtime.tables import database

_COLUMNS = ("channel", "epoch", "top", "kept", "bytes", "oldest", "newest")


class OctetLength(Func):
    """The number of bytes of a text. Django's `Length` counts its characters."""

    function = "OCTET_LENGTH"
    output_field = BigIntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """Return the SQL for SQLite, which has `OCTET_LENGTH` only since 3.43."""
        return self.as_sql(compiler, connection, template="LENGTH(CAST(%(expressions)s AS BLOB))", **extra)


class Command(BaseCommand):
    """Prints one line per durable channel."""

    help = "Shows the durable channels: positions, kept entries and their size."

    def add_arguments(self, parser: CommandParser) -> None:
        """See `BaseCommand.add_arguments`."""
        parser.add_argument("prefix", nargs="?", default="", help=_("only channels whose names begin like this"))
        parser.add_argument("--json", action="store_true", help=_("print a JSON list"))

    def handle(self, *args: Any, **options: Any) -> None:
        """See `BaseCommand.handle`."""
        era, _epochs = unwritten(connections[database()], [])
        rows = [{**row, "epoch": shown(row["epoch"], era)} for row in _summaries(options["prefix"])]
        if options["json"]:
            self.stdout.write(json.dumps(rows, indent=2, default=str))
        elif rows:
            self._write_table(rows)
        else:
            self.stdout.write(_("No durable channel has been used yet."))

    def _write_table(self, rows: list[dict[str, Any]]) -> None:
        table = [list(_COLUMNS), *([_cell(row[name]) for name in _COLUMNS] for row in rows)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        for line in table:
            self.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _summaries(prefix: str) -> "QuerySet[Any, Any]":
    streams: QuerySet[Any, Any] = Stream.objects.using(database())
    summaries: QuerySet[Any, Any] = (
        streams.filter(channel__startswith=prefix)
        .order_by("channel")
        .values("channel", "epoch", "top")
        .annotate(
            kept=Count("entries__pk"),
            bytes=Coalesce(Sum(OctetLength("entries__data")), 0),
            oldest=Min("entries__created"),
            newest=Max("entries__created"),
        )
    )
    return summaries


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return value.isoformat(sep=" ", timespec="seconds") if hasattr(value, "isoformat") else str(value)
