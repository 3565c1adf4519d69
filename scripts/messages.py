"""Compiles the translations from .po to .mo files in Python, so that running the site needs no gettext tools.

As a program it compiles the files that have changed. As the build hook of hatchling it compiles them for every wheel,
and refuses to build a wheel without the built front end.
"""

import sys
from pathlib import Path
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MANIFEST = Path("src/clubhouse/ui/static/clubhouse/dist/manifest.json")


def compile_catalog(source: Path) -> bool:
    """Write the .mo file of a .po file, unless the .mo file is newer. Return whether it was written.

    Raises:
        babel.messages.pofile.PoFileError: the .po file is not valid.
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
    """Compile every catalog under `root` and return the number of written files."""
    return sum(compile_catalog(source) for source in sorted(root.glob("src/**/locale/*/LC_MESSAGES/*.po")))


class CustomBuildHook(BuildHookInterface[Any]):
    """The build hook, which hatchling calls before it collects files."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Compile the translations. An editable install needs no built front end.

        Raises:
            FileNotFoundError: this is a wheel, and the front end is not built.
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
