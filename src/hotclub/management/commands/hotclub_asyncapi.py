"""`manage.py hotclub_asyncapi`: an AsyncAPI 3.0 document of the project's channels and procedures."""

import json
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from hotclub.conf.config import get_config
from hotclub.describe.asyncapi import asyncapi
from hotclub.describe.interface import Interface
from hotclub.management.generating import GeneratingCommand


class Command(GeneratingCommand):
    """Writes the AsyncAPI document; see docs/reference/types.md."""

    help = "Writes an AsyncAPI 3.0 document of the project's channels and procedures."

    def add_arguments(self, parser: CommandParser) -> None:
        """See `BaseCommand.add_arguments`."""
        super().add_arguments(parser)
        parser.add_argument("--title", default="", help=_("name of the project; by default that of its URLs' package"))
        parser.add_argument("--api-version", default="1.0.0", help=_("version of the interface (%(default)s)"))
        parser.add_argument("--host", default="", help=_("where the site is served, such as chat.example.com"))

    def text(self, interface: Interface, options: dict[str, Any]) -> str:
        """See `GeneratingCommand.text`."""
        document = asyncapi(
            interface,
            title=options["title"] or settings.ROOT_URLCONF.split(".")[0],
            version=options["api_version"],
            host=options["host"],
            path=get_config().websocket_path,
        )
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
