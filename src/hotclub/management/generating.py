"""The base class of the commands that write a file from the project's declarations."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from hotclub.channels.registry import get_registry
from hotclub.describe.interface import Interface, Undescribable, describe


class GeneratingCommand(BaseCommand):
    """Writes a text to a file or prints it. With `--check` it fails if the file is not current."""

    def text(self, interface: Interface, options: dict[str, Any]) -> str:
        """Return the whole text.

        Args:
            interface: the channels and procedures of the project.
            options: the options of the command line.
        """
        raise NotImplementedError

    def add_arguments(self, parser: CommandParser) -> None:
        """See `BaseCommand.add_arguments`."""
        parser.add_argument("file", nargs="?", type=Path, help=_("where to write; without it, the text is printed"))
        parser.add_argument("--check", action="store_true", help=_("only fail if the file is not current"))

    def handle(self, *args: Any, **options: Any) -> None:
        """See `BaseCommand.handle`.

        Raises:
            CommandError: the declarations cannot be described, or `--check` finds an old file.
        """
        file: Path | None = options["file"]
        try:
            text = self.text(describe(get_registry().declarations), options)
        except Undescribable as error:
            raise CommandError(str(error)) from None
        if options["check"]:
            self._check(file, text)
        elif file is None:
            self.stdout.write(text, ending="")
        else:
            file.write_text(text, encoding="utf-8")

    def _check(self, file: Path | None, text: str) -> None:
        if file is None:
            raise CommandError(_("Name the file that --check is to look at."))
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            raise CommandError(_("%(file)s is not current: run this command without --check.") % {"file": file})
        self.stdout.write(_("%(file)s is current.") % {"file": file})
