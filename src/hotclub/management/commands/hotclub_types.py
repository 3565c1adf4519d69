"""`manage.py hotclub_types`: TypeScript types of the project's channels and procedures."""

from typing import Any

from hotclub.describe.interface import Interface
from hotclub.describe.typescript import typescript
from hotclub.management.generating import GeneratingCommand


class Command(GeneratingCommand):
    """Writes the TypeScript types; see docs/reference/types.md."""

    help = "Writes TypeScript types for the project's channels and procedures."

    def text(self, interface: Interface, options: dict[str, Any]) -> str:
        """See `GeneratingCommand.text`."""
        return typescript(interface)
