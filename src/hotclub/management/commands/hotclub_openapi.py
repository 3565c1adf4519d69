"""`manage.py hotclub_openapi`: the OpenAPI document of the HTTP API."""

import json
from typing import Any

from django.core.management.base import BaseCommand

from hotclub.http_api.openapi import document


class Command(BaseCommand):
    """Prints the OpenAPI document."""

    help = "Prints the OpenAPI document of the HTTP API."

    def handle(self, *args: Any, **options: Any) -> None:
        """See `BaseCommand.handle`."""
        self.stdout.write(json.dumps(document(), indent=2, sort_keys=True))
