"""docs/tutorial.md as a list of things to do: what a reader would copy, and where to."""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_BLOCK = re.compile(
    r"(?:(?P<verb>Write|Add to the end of) `(?P<path>[^`]+)`:\n\n)?```(?P<language>\w+)\n(?P<text>.*?)```", re.DOTALL
)


@dataclass(frozen=True)
class Step:
    """One block: a file to write or to extend when `path` is set, otherwise something to type."""

    language: str
    text: str
    path: str = ""
    extends: bool = False
    stays: bool = False
    """The words before the block say to leave the command running."""

    def write(self, project: Path) -> None:
        """Write or extend the file in the folder of a project. A file to extend must exist."""
        path = project / self.path
        assert not self.extends or path.exists()
        with path.open("a" if self.extends else "w") as file:
            file.write(self.text)


def steps(page: Path) -> list[Step]:
    """Every block of the page, in order."""
    source = page.read_text()
    return [
        Step(
            language=block["language"],
            text=block["text"],
            path=block["path"] or "",
            extends=block["verb"] == "Add to the end of",
            stays="leave it running:" in " ".join(source[: block.start()].split("\n\n")[-2].split()),
        )
        for block in _BLOCK.finditer(source)
    ]


def run_python(folder: Path, environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in a folder to its end. Both its outputs are captured.

    Raises:
        AssertionError: it failed; the message is what was printed.
    """
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


class Terminal:
    """A shell that keeps its folder and its environment from one block to the next, and ends at the first error."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._shell = subprocess.Popen(
            ["sh", "-e"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def type(self, text: str) -> str:
        """Run a block to its end and return what it printed.

        Raises:
            AssertionError: a command failed; the message is what was printed.
        """
        assert self._shell.stdin
        assert self._shell.stdout
        self._shell.stdin.write(f'{text}\necho "=end of block="\n')
        self._shell.stdin.flush()
        printed: list[str] = []
        for line in self._shell.stdout:
            if line == "=end of block=\n":
                return "".join(printed)
            printed.append(line)
        raise AssertionError(f"{text}\n{''.join(printed)}")

    def where(self) -> Path:
        """The folder that the shell is in."""
        return Path(self.type("pwd").strip())

    def path(self) -> str:
        """The shell's search path, with what the blocks have activated."""
        return self.type('echo "$PATH"').strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._shell.communicate()
