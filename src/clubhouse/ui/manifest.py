"""The manifest of the front end's build: it names the files that each entry needs."""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import msgspec

DIRECTORY = Path(__file__).parent / "static/clubhouse/dist"
"""The folder of the build."""


class FrontEndNotBuilt(Exception):
    """A bundle is missing because the front end is not built, which `make run` does.

    `path` is the manifest's path, and `reason` a sentence.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.reason} ({self.path})"


class Chunk(msgspec.Struct):
    """One file of the build, as Vite describes it."""

    file: str
    name: str = ""
    entry: bool = msgspec.field(default=False, name="isEntry")
    css: list[str] = []
    imports: list[str] = []


@dataclass(frozen=True, slots=True)
class Files:
    """The files that a page loads for one entry, as paths inside the build's folder."""

    script: str
    styles: list[str] = field(default_factory=list)
    preloads: list[str] = field(default_factory=list)


class Manifest:
    """The manifest of one build."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            FrontEndNotBuilt: the file is no manifest.
        """
        self._path = path
        try:
            self._chunks = msgspec.json.decode(path.read_bytes(), type=dict[str, Chunk])
        except msgspec.DecodeError as error:
            raise FrontEndNotBuilt(path, f"The build manifest cannot be read: {error}") from error

    def entry(self, name: str) -> Files:
        """Return the files of an entry. The style sheets of imported modules come first, as the cascade needs it.

        Raises:
            FrontEndNotBuilt: the build has no such entry.
        """
        chunk = next((chunk for chunk in self._chunks.values() if chunk.entry and chunk.name == name), None)
        if chunk is None:
            raise FrontEndNotBuilt(self._path, f"The build has no entry {name!r}")
        imported = self._imported(chunk, set())
        styles = dict.fromkeys(style for part in (*imported, chunk) for style in part.css)
        return Files(chunk.file, list(styles), [part.file for part in imported])

    def _imported(self, chunk: Chunk, visited: set[str]) -> list[Chunk]:
        found: list[Chunk] = []
        for key in chunk.imports:
            if key not in visited and key in self._chunks:
                visited.add(key)
                found += [*self._imported(self._chunks[key], visited), self._chunks[key]]
        return found


def load(directory: Path) -> Manifest:
    """Return the manifest of the build in `directory`. The file is read again when it has changed.

    Raises:
        FrontEndNotBuilt: there is no manifest, or it cannot be read.
    """
    path = directory / "manifest.json"
    try:
        changed = path.stat().st_mtime_ns
    except FileNotFoundError as error:
        raise FrontEndNotBuilt(path, "There is no build manifest") from error
    return _load(path, changed)


@lru_cache(maxsize=4)
def _load(path: Path, _changed: int) -> Manifest:
    return Manifest(path)
