"""Compile the translations (.po to .mo) in Python alone: nobody needs the gettext tools to run the site.

Run as a program it compiles what has changed; as hatchling's build hook it does the same for every wheel, and refuses
to build one without the pages' JavaScript.
"""

import sys
from pathlib import Path
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MANIFEST = Path("src/clubhouse/ui/static/clubhouse/dist/manifest.json")


def compile_catalog(source: Path) -> bool:
    """Write the .mo file beside a .po file unless it is newer; True when it was written.

    Raises:
        babel.messages.pofile.PoFileError: the source is no valid catalog.
    """
    target = source.with_suffix(".mo")
    if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
        return False
    with source.open("rb") as stream:
        catalog = read_po(stream, locale=source.parents[1].name, abort_invalid=True)
    with target.open("wb") as stream:
        write_mo(stream, catalog)
    return True


def compile_all(root: Path) -> int:
    """Compile every catalog under `root`; how many were written."""
    return sum(compile_catalog(source) for source in sorted(root.glob("src/**/locale/*/LC_MESSAGES/*.po")))


class CustomBuildHook(BuildHookInterface[Any]):
    """What hatchling calls before it collects files."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Compile the translations; an editable install may come before the front end, a wheel may not.

        Raises:
            FileNotFoundError: the front end has not been built.
        """
        root = Path(self.root)
        compile_all(root)
        if version != "editable" and not (root / MANIFEST).exists():
            raise FileNotFoundError(f"{MANIFEST} is missing: build the front end first (make wheel does)")


if __name__ == "__main__":
    written = compile_all(Path(__file__).parents[1])
    if written:
        print(f"==> Translations ({written} catalogs)")
    sys.exit(0)
